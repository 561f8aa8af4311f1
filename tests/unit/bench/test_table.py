"""Figures into tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.bench.table import (
    BEGIN,
    END,
    Measure,
    Result,
    Section,
    Spread,
    number,
    one_line,
    render,
    spread,
    times_better,
    written,
)

TIME = Measure("t", "start → page", "s")
RATE = Measure("r", "one file", "MB/s", "more")


def lines(section: Section) -> list[list[str]]:
    """The table's cells, without its head."""
    table = [line for line in render(section).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table[2:]]


def test_the_spread_is_that_of_all_values() -> None:
    assert spread([3.0, 1.0, 10.0]) == Spread(1.0, 3.0, 10.0)
    assert spread([1.0, 2.0]) == Spread(1.0, 1.5, 2.0)
    assert spread([]) is None


@pytest.mark.parametrize(
    ("measure", "ours", "peers", "ratio"),
    [
        (TIME, [1.0, 2.0, 3.0], [4.0], 2.0),
        (TIME, [4.0], [1.0], 0.25),
        (RATE, [100.0], [50.0], 2.0),
        (RATE, [50.0], [100.0], 0.5),
        (RATE, [], [100.0], None),
        (RATE, [100.0], [], None),
        (TIME, [0.0], [1.0], None),
        (TIME, [1.0], [0.0], None),
    ],
)
def test_more_than_one_always_means_that_ours_is_better(
    measure: Measure, ours: list[float], peers: list[float], ratio: float | None
) -> None:
    assert times_better(measure, ours, peers) == ratio


@given(st.lists(st.floats(0.001, 1e6), min_size=1), st.lists(st.floats(0.001, 1e6), min_size=1))
def test_changing_sides_inverts_the_ratio(ours: list[float], peers: list[float]) -> None:
    there, back = times_better(TIME, ours, peers), times_better(TIME, peers, ours)
    assert there is not None and back is not None
    assert there * back == pytest.approx(1)
    assert times_better(RATE, ours, peers) == pytest.approx(back)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.01234, "0.012"),
        (1.234, "1.23"),
        (3, "3"),
        (45.67, "45.7"),
        (789.1, "789"),
        (12345.6, "12,346"),
        (2000, "2,000"),
    ],
)
def test_numbers_keep_the_digits_that_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_table_has_a_line_for_each_measure_and_contender() -> None:
    section = Section(
        "upload",
        "Upload",
        (
            Result(TIME, "ours", True, (1.0, 2.0, 3.0)),
            Result(TIME, "peer", False, (3.0, 3.0)),
            Result(RATE, "ours", True, (10.0,)),
            Result(RATE, "peer", False, (40.0,)),
        ),
        ("What it is.",),
    )
    assert lines(section) == [
        ["start → page (s)", "ours", "3", "1", "2", "3", "–"],
        ["start → page (s)", "peer", "2", "3", "3", "3", "1.50 ×"],
        ["one file (MB/s)", "ours", "1", "10", "10", "10", "–"],
        ["one file (MB/s)", "peer", "1", "40", "40", "40", "0.25 ×"],
    ]
    text = render(section)
    assert text.startswith("### Upload\n") and "- What it is." in text
    widths = {len(line) for line in text.splitlines() if line.startswith("|")}
    assert len(widths) == 1, "the columns are not aligned"


def test_without_a_peer_the_table_says_so() -> None:
    assert lines(Section("w", "World", (Result(TIME, "ours", True, (1.0,)),)))[0][-1] == "no peer"


def test_what_could_not_run_has_its_reason_once_and_the_figures_it_got() -> None:
    broken = "no\nproxy"
    section = Section(
        "s",
        "S",
        (
            Result(TIME, "ours", True, (1.0,)),
            Result(TIME, "peer", False, (), broken),
            Result(RATE, "ours", True, (1.0,)),
            Result(RATE, "peer", False, (), broken),
        ),
    )
    assert [row[2:] for row in lines(section)][1] == ["0", "–", "–", "–", "–"]
    assert render(section).count("- peer could not run: no proxy") == 1
    stopped = Section("s", "S", (Result(TIME, "peer", False, (1.0, 2.0), "it ended"),))
    assert "- peer could not run: after 2 rounds: it ended" in render(stopped)
    assert lines(stopped)[0][3:6] == ["1", "1.50", "2"]


def test_a_row_that_could_not_even_begin_is_only_its_reason() -> None:
    text = render(Section("s", "Second start", notes=("could not run: no Node",)))
    assert text.splitlines() == ["### Second start", "", "- could not run: no Node"]


def test_a_bar_in_a_name_does_not_break_the_table() -> None:
    assert "a \\| b" in render(Section("s", "S", (Result(TIME, "a | b", True, (1.0,)),)))


def test_long_reasons_keep_their_end() -> None:
    assert one_line("a\n  b\tc") == "a b c"
    assert one_line("x" * 50 + " the cause", 9) == "… the cause"


def test_the_page_around_the_tables_stays() -> None:
    page = f"# Title\n\n{BEGIN}\nold\n{END}\n\nAfter.\n"
    once = written(page, "new\n")
    assert once == f"# Title\n\n{BEGIN}\n\nnew\n\n{END}\n\nAfter.\n"
    assert written(once, "new\n") == once


@pytest.mark.parametrize("page", ["", BEGIN, END, f"{END}\n{BEGIN}", f"{BEGIN}\n{BEGIN}\n{END}"])
def test_a_page_without_its_markers_is_left_alone(page: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        written(page, "new")
