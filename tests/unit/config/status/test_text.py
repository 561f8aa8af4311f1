"""The text: at most 100 columns, a word with every symbol, no colours unless asked for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.status.model import Report
from config.status.paint import WIDTH, Paint
from config.status.text import as_text
from tests.unit.config.status.cluster import (
    EARLY,
    LATE,
    announcement,
    event,
    healthy,
    node,
    objects,
    pod,
    service,
    told,
)
from tests.unit.config.status.test_report import answers
from tests.unit.config.worlds import compare

GOLDEN = Path(__file__).parents[3] / "data" / "status"
APP = {"app": "ftp"}
ANSI = re.compile(r"\x1b\[[0-9;]*m")


def good() -> Report:
    return told(healthy(answers=answers(), tested="physics", pods=(pod("a", "n1"),)))


def night(only: str | None = None) -> Report:
    """A node died, a Pod is where it must not be, an object is gone, a Service waits."""
    seen = healthy(
        objects=objects(without=["LimitRange tenanthub"]),
        nodes={**healthy().nodes, "n1": node("n1", ready="Unknown")},
        pods=(pod("ftp-0", "n2", labels=APP), pod("stray", "n3")),
        services=(
            service("ftp", "192.0.2.10", "2001:db8:120::10", selector=APP),
            service("web", annotations={"metallb.io/loadBalancerIPs": "192.0.2.15"}),
        ),
        announcements=(announcement("ftp", "n1", EARLY), announcement("ftp", "n2", LATE)),
        events=(event("web", "AllocationFailed", 'Failed to allocate IP for "tenant-physics/web": no available IPs'),),
        answers=answers(),
        tested="physics",
    )
    return told(seen, only=only)


@pytest.mark.parametrize(
    ("name", "table"), [("good-table", True), ("night-table", True), ("good-block", False), ("night-block", False)]
)
def test_goldens(name: str, table: bool, pytestconfig: pytest.Config) -> None:
    only = None if table else "physics"
    found = night(only) if name.startswith("night") else told(healthy(answers=answers(), tested="physics"), only=only)
    compare(GOLDEN / f"{name}.txt", as_text(found, Paint(), table=table) + "\n", pytestconfig)


@pytest.mark.parametrize("table", [True, False])
@pytest.mark.parametrize("paint", [Paint(), Paint(colour=True), Paint(plain=True)])
def test_every_line_fits(table: bool, paint: Paint) -> None:
    for found in (good(), night()):
        for line in as_text(found, paint, table=table).splitlines():
            assert len(ANSI.sub("", line)) <= WIDTH, line


def test_colours_only_where_asked_for_and_never_alone() -> None:
    plain, coloured = as_text(night(), Paint(), table=True), as_text(night(), Paint(colour=True), table=True)
    assert "\x1b" not in plain
    assert ANSI.sub("", coloured) == plain and coloured != plain
    assert "ALARM" in plain


def test_a_terminal_that_knows_only_ascii() -> None:
    as_text(night(), Paint(plain=True), table=False).encode("ascii")


def test_a_stray_pod_is_said_loudly() -> None:
    text = as_text(night("physics"), Paint(), table=False)
    assert "ELSEWHERE" in text and "tenant-physics/stray on n3" in text
    assert text.splitlines()[-1].startswith("1 ALARM: a wall between tenants does not hold")


def test_an_address_that_moved_names_both_nodes() -> None:
    text = " ".join(as_text(night("physics"), Paint(), table=False).split())
    assert "announced by n2 (vlan120); no longer by n1, though its ServiceL2Status is still there" in text


def test_one_line_a_tenant() -> None:
    rows = [line for line in as_text(good(), Paint(), table=True).splitlines() if " Active " in line]
    assert len(rows) == 3 and all(line.endswith("as declared") for line in rows)
