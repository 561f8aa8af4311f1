"""The watch on a real API server: what changes is seen, also what changes while nobody could watch."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from config.names import Keys, namespace
from spawners.kube.client import ApiError, Client, KubeError
from spawners.kube.index import Key, key_for
from spawners.kube.watch import Watch
from tests.cluster.bed import Bed, binaries, control, processes
from tests.cluster.kube import eventually
from tests.loops import run_apart

LOG = logging.getLogger("watch-test")
PATIENCE_S = 60.0

ControlPlane = Callable[[str], Bed]


def _keys(tenant: str) -> Keys:
    """Each test's own, so that no test sees what another one has left."""
    return Keys(f"{tenant}.example.org")


def _service(tenant: str, name: str) -> dict[str, Any]:
    keys = _keys(tenant)
    marks = {keys.owner: "ada", keys.workload: name}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace(tenant), "labels": marks},
        "spec": {"ports": [{"port": 80}]},
    }


@asynccontextmanager
async def _watching(bed: Bed, tenant: str) -> AsyncIterator[tuple[Client, Watch]]:
    """A client, and a watch with another one, in a namespace of the tenant's."""
    async with await Client.connect(bed.kubeconfig) as client, await Client.connect(bed.kubeconfig) as other:
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace(tenant)}}
        await client.request("POST", "/api/v1/namespaces", body=space)
        watch = Watch(other, _keys(tenant), LOG)
        watch.start()
        try:
            await asyncio.wait_for(watch.synced(), PATIENCE_S)
            yield client, watch
        finally:
            await watch.stop()


async def _seen(watch: Watch, key: Key, wanted: Callable[[list[Any]], bool]) -> list[Any]:
    """The Services of a workload once they are as wanted; woken by the watch alone."""

    def judge() -> list[Any] | None:
        found = watch.index.of(key, "Service")
        return found if wanted(found) else None

    return await asyncio.wait_for(watch.index.until(key, judge, look_again_s=3600), PATIENCE_S)


async def _again(act: Callable[[], Awaitable[Any]]) -> Any:
    """*act* until the API server is back. One that was started just now refuses what it has not read yet (403)."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                return await act()
            except KubeError as error:
                if isinstance(error, ApiError) and error.status not in (403, 429, 500, 503):
                    raise
            await asyncio.sleep(0.05)


def test_each_change_wakes_those_who_wait_for_it(control_plane: ControlPlane, unique: str) -> None:
    async def run() -> None:
        async with _watching(control_plane("none"), unique) as (client, watch):
            one, two = key_for(unique, "ada", "one"), key_for(unique, "ada", "two")
            waiter = asyncio.create_task(_seen(watch, one, bool))
            await client.apply(_service(unique, "two"))
            await _seen(watch, two, bool)
            assert not waiter.done()
            await client.apply(_service(unique, "one"))
            assert (await waiter)[0]["metadata"]["name"] == "one"
            assert await client.delete("Service", namespace(unique), "one")
            await _seen(watch, one, lambda found: not found)
            # its labels are taken away: it is nobody's workload any more
            patch = {"metadata": {"labels": {_keys(unique).workload: None}}}
            await client.merge("Service", namespace(unique), "two", patch)
            await _seen(watch, two, lambda found: not found)
            assert [one.lists for one in watch.health.values()] == [1] * len(watch.health)
            assert watch.problem == ""

    run_apart(run())


def test_only_workloads_are_followed(control_plane: ControlPlane, unique: str) -> None:
    async def run() -> None:
        async with _watching(control_plane("none"), unique) as (client, watch):
            stranger = _service(unique, "stranger")
            stranger["metadata"]["labels"] = {"app": "stranger"}
            await client.apply(stranger)
            await client.apply(_service(unique, "ours"))
            await _seen(watch, key_for(unique, "ada", "ours"), bool)
            names = {one["metadata"]["name"] for one in watch.index.every("Service")}
            assert names == {"ours"}

    run_apart(run())


def test_an_api_server_that_is_killed_costs_no_event(
    control_plane: ControlPlane, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    bed = control_plane("none")
    programs = binaries.ensure(only=binaries.CONTROL_PLANE)

    async def run() -> None:
        async with _watching(bed, unique) as (client, watch):
            for number in range(20):
                await client.apply(_service(unique, f"w{number}"))
            await _seen(watch, key_for(unique, "ada", "w19"), bool)
            await asyncio.to_thread(processes.stop, bed, "kube-apiserver", hard=True)
            await asyncio.to_thread(processes.stop, bed, "etcd")
            await asyncio.to_thread(eventually, "the watch says that it is behind", lambda: watch.problem)
            # Nothing is concluded from silence: what was there still is, as far as anybody knows.
            assert len(list(watch.index.every("Service"))) == 20
            waiters = [
                asyncio.create_task(_seen(watch, key_for(unique, "ada", f"w{number}"), lambda found: not found))
                for number in range(10)
            ]
            new = asyncio.create_task(_seen(watch, key_for(unique, "ada", "new"), bool))
            await asyncio.to_thread(control.start_api, bed, programs)
            for number in range(10):
                await _again(lambda number=number: client.delete("Service", namespace(unique), f"w{number}"))  # type: ignore[misc]
            await _again(lambda: client.apply(_service(unique, "new")))
            await asyncio.gather(new, *waiters)
            names = {one["metadata"]["name"] for one in watch.index.every("Service")}
            assert names == {"new", *(f"w{number}" for number in range(10, 20))}
            await asyncio.to_thread(eventually, "the watch is well again", lambda: not watch.problem)

    with caplog.at_level(logging.INFO, logger=LOG.name):
        run_apart(run())
    said = [record.getMessage() for record in caplog.records]
    for kind in ("Pod", "Service"):
        assert sum(line.startswith(f"Watch of {kind} is behind") for line in said) == 1, said
