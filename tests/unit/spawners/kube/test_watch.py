"""The watch against an API server of the test's own making, which answers what real ones seldom do."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, cast

import pytest

from config.names import Keys
from spawners.kube import watch as module
from spawners.kube.client import ApiError, Client, KubeError
from spawners.kube.index import Index, Key
from spawners.kube.watch import Watch

KEYS = Keys("example.org")
LOG = logging.getLogger("watch-test")
ONE = Key("tenant-a", "ada", "one")
Step = Exception | list[dict[str, Any]]


def pod(name: str, version: int, uid: str = "", **labels: str) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "tenant-a",
            "uid": uid or name,
            "resourceVersion": str(version),
            "creationTimestamp": "2026-11-21T10:00:00Z",
            "labels": {"example.org/owner": "ada", "example.org/workload": name, **labels},
            "managedFields": [{}],
        },
        "spec": {"nodeName": "n1", "volumes": [{}], "containers": [{"name": "main", "env": [{}]}]},
        "status": {"phase": "Running"},
    }


def event(sort: str, found: dict[str, Any]) -> dict[str, Any]:
    return {"type": sort, "object": found}


class Server:
    """Lists and streams by script; when that is at its end, a stream stays silent."""

    def __init__(self, lists: list[list[dict[str, Any]]], streams: list[Step]) -> None:
        self.lists, self.streams = lists, streams
        self.asked: list[str] = []
        self.idle = asyncio.Event()

    async def page(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        del path, query
        self.asked.append("list")
        items = self.lists.pop(0)
        return {"metadata": {"resourceVersion": str(100 * (self.asked.count("list")))}, "items": items}

    async def lines(
        self, path: str, query: Mapping[str, str], silent_s: float, begun: Callable[[], None]
    ) -> AsyncIterator[bytes]:
        del path, silent_s
        assert query["allowWatchBookmarks"] == "true"
        self.asked.append(query["resourceVersion"])
        step = self.streams.pop(0) if self.streams else None
        if isinstance(step, Exception):
            raise step
        begun()
        for one in step or []:
            yield json.dumps(one).encode()
        if step is None:
            self.idle.set()
            await asyncio.sleep(3600)


def follow(lists: list[list[dict[str, Any]]], streams: list[Step]) -> tuple[Watch, Server]:
    """The watch of Pods when the script is at its end."""

    async def run() -> tuple[Watch, Server]:
        server = Server(lists, streams)
        watch = Watch(cast(Client, server), KEYS, LOG, kinds=("Pod",))
        watch.start()
        await asyncio.wait_for(server.idle.wait(), 30)
        await watch.stop()
        return watch, server

    return asyncio.run(run())


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_FIRST_PAUSE_S", 0.001)
    monkeypatch.setattr(module, "_LONGEST_PAUSE_S", 0.002)


def names(watch: Watch) -> set[str]:
    return {one["metadata"]["name"] for one in watch.index.every("Pod")}


def test_it_goes_on_from_the_last_version_also_from_that_of_a_bookmark() -> None:
    bookmark = event("BOOKMARK", {"metadata": {"resourceVersion": "150"}})
    steps: list[Step] = [[event("ADDED", pod("two", 101))], [bookmark], [event("DELETED", pod("one", 151))]]
    watch, server = follow([[pod("one", 90)]], steps)
    assert server.asked == ["list", "100", "101", "150", "151"]
    assert names(watch) == {"two"}


@pytest.mark.parametrize(
    "gone",
    [
        ApiError(410, {"message": "too old resource version"}, "GET"),
        [event("ERROR", {"kind": "Status", "code": 410, "message": "too old resource version"})],
    ],
)
def test_what_went_while_the_version_was_lost_is_found_by_the_new_list(gone: Step) -> None:
    watch, server = follow([[pod("one", 90), pod("two", 91)], [pod("two", 91), pod("three", 160)]], [gone])
    assert server.asked == ["list", "100", "list", "200"]
    assert names(watch) == {"two", "three"}
    assert watch.index.of(ONE, "Pod") == []


def test_a_server_that_is_away_is_said_once_and_costs_no_knowledge(caplog: pytest.LogCaptureFixture) -> None:
    away: list[Step] = [KubeError("refused"), KubeError("refused"), ApiError(500, {"message": "etcd"}, "GET")]
    with caplog.at_level(logging.WARNING, logger=LOG.name):
        watch, server = follow([[pod("one", 90)]], away)
    assert server.asked == ["list", "100", "100", "100", "100"]
    assert names(watch) == {"one"}
    assert watch.problem == "", "the last stream has begun"
    said = [record.getMessage() for record in caplog.records]
    assert said[0].partition(":")[0] == "Watch of Pod is behind, trying again"
    assert len(said) == 2, said


def test_an_object_that_nobody_can_read_does_not_end_the_watch() -> None:
    broken = event("ADDED", {"metadata": {}})
    watch, server = follow([[pod("one", 90)], [pod("one", 90), pod("two", 102)]], [[broken]])
    assert server.asked == ["list", "100", "list", "200"]
    assert names(watch) == {"one", "two"}


def test_nothing_is_synced_before_the_first_list() -> None:
    async def run() -> None:
        watch = Watch(cast(Client, Server([], [])), KEYS, LOG, kinds=("Pod",))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(watch.synced(), 0.01)

    asyncio.run(run())


def test_an_index_keeps_what_is_read_and_moves_with_the_labels() -> None:
    index = Index(KEYS)
    index.put({**pod("one", 1), "kind": "Pod"})
    (kept,) = index.of(ONE, "Pod")
    assert "managedFields" not in kept["metadata"]
    assert kept["spec"] == {"nodeName": "n1", "containers": [{"name": "main"}]}
    index.put({**pod("one", 2, **{"example.org/workload": "other"}), "kind": "Pod"})
    assert index.of(ONE, "Pod") == []
    assert len(index.of(Key("tenant-a", "ada", "other"), "Pod")) == 1
    index.drop({**pod("one", 3), "kind": "Pod"})
    assert list(index.every("Pod")) == []


def test_a_waiter_sees_a_change_that_comes_between_its_look_and_its_wait() -> None:
    async def run() -> None:
        index = Index(KEYS)
        looks = 0

        def judge() -> bool | None:
            nonlocal looks
            looks += 1
            if looks == 1:  # as if the watch had put it in right after the look
                index.put({**pod("one", 1), "kind": "Pod"})
                return None
            return bool(index.of(ONE, "Pod")) or None

        assert await asyncio.wait_for(index.until(ONE, judge, look_again_s=3600), 10)

    asyncio.run(run())
