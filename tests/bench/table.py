"""Figures into tables: statistics, ratios, Markdown. Pure; what is measured and how is the rows' matter."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

BEGIN = "<!-- bench: begin; `make bench ARGS=--write` writes what follows -->"
END = "<!-- bench: end -->"
NOTHING = "–"
_HEAD = ("measure", "of", "rounds", "min", "median", "max", "ours is better by")
_NUMBERS_FROM = 2  # the first column that is aligned to the right


@dataclass(frozen=True)
class Measure:
    """What one figure says. *key* is what the code calls it; *unit* is written behind the title."""

    key: str
    title: str
    unit: str
    better: Literal["less", "more"] = "less"


@dataclass(frozen=True)
class Result:
    """The figures of one contender for one measure, in the order they were taken."""

    measure: Measure
    contender: str
    ours: bool
    values: tuple[float, ...]
    problem: str = ""
    """Why there are no figures, or no more of them; empty where all is well."""


@dataclass(frozen=True)
class Section:
    """One row of the benchmark: its results, and sentences that a reader needs beside them."""

    name: str
    title: str
    results: tuple[Result, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Least, median and greatest of some figures."""

    least: float
    median: float
    greatest: float


def spread(values: Sequence[float]) -> Spread | None:
    """The spread of *values*; None where there are none."""
    return Spread(min(values), statistics.median(values), max(values)) if values else None


def times_better(measure: Measure, ours: Sequence[float], peers: Sequence[float]) -> float | None:
    """The ratio of the medians, turned so that more than 1 means that ours is better.

    None where one side has no figures, or where a median is 0 and there is no ratio.
    """
    if not ours or not peers:
        return None
    own, other = statistics.median(ours), statistics.median(peers)
    above, below = (other, own) if measure.better == "less" else (own, other)
    return above / below if above and below else None


def number(value: float) -> str:
    """Three digits that count, never an exponent: 0.012, 1.23, 45.6, 789, 12,345."""
    size = abs(value)
    if size == int(size) and size < 1000:
        return f"{value:.0f}"
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{decimals}f}"


def render(section: Section) -> str:
    """The section in Markdown, which reads as well in a terminal: title, table, notes, what could not run."""
    lines = [f"### {section.title}", ""]
    rows = [_row(result, section.results) for result in section.results]
    if rows:
        lines += [*_aligned([_HEAD, *rows]), ""]
    notes = [*section.notes, *_problems(section.results)]
    if notes:
        lines += [*(f"- {note}" for note in notes), ""]
    return "\n".join(lines)


def written(page: str, block: str) -> str:
    """*page* with *block* between its markers. ValueError where they are missing, double, or the wrong way round."""
    if page.count(BEGIN) != 1 or page.count(END) != 1 or page.index(BEGIN) > page.index(END):
        raise ValueError(f"the page must hold the lines {BEGIN!r} and {END!r} once each, in this order")
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    return f"{before}{BEGIN}\n\n{block.strip()}\n\n{END}{after}"


def one_line(text: str, longest: int = 300) -> str:
    """*text* without line breaks, so that it fits into a list; its end where it is long: that is where a cause is."""
    flat = " ".join(text.split())
    return flat if len(flat) <= longest else f"… {flat[-longest:]}"


def _row(result: Result, among: Sequence[Result]) -> tuple[str, ...]:
    title = f"{result.measure.title} ({result.measure.unit})"
    figures = spread(result.values)
    if figures is None:
        return (title, result.contender, "0", NOTHING, NOTHING, NOTHING, NOTHING)
    cells = [number(value) for value in (figures.least, figures.median, figures.greatest)]
    return (title, result.contender, str(len(result.values)), *cells, _ratio(result, among))


def _ratio(result: Result, among: Sequence[Result]) -> str:
    of_measure = [other for other in among if other.measure == result.measure]
    if result.ours:
        return NOTHING if any(not other.ours for other in of_measure) else "no peer"
    own = next((other.values for other in of_measure if other.ours), ())
    ratio = times_better(result.measure, own, result.values)
    return NOTHING if ratio is None else f"{ratio:.2f} ×"


def _problems(results: Iterable[Result]) -> list[str]:
    """One line for each contender that has a problem, not one for each of its measures."""
    told = {}
    for result in results:
        if result.problem:
            rounds = f"after {len(result.values)} rounds: " if result.values else ""
            told[result.contender] = f"{result.contender} could not run: {rounds}{one_line(result.problem)}"
    return list(told.values())


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    rows = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.ljust(width) if column < _NUMBERS_FROM else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * width if column < _NUMBERS_FROM else f"{'-' * (width - 1)}:" for column, width in enumerate(widths)]
    return [line(rows[0]), line(rule), *(line(row) for row in rows[1:])]
