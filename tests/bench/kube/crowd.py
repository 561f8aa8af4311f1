"""Many launches at once, by REST, as browsers do them: ask, then follow the launch's progress until it says ready."""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.bench.contest import CannotRun
from tests.bench.kube.hubs import BenchHub
from tests.bench.table import one_line

SERVER = "bench"
PATIENCE_S = 300
"""For one launch, and for all stops; a hub gives up itself long before."""


@dataclass(frozen=True)
class Ask:
    """One launch to ask for."""

    owner: str
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = SERVER


@dataclass(frozen=True)
class Launched:
    """How one launch went. Seconds since it was asked for; 0 where it did not come so far."""

    ready_s: float = 0.0
    """Until the hub said that it is ready."""
    answers_s: float = 0.0
    """Until it answered 200 itself, through the proxy."""
    problem: str = ""
    """What the hub said of a launch that failed; "" where it went well."""


@dataclass(frozen=True)
class Crowd:
    """How a crowd of launches went; *whole_s* from the first request to the end of the last launch."""

    launched: tuple[Launched, ...]
    whole_s: float

    @property
    def good(self) -> list[float]:
        """Seconds until ready of those that went well, the quickest first."""
        return sorted(one.ready_s for one in self.launched if not one.problem)

    @property
    def median_s(self) -> float:
        """Of those that went well; 0 where none did."""
        return statistics.median(self.good) if self.good else 0.0

    @property
    def slow_s(self) -> float:
        """The 95th percentile (nearest rank) of those that went well; 0 where none did."""
        good = self.good
        return good[max(0, -(-len(good) * 95 // 100) - 1)] if good else 0.0

    @property
    def failed(self) -> int:
        """How many did not."""
        return len(self.launched) - len(self.good)

    def problems(self) -> str:
        """What was said of the failed ones, each text once with how often."""
        told = Counter(one.problem for one in self.launched if one.problem)
        return "; ".join(f"{count} ×: {text}" for text, count in told.most_common(3))


def events(line: bytes) -> dict[str, Any] | None:
    """The event in a line of the hub's progress stream (text/event-stream); None for a line without one."""
    if not line.startswith(b"data:"):
        return None
    found: dict[str, Any] = json.loads(line[5:])
    return found


def launch(hub: BenchHub, asks: Sequence[Ask], at_once: int = 0) -> Crowd:
    """Ask for all of *asks*, at most so many *at_once* (0: all), and follow each to its end."""
    return asyncio.run(_launch(hub, asks, at_once or len(asks)))


def stop(hub: BenchHub, asks: Sequence[Ask]) -> float:
    """Stop them all and wait until the hub has none of them any more; seconds."""
    return asyncio.run(_stop(hub, asks))


def _session(hub: BenchHub) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        hub.url,
        headers={"Authorization": f"token {hub.token}"},
        # A connection each: the proxy may close one that waits just as the next request goes out on it.
        connector=aiohttp.TCPConnector(limit=0, force_close=True),
        timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        trust_env=False,
    )


async def _launch(hub: BenchHub, asks: Sequence[Ask], at_once: int) -> Crowd:
    places = asyncio.Semaphore(at_once)

    async def one(session: aiohttp.ClientSession, ask: Ask) -> Launched:
        async with places:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    return await _one(session, ask)
            except (aiohttp.ClientError, TimeoutError) as error:
                return Launched(problem=one_line(f"{type(error).__name__}: {error}"))

    async with _session(hub) as session:
        began = time.perf_counter()
        launched = await asyncio.gather(*(one(session, ask) for ask in asks))
        return Crowd(tuple(launched), time.perf_counter() - began)


async def _one(session: aiohttp.ClientSession, ask: Ask) -> Launched:
    began = time.perf_counter()
    server = f"/hub/api/users/{ask.owner}/servers/{ask.name}"
    async with session.post(server, json={"user_options": dict(ask.options)}) as answer:
        if answer.status not in (201, 202):
            return Launched(problem=one_line(f"{answer.status}: {await answer.text()}", 200))
    if answer.status == 202 and (problem := await _followed(session, server)):
        return Launched(problem=one_line(problem, 200))
    ready_s = time.perf_counter() - began
    while True:
        async with session.get(f"/user/{ask.owner}/{ask.name}/api/status") as answer:
            if answer.status == 200:
                return Launched(ready_s, time.perf_counter() - began)
        await asyncio.sleep(0.02)


async def _followed(session: aiohttp.ClientSession, server: str) -> str:
    """Follow a launch until it is ready; what was said where it failed."""
    async with session.get(f"{server}/progress") as stream:
        if stream.status != 200:  # it has failed already: the hub no longer knows that it was starting
            return f"it failed at once ({stream.status}: {await stream.text()})"
        async for line in stream.content:
            event = events(line) or {}
            if event.get("ready"):
                return ""
            if event.get("failed"):
                return str(event.get("message"))
    return "its progress ended without a word"


async def _stop(hub: BenchHub, asks: Sequence[Ask]) -> float:
    async def one(session: aiohttp.ClientSession, ask: Ask) -> None:
        path = f"/hub/api/users/{ask.owner}"
        async with session.delete(f"{path}/servers/{ask.name}") as answer:
            if answer.status not in (202, 204, 400, 404):
                answer.raise_for_status()
        while True:
            async with session.get(path) as answer:
                if ask.name not in (await answer.json()).get("servers", {}):
                    return
            await asyncio.sleep(0.05)

    async with _session(hub) as session:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(PATIENCE_S):
                await asyncio.gather(*(one(session, ask) for ask in asks))
        except TimeoutError:
            raise CannotRun(f"not all of {len(asks)} servers were stopped within {PATIENCE_S} s") from None
        return time.perf_counter() - began
