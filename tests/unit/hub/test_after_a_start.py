"""What a hub does with records that its database does not agree with, and with people who have left. Decisions only:
the real processes are in tests/embedded/test_kill_points.py.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from config.demo import write_demo
from hub.embedded.place import LocalPlace, forgotten, half_stopped
from hub.leaving import left, reason, undeclared
from hub.revive import revive
from spawners.local.folder import Record
from spawners.local.site import LocalSite
from tests.unit.spawners.worlds import ASKED, launch, tenant, world

CRAWL = {"start_urls": ["https://example.org/"], "remote": "data"}


def record(owner: str = "physics-member", name: str = "lab", **more: Any) -> Record:
    workload = launch(owner, "crawl" if owner.startswith("tenant-") else "notebook",
                      CRAWL if owner.startswith("tenant-") else {}, name=name)  # fmt: skip
    return Record(workload=workload, **{"wanted": "running", "phase": "running", "changed": ASKED, **more})


@pytest.mark.parametrize(
    ("what", "known", "is_forgotten"),
    [
        (record(), {}, True),
        (record(phase="starting"), {}, True),
        (record(), {"physics-member": frozenset({"lab"})}, False),
        (record(), {"physics-member": frozenset({"other"})}, True),
        (record(), {"physics-admin": frozenset({"lab"})}, True),
        (record("tenant-physics"), {"tenant-physics": frozenset()}, True),
        (record(wanted="stopped"), {}, False),
        (record(wanted="stopped", phase="stopped"), {}, False),
        (record(phase="failed"), {}, False),
        (record(phase="finished"), {}, False),
    ],
)
def test_what_is_forgotten(what: Record, known: dict[str, frozenset[str]], is_forgotten: bool) -> None:
    assert forgotten([what], known) == ([what] if is_forgotten else [])


def test_a_stop_is_half_done_only_where_no_hub_is_at_it() -> None:
    begun = record(wanted="stopped", phase="running")
    assert half_stopped([begun, record(), record(wanted="stopped", phase="stopped")], {}) == [begun]
    assert half_stopped([begun], {"physics-member": frozenset({"lab"})}) == []


def test_only_people_leave() -> None:
    gone = world(tenants=[tenant("physics", members=["both-member"]), tenant("history")])
    theirs = record().workload
    others = [record("both-member").workload, record("tenant-physics").workload]
    assert left([theirs, *others], gone) == [theirs]
    assert left([theirs, *others], world()) == []
    assert "physics-member no longer belongs to physics" in reason(theirs)


def test_a_whole_tenant_that_is_gone_is_told_and_left_alone() -> None:
    without = world(tenants=[tenant("history")])
    both = [record().workload, record("tenant-physics").workload]
    assert left(both, without) == []
    assert undeclared(both, without) == both


def test_only_what_runs_is_looked_at(site: LocalSite) -> None:
    site.store.save(record())
    site.store.save(record(name="over", wanted="stopped", phase="stopped"))
    site.store.save(record(name="broken", wanted="stopped", phase="failed"))
    assert [one.name for one in asyncio.run(LocalPlace(site).live())] == ["lab"]


@pytest.fixture
def site(tmp_path: Path) -> LocalSite:
    write_demo(tmp_path / "world")
    site = LocalSite(tmp_path / "world", tmp_path / "state")
    site.state.make()
    return site


def test_a_persons_forgotten_server_is_ended_with_a_reason_even_if_no_hub_answers(site: LocalSite) -> None:
    site.store.save(record(port=1, process={"pid": 2**22, "created": 0.0}))
    site.store.save(record("tenant-physics", "yearly"))
    asyncio.run(
        revive(LocalPlace(site), lambda: ({}, False), "http://127.0.0.1:1/hub/api", "x", logging.getLogger("test"))
    )
    ended = site.store.record("physics", "physics-member", "lab")
    assert ended is not None
    assert (ended.wanted, ended.phase) == ("stopped", "failed")
    assert "lost its database" in ended.reason
    kept = site.store.record("physics", "tenant-physics", "yearly")
    assert kept is not None
    assert kept.wanted == "running", "it is tried again at the next start"


def test_what_the_hub_still_checks_is_looked_at_again(site: LocalSite) -> None:
    """A check that takes longer than the start may find that the server has ended."""
    site.store.save(record(port=1))
    looks = iter([({"physics-member": frozenset({"lab"})}, True), ({}, False)])
    asyncio.run(
        revive(LocalPlace(site), lambda: next(looks), "http://127.0.0.1:1/hub/api", "x", logging.getLogger("test"))
    )
    ended = site.store.record("physics", "physics-member", "lab")
    assert ended is not None
    assert ended.phase == "failed"
