"""Events: a few launches ask for their own, a crowd shares one list."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from spawners.kube import events
from spawners.kube.client import Client, KubeError
from spawners.kube.events import FEW, FRESH_S, Events, by_object, is_crowd

SPACE = "tenant-physics"
CROWD = [f"pod-{number}" for number in range(FEW + 3)]


def event(uid: str, reason: str, at: str = "2026-11-21T10:00:00Z") -> dict[str, Any]:
    return {"involvedObject": {"uid": uid}, "reason": reason, "lastTimestamp": at}


class Told:
    """A client that has one Event of each Pod of the crowd."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.now = 1000.0
        self.error: KubeError | None = None
        self.listing = asyncio.Event()

    async def events(self, namespace: str, uid: str) -> list[dict[str, Any]]:
        self.asked.append(uid)
        return [event(uid, "FailedMount")]

    async def all(self, path: str) -> list[dict[str, Any]]:
        self.asked.append(path)
        self.listing.set()
        await asyncio.sleep(0)
        if self.error:
            raise self.error
        return [event(uid, "FailedMount") for uid in CROWD]

    def shared(self) -> Events:
        return Events(cast(Client, self), lambda: self.now)


def test_a_few_are_asked_for_by_themselves() -> None:
    client = Told()

    async def ask() -> list[Any]:
        return list(await client.shared().of(SPACE, ["pod-1", "job-1"]))

    assert [one["involvedObject"]["uid"] for one in asyncio.run(ask())] == ["pod-1", "job-1"]
    assert client.asked == ["pod-1", "job-1"]


def test_many_launches_share_one_list_and_each_gets_its_own() -> None:
    client = Told()

    async def ask() -> list[list[Any]]:
        shared = client.shared()
        return [list(one) for one in await asyncio.gather(*(shared.of(SPACE, [uid]) for uid in CROWD))]

    found = asyncio.run(ask())
    assert [[one["involvedObject"]["uid"] for one in each] for each in found] == [[uid] for uid in CROWD]
    assert client.asked == [*CROWD[:FEW], f"/api/v1/namespaces/{SPACE}/events"]


def test_an_answer_is_used_while_it_is_fresh_and_no_longer() -> None:
    client = Told()
    path = f"/api/v1/namespaces/{SPACE}/events"

    async def ask() -> None:
        shared = client.shared()
        for _ in range(2):
            await asyncio.gather(*(shared.of(SPACE, [uid]) for uid in CROWD))
        assert client.asked.count(path) == 1
        client.now += FRESH_S
        await asyncio.gather(*(shared.of(SPACE, [uid]) for uid in CROWD))

    asyncio.run(ask())
    assert client.asked.count(path) == 2


def test_who_gives_up_takes_the_answer_from_nobody() -> None:
    client = Told()

    async def ask() -> list[Any]:
        shared = client.shared()
        tasks = [asyncio.create_task(shared.of(SPACE, [uid])) for uid in CROWD]
        await client.listing.wait()
        tasks[FEW].cancel()
        found = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(found[FEW], asyncio.CancelledError)
        return [one for number, one in enumerate(found) if number != FEW]

    assert all(not isinstance(one, BaseException) and one for one in asyncio.run(ask()))


def test_a_server_that_is_away_is_told_to_all() -> None:
    client = Told()
    client.error = KubeError("away")

    async def ask() -> list[Any]:
        shared = client.shared()
        return await asyncio.gather(*(shared.of(SPACE, [uid]) for uid in CROWD), return_exceptions=True)

    assert [isinstance(one, KubeError) for one in asyncio.run(ask())] == [False] * FEW + [True] * (len(CROWD) - FEW)


def test_nothing_is_kept_once_nobody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "FRESH_S", 0.0)
    client = Told()

    async def ask() -> dict[str, Any]:
        shared = client.shared()
        await shared.of(SPACE, ["pod-1"])
        forgotten = asyncio.Event()
        asyncio.get_running_loop().call_later(0.0, forgotten.set)  # after the one that `of` has asked for
        await forgotten.wait()
        return shared._spaces

    assert not asyncio.run(ask())


def test_only_who_asked_lately_makes_a_crowd() -> None:
    lately = dict.fromkeys(CROWD, 1000.0)
    assert is_crowd(lately, 1000.0)
    assert not is_crowd(lately, 1000.0 + FRESH_S)
    assert not is_crowd(dict.fromkeys(CROWD[:FEW], 1000.0), 1000.0)


def test_events_are_told_oldest_first() -> None:
    late, early = event("a", "Started", "2026-11-21T10:00:09Z"), event("a", "Pulling", "2026-11-21T10:00:01Z")
    without = {"involvedObject": {"uid": "a"}, "reason": "Scheduled", "eventTime": None}
    assert by_object([late, event("b", "Pulled"), without, early])["a"] == [without, early, late]
