"""Contenders take turns, and none takes another with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest

from tests.bench.contest import CannotRun, Contender, Turn, contest
from tests.bench.table import Measure

MEASURE = Measure("t", "time", "s")


class Diary:
    """What happened, in order."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def contender(
        self,
        name: str,
        *,
        fails_in: int | None = None,
        setting_up: BaseException | None = None,
        taking_down: BaseException | None = None,
    ) -> Contender:
        @contextmanager
        def ready() -> Iterator[Turn]:
            self.lines.append(f"{name} up")
            if setting_up is not None:
                raise setting_up
            try:
                yield turn
            finally:
                self.lines.append(f"{name} down")
            if taking_down is not None:
                raise taking_down

        def turn(round_: int) -> dict[str, float]:
            self.lines.append(f"{name}{round_}")
            if round_ == fails_in:
                raise CannotRun(f"{name} broke")
            return {"t": float(round_)}

        made: Callable[[], AbstractContextManager[Turn]] = ready
        return Contender(name, made, ours=name == "A")


def test_turns_alternate_and_everything_is_taken_down() -> None:
    diary = Diary()
    results = contest("x", [MEASURE], [diary.contender("A"), diary.contender("B")], 3)
    turns = ["A1", "B1", "A2", "B2", "A3", "B3"]
    assert diary.lines == ["A up", "B up", *turns, "B down", "A down"]
    assert [(result.contender, result.ours, result.values) for result in results] == [
        ("A", True, (1.0, 2.0, 3.0)),
        ("B", False, (1.0, 2.0, 3.0)),
    ]


def test_one_that_breaks_keeps_its_figures_and_takes_no_further_turn() -> None:
    diary = Diary()
    results = contest("x", [MEASURE], [diary.contender("A"), diary.contender("B", fails_in=2)], 3)
    assert [(result.values, result.problem) for result in results] == [
        ((1.0, 2.0, 3.0), ""),
        ((1.0,), "B broke"),
    ]
    assert "B3" not in diary.lines and "B down" in diary.lines


@pytest.mark.parametrize(
    "error", [OSError("no program"), AssertionError("no program"), pytest.fail.Exception("no program")]
)
def test_one_that_cannot_be_set_up_leaves_the_others(error: BaseException) -> None:
    diary = Diary()
    results = contest("x", [MEASURE], [diary.contender("A", setting_up=error), diary.contender("B")], 2)
    assert [(result.values, result.problem) for result in results] == [((), "no program"), ((1.0, 2.0), "")]


def test_a_failure_while_taking_down_is_told_and_spoils_no_figure(capsys: pytest.CaptureFixture[str]) -> None:
    diary = Diary()
    results = contest("x", [MEASURE], [diary.contender("A"), diary.contender("B", taking_down=OSError("stuck"))], 1)
    assert [result.values for result in results] == [(1.0,), (1.0,)]
    assert diary.lines[-2:] == ["B down", "A down"]
    assert "taking down B: stuck" in capsys.readouterr().err


def test_an_interruption_ends_the_contest_and_takes_all_down() -> None:
    diary = Diary()

    @contextmanager
    def interrupted() -> Iterator[Turn]:
        def turn(_: int) -> dict[str, float]:
            raise KeyboardInterrupt

        yield turn

    with pytest.raises(KeyboardInterrupt):
        contest("x", [MEASURE], [diary.contender("A"), Contender("B", interrupted)], 2)
    assert diary.lines == ["A up", "A1", "A down"]
