"""A launch and its turn: what it waits for costs it no time, what it is told, and what is kept of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from jupyterhub.spawner import SpawnException

from spawners.kube.queue import LaunchQueue
from spawners.kube.spawner import CANCELLED, FOR_EVER_S, TenantKubeSpawner
from spawners.refusal import Refusal
from tests.unit.spawners.kube import launches

JANE = "jane.doe@example.org"
TENANT = launches.tenant(members=[JANE])
WORKLOAD = launches.workload(JANE, "notebook", tenant=TENANT)
PATIENCE_S = 0.05


class Place:
    """The part of a KubeSite that a turn needs: one launch at once."""

    def __init__(self) -> None:
        self.launches_at_once = 1
        self.queue = LaunchQueue(lambda: 1)
        self.starts: list[str] = []

    def in_use(self, workload: Any) -> list[Any]:
        del workload
        return []

    @contextmanager
    def starting(self, workload: Any) -> Iterator[None]:
        self.starts.append(workload.id)
        try:
            yield
        finally:
            self.starts.remove(workload.id)


class Told:
    """What the recorder would be told."""

    def __init__(self) -> None:
        self.said: list[tuple[str, ...]] = []
        self.in_line = asyncio.Event()

    def waits(self, workload: Any) -> None:
        self.said.append(("waits",))
        self.in_line.set()

    def started(self, workload: Any) -> None:
        self.said.append(("started",))

    def cancelled(self, workload: Any, reason: str) -> None:
        self.said.append(("stopped", reason))

    async def ended(self, workload: Any, state: str, reason: str) -> None:
        self.said.append((state, reason))


class Spawner(TenantKubeSpawner):
    """Without a cluster, and without KubeSpawner's own beginning, which looks for one."""

    place: Place
    told: Told
    ends: Any = "http://192.0.2.9:8888"

    @property
    def site(self) -> Any:
        return self.place

    @property
    def notes(self) -> Any:
        return self.told

    async def _synced(self) -> Any:
        return SimpleNamespace()

    async def launch(self, cluster: Any, workload: Any, world: Any) -> str:
        self.say("being set up")
        if isinstance(self.ends, Exception):
            raise self.ends
        if self.ends is None:
            await asyncio.Event().wait()
        return str(self.ends)


def spawner(ends: Any = Spawner.ends) -> Spawner:
    made = Spawner.__new__(Spawner)
    made.place, made.told, made.ends = Place(), Told(), ends
    made.workload, made.world = WORKLOAD, launches.world(TENANT)
    made.start_timeout = 1
    made._patience_s = PATIENCE_S
    return made


def test_the_time_in_line_does_not_count_and_the_place_is_told() -> None:
    async def run() -> None:
        one = spawner()
        async with one.place.queue.turn("history"):
            task = one.start()
            assert one.start_timeout == FOR_EVER_S  # what JupyterHub measures with, from here on
            await asyncio.wait_for(one.told.in_line.wait(), 30)
            assert one.said == "1st in line"
            assert one.place.starts == [WORKLOAD.id]  # it holds its place in the quota meanwhile
            await asyncio.sleep(3 * PATIENCE_S)
            assert not task.done()
        assert await task == one.ends
        assert one.told.said == [("waits",), ("started",)]
        assert (one.place.queue.under_way, one.place.starts) == (0, [])

    asyncio.run(run())


def test_its_own_time_counts_from_its_turn_on() -> None:
    async def run() -> None:
        one = spawner(ends=None)
        with pytest.raises(SpawnException, match=r"not ready within 0 s: being set up"):
            await one.start()
        assert [said[0] for said in one.told.said] == ["started", "failed"]
        assert one.place.queue.under_way == 0

    asyncio.run(run())


def test_who_cancels_leaves_the_line() -> None:
    async def run() -> None:
        one = spawner()
        async with one.place.queue.turn("history"):
            task = one.start()
            await asyncio.wait_for(one.told.in_line.wait(), 30)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert one.place.queue.waiting == 0
        assert one.told.said == [("waits",), ("stopped", CANCELLED)]
        assert (one.place.queue.under_way, one.place.starts) == (0, [])

    asyncio.run(run())


def test_a_refusal_is_kept_in_the_words_that_are_told() -> None:
    async def run() -> None:
        one = spawner(ends=Refusal.of("place", "the image a:1 cannot be loaded"))
        with pytest.raises(SpawnException, match="a:1 cannot be loaded") as found:
            await one.start()
        assert found.value.status_code == 409
        assert one.told.said == [("started",), ("failed", "the image a:1 cannot be loaded")]

    asyncio.run(run())
