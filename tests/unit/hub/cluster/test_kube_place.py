"""What the hub concludes from a cluster: what lives, what it takes back, what it leaves to people."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from hub.cluster import place as kube_place
from hub.cluster.place import KubePlace
from hub.leaving import end_left, left
from hub.revive import revive
from spawners.kube.client import KubeError
from spawners.workload import Workload
from tests.unit.spawners.kube import launches, objects

LOG = logging.getLogger("place-test")
NEWS = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news")
BOOK = launches.launch("physics-member", "notebook", name="lab")
CAMERA = launches.launch(launches.TENANT, "upload", launches.UPLOAD, name="camera")
NOWHERE = "http://127.0.0.1:1/hub/api"
"""Nobody answers there."""


class Site:
    """A KubeSite over an index in memory."""

    def __init__(self, *every: dict[str, Any], synced: bool = True) -> None:
        self.index = objects.index_of(every)
        self.declared = launches.world(launches.tenant())
        self.is_synced = asyncio.Event()
        if synced:
            self.is_synced.set()

    def world(self) -> Any:
        return self.declared

    async def cluster(self, log: logging.Logger) -> Any:
        del log
        return SimpleNamespace(watch=SimpleNamespace(index=self.index, synced=self.is_synced.wait, problem="away"))


def place_of(*every: dict[str, Any], synced: bool = True) -> KubePlace:
    return KubePlace(Site(*every, synced=synced), LOG)  # type: ignore[arg-type]


def ids(found: Any) -> set[str]:
    return {one.id for one in found}


def stopped(top: dict[str, Any]) -> dict[str, Any]:
    top["spec"] = {**top["spec"], "replicas": 0}
    return top


def test_what_lives_is_what_runs_or_waits_to() -> None:
    pod = objects.top_of(BOOK, objects.running())
    job = objects.job_of(NEWS, "29921475", "2026-11-21T19:15:02Z")
    place = place_of(objects.top_of(NEWS), job, pod, stopped(objects.top_of(CAMERA)))
    assert ids(asyncio.run(place.live())) == {NEWS.workload.id, BOOK.workload.id}


def test_an_object_that_claims_to_be_another_tenants_is_not_believed() -> None:
    forged = objects.top_of(BOOK, objects.running())
    forged["metadata"]["namespace"] = "tenant-history"
    assert asyncio.run(place_of(forged).live()) == []


def test_what_tenants_own_is_taken_back_and_what_people_own_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    place = place_of(objects.top_of(NEWS), objects.top_of(BOOK, objects.running()))

    async def looks() -> list[Any]:
        first = await place.after_start({}, LOG)
        again = await place.after_start({launches.TENANT: frozenset({"news"})}, LOG)
        return [first, again]

    with caplog.at_level(logging.WARNING):
        first, again = asyncio.run(looks())
    assert ids(first) == {NEWS.workload.id}
    assert ids(again) == set()
    told = [one.getMessage() for one in caplog.records if BOOK.workload.id in one.getMessage()]
    assert len(told) == 1, "said once, however often it is looked"


def test_orphans_are_what_lives_without_a_server() -> None:
    place = place_of(objects.top_of(NEWS), objects.top_of(BOOK, objects.running()))
    assert ids(asyncio.run(place.orphans("physics", {}))) == {NEWS.workload.id, BOOK.workload.id}
    known = {"physics-member": frozenset({"lab"}), launches.TENANT: frozenset({"other"})}
    assert ids(asyncio.run(place.orphans("physics", known))) == {NEWS.workload.id}
    assert ids(asyncio.run(place.orphans("history", {}))) == set()


def test_nothing_is_concluded_before_everything_was_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_place, "_SYNC_S", 0.01)
    for ask in (lambda place: place.live(), lambda place: place.orphans("physics", {})):
        with pytest.raises(KubeError, match="away"):
            asyncio.run(ask(place_of(objects.top_of(NEWS), synced=False)))


def test_the_reviver_asks_again_where_the_place_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub.revive._AWAY_S", 0.0)
    asked: list[Any] = []

    class Place:
        async def after_start(self, known: Any, log: Any) -> list[Workload]:
            del log
            asked.append(known)
            if len(asked) == 1:
                raise KubeError("away")
            return [NEWS.workload]

    looks = iter([({}, False), ({"ada": frozenset({"x"})}, True), ({}, False)])
    monkeypatch.setattr("hub.revive._LOOK_AGAIN_S", 0.0)
    asyncio.run(revive(Place(), lambda: next(looks), NOWHERE, "token", LOG))  # type: ignore[arg-type]
    assert asked == [{}, {"ada": frozenset({"x"})}, {}]


def test_who_has_left_loses_what_the_hub_knows_and_what_it_does_not() -> None:
    ended: list[tuple[str, str]] = []
    asked: list[str] = []

    class Place:
        async def end(self, workload: Workload, reason: str, log: Any) -> None:
            del log
            ended.append((workload.id, reason))

    async def stop(workload: Workload, reason: str) -> bool:
        del reason
        asked.append(workload.id)
        return workload.name == "known"

    without = launches.world(launches.tenant(members=[]))
    mine = [BOOK.workload, BOOK.workload.model_copy(update={"name": "known"}), NEWS.workload]
    gone = left(mine, without)
    assert [one.name for one in gone] == ["lab", "known"]
    asyncio.run(end_left(Place(), gone, stop, LOG))  # type: ignore[arg-type]
    assert len(asked) == 2
    assert [(one.split("/")[-1], "no longer belongs" in why) for one, why in ended] == [("lab", True)]
