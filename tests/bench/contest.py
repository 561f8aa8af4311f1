"""Contenders take turns: A B A B …, so that what else the machine does meets all of them alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

import pytest

from tests.bench.table import Measure, Result, number, one_line

Turn = Callable[[int], Mapping[str, float]]
"""One measuring: the number of the round (from 1) to figures by the measures' keys."""

FAILURES = (Exception, pytest.fail.Exception)
"""What a contender may end with. The helpers of the tests fail by pytest's own exception, which is no Exception."""


class CannotRun(Exception):
    """Why something cannot be measured here, in one line for people."""


@dataclass(frozen=True)
class Contender:
    """Something to measure: *ready* sets it up, yields its turn, and takes it down again."""

    name: str
    ready: Callable[[], AbstractContextManager[Turn]]
    ours: bool = False


@dataclass
class _Standing:
    """A contender during a contest. The first problem ends its part; figures taken before it stay."""

    contender: Contender
    entered: AbstractContextManager[Turn] | None = None
    turn: Turn | None = None
    problem: str = ""
    taken: list[Mapping[str, float]] = field(default_factory=list)


def say(text: str) -> None:
    """A line of progress, on stderr."""
    print(text, file=sys.stderr, flush=True)


def reason(error: BaseException) -> str:
    """Why it failed, in one line."""
    return one_line(str(error)) or type(error).__name__


def contest(
    name: str, measures: Sequence[Measure], contenders: Sequence[Contender], rounds: int, *, quiet: bool = False
) -> tuple[Result, ...]:
    """The results of *rounds* rounds, in the order of the measures; a contender that fails takes no other with it.

    *quiet* leaves out the line of progress for each turn, for turns of milliseconds.
    """
    standings = [_Standing(contender) for contender in contenders]
    try:
        for standing in standings:
            say(f"{name}: setting up {standing.contender.name} …")
            _set_up(standing)
        for round_ in range(1, rounds + 1):
            for standing in standings:
                _take(standing, round_)
                if not quiet:
                    say(f"{name}: round {round_} of {rounds}: {_told(standing, measures)}")
    finally:
        for standing in reversed(standings):
            _take_down(name, standing)
    return tuple(_result(measure, standing) for measure in measures for standing in standings)


def _set_up(standing: _Standing) -> None:
    entering = standing.contender.ready()
    try:
        standing.turn = entering.__enter__()
        standing.entered = entering
    except FAILURES as error:
        standing.problem = reason(error)


def _take(standing: _Standing, round_: int) -> None:
    if standing.turn is None or standing.problem:
        return
    try:
        standing.taken.append(standing.turn(round_))
    except FAILURES as error:
        standing.problem = reason(error)


def _take_down(name: str, standing: _Standing) -> None:
    """Its figures are taken: what goes wrong now is told, and spoils nothing."""
    if standing.entered is None:
        return
    try:
        standing.entered.__exit__(None, None, None)
    except FAILURES as error:
        say(f"{name}: taking down {standing.contender.name}: {reason(error)}")


def _told(standing: _Standing, measures: Sequence[Measure]) -> str:
    if standing.problem:
        return f"{standing.contender.name}: could not run: {standing.problem}"
    latest = standing.taken[-1]
    figures = [f"{measure.key} {number(latest[measure.key])} {measure.unit}" for measure in measures]
    return f"{standing.contender.name}: {', '.join(figures)}"


def _result(measure: Measure, standing: _Standing) -> Result:
    values = tuple(taken[measure.key] for taken in standing.taken)
    return Result(measure, standing.contender.name, standing.contender.ours, values, standing.problem)
