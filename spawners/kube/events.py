"""What the cluster says of launches that take long: their Events, asked for by many launches at once.

The API server answers each list of Events by reading all of the namespace's, whatever was asked for: etcd keeps them by
name, and they are in no cache of its (Kubernetes, kube-apiserver, `--watch-cache-sizes`). Fifty launches of one tenant
that ask each for themselves make it read them all fifty times, just while it has most to do. So a few ask for their
own ones, and many share one list of the namespace.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from spawners.kube.client import Client, oldest_first, path_of
from spawners.kube.index import Object
from spawners.kube.look import at

FRESH_S = 4.0
"""So old may an answer be that a launch takes from another's."""
FEW = 2
"""So many objects at a time are asked for by themselves: of a single launch, its Pod and what has made that."""


def is_crowd(asked: Mapping[str, float], now: float) -> bool:
    """Whether more than a few objects were asked for lately; *asked*: when last, by uid, in seconds as *now*."""
    return sum(now - when < FRESH_S for when in asked.values()) > FEW


def by_object(every: Iterable[dict[str, Any]]) -> dict[str, list[Object]]:
    """Events by the uid of what they are about, each list oldest first."""
    found: dict[str, list[Object]] = {}
    for one in oldest_first(every):
        found.setdefault(str(at(one, "involvedObject", "uid")), []).append(one)
    return found


@dataclass
class _Namespace:
    asked: dict[str, float] = field(default_factory=dict)
    answer: asyncio.Task[dict[str, list[Object]]] | None = None
    begun: float = 0.0
    """When *answer* was asked for: what it does not have may have come since."""


class Events:
    """One a cluster, in one event loop. Nothing is kept for longer than FRESH_S."""

    def __init__(self, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._clock = client, clock
        self._spaces: dict[str, _Namespace] = {}

    async def of(self, namespace: str, uids: Iterable[str]) -> list[Object]:
        """The Events of these objects, of each oldest first, at most FRESH_S old. KubeError."""
        wanted, now = list(uids), self._clock()
        space = self._spaces.setdefault(namespace, _Namespace())
        space.asked |= dict.fromkeys(wanted, now)
        asyncio.get_running_loop().call_later(FRESH_S, self._forget, namespace)
        if not is_crowd(space.asked, now):
            return [one for uid in wanted for one in await self._client.events(namespace, uid)]
        if space.answer is None or now - space.begun >= FRESH_S:
            space.answer = asyncio.create_task(self._all(namespace))
            space.answer.add_done_callback(_seen)
            space.begun = now
        # Shielded: who gives its launch up must not take the answer from the others.
        found = await asyncio.shield(space.answer)
        return [one for uid in wanted for one in found.get(uid, ())]

    async def _all(self, namespace: str) -> dict[str, list[Object]]:
        return by_object(await self._client.all(path_of("Event", namespace)))

    def _forget(self, namespace: str) -> None:
        space, now = self._spaces.get(namespace), self._clock()
        if space is None:
            return
        space.asked = {uid: when for uid, when in space.asked.items() if now - when < FRESH_S}
        if not space.asked:
            del self._spaces[namespace]


def _seen(done: asyncio.Task[dict[str, list[Object]]]) -> None:
    """Its error was told to all who still waited; where nobody did, asyncio would log it."""
    if not done.cancelled():
        done.exception()
