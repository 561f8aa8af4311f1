"""One watch of all workloads of the cluster: each kind is listed once and then followed, whatever number of tenants.

    list -> watch from its resourceVersion -> (each end of the stream) -> watch from the last resourceVersion
                                           -> (410, or a version unknown) -> list again, what went meanwhile is dropped
    any failure: said once, tried again with growing pauses; the index keeps what was last known. Never ends the hub.

Source: Kubernetes, "API Concepts", sections "Efficient detection of changes", "Watch bookmarks" and "410 Gone".
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from logging import Logger
from typing import Any

import orjson

from config.names import Keys
from spawners.kube.client import ApiError, Client, KubeError
from spawners.kube.index import Index

WATCHED = {
    "Pod": "/api/v1/pods",
    "Deployment": "/apis/apps/v1/deployments",
    "CronJob": "/apis/batch/v1/cronjobs",
    "Job": "/apis/batch/v1/jobs",
    "Service": "/api/v1/services",
}
LASTS_S = 300
"""The server ends a watch after this long (and up to a fifth more, so that they do not all end at once)."""
SILENT_S = 90.0
"""A stream without a byte for so long is given up: bookmarks come about each minute, and to go on costs one request."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 15.0
_SHORT_S = 5.0
"""A stream that ended sooner was no success: without a pause, a server that ends each at once would be hammered."""


class Expired(Exception):
    """The resourceVersion is too old, or not this server's: list anew."""


@dataclass
class Health:
    """How the watch of one kind is doing, for pages and logs."""

    synced: bool = False
    """Whether it has ever been listed. Before that, what is not in the index may exist all the same."""
    problem: str = ""
    """Why it is behind; "" while it follows."""
    since: float = 0.0
    """Since when (Unix time), where there is a problem."""
    lists: int = 0
    """How often it was listed: 1 while nothing went wrong."""
    watches: int = 0


class Watch:
    """Fills an Index for as long as it runs. One a hub, with a client of its own."""

    def __init__(self, client: Client, names: Keys, log: Logger, kinds: Iterable[str] = WATCHED) -> None:
        self.index = Index(names)
        self.health = {kind: Health() for kind in kinds}
        self.client = client
        self.log = log
        self.selector = names.workload
        """A label that must be there, with whatever value."""
        self._synced = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to follow, beside the hub."""
        self._tasks = [asyncio.create_task(_Follower(self, kind).run(), name=f"watch {kind}") for kind in self.health]

    async def stop(self) -> None:
        """End it; the client stays open, it is the caller's."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def synced(self) -> None:
        """Wait until every kind was listed once. Until then nobody may conclude that something is gone: JupyterHub
        forgets a server whose poll says so."""
        await self._synced.wait()

    @property
    def problem(self) -> str:
        """Why what pages show may be old, for people; "" while all is well."""
        behind = [(one.since, kind, one.problem) for kind, one in self.health.items() if one.problem]
        if not behind:
            return ""
        since, _, problem = min(behind)
        return f"the cluster has not been followed for {time.time() - since:.0f} s: {problem}"

    def listed(self) -> None:
        """One kind was listed."""
        if all(one.synced for one in self.health.values()):
            self._synced.set()


class _Follower:
    """Follows one kind."""

    def __init__(self, watch: Watch, kind: str) -> None:
        self.kind, self.path = kind, WATCHED[kind]
        self.watch = watch
        self.health = watch.health[kind]
        self.version = ""
        """How far it has come; "": nothing is known, list."""

    async def run(self) -> None:
        """List and watch for ever. Nothing but being cancelled ends it."""
        pause_s = 0.0
        while True:
            began = time.monotonic()
            failed = False
            try:
                if not self.version:
                    await self._list()
                await self._follow()
            except Expired as error:
                self.watch.log.info("Watch of %s: listing anew: %s", self.kind, error)
                self.version = ""
            except KubeError as error:
                self._behind(str(error))
                failed = True
            except Exception as error:  # whatever an object holds: the next ones must still be seen
                self.watch.log.exception("Watch of %s: listing anew", self.kind)
                self._behind(f"{type(error).__name__}: {error}")
                self.version, failed = "", True
            short = time.monotonic() - began < _SHORT_S
            pause_s = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, pause_s * 2)) if failed or short else 0.0
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  no secret

    async def _list(self) -> None:
        """Everything there is, page by page, and the version to go on from."""
        self.health.lists += 1
        query, found = {"labelSelector": self.watch.selector}, []
        while True:
            try:
                page = await self.watch.client.page(self.path, query)
            except ApiError as error:
                if error.status == 410:  # the list took longer than the server keeps old versions
                    raise Expired(error.message) from None
                raise
            found += [{**one, "kind": self.kind} for one in page["items"] or ()]
            if not (token := page["metadata"].get("continue")):
                break
            query["continue"] = token
        self.watch.index.replace(self.kind, found)
        self.version = page["metadata"]["resourceVersion"]
        self._well()
        self.health.synced = True
        self.watch.listed()

    async def _follow(self) -> None:
        """One watch, until the server ends it. Expired, KubeError."""
        self.health.watches += 1
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "labelSelector": self.watch.selector,
            "resourceVersion": self.version,
            "timeoutSeconds": str(int(LASTS_S * random.uniform(1.0, 1.2))),  # noqa: S311  no secret
        }
        try:
            async for line in self.watch.client.lines(self.path, query, SILENT_S, self._well):
                self._take(orjson.loads(line))
        except ApiError as error:
            if error.status == 410:
                raise Expired(error.message) from None
            raise

    def _take(self, event: dict[str, Any]) -> None:
        """One line of the watch."""
        found = event["object"]
        if event["type"] == "ERROR":
            # 410: too old. 500 with "too large resource version" and the like: this server knows less than the last
            # one did (a restored etcd). From a list, either is right again.
            raise Expired(str(found.get("message") or found.get("reason") or "the server ended the watch"))
        if event["type"] in ("ADDED", "MODIFIED"):
            self.watch.index.put({**found, "kind": self.kind})
        elif event["type"] == "DELETED":
            self.watch.index.drop({**found, "kind": self.kind})
        # Last: had the index failed on it, it must come again.
        self.version = found["metadata"]["resourceVersion"]

    def _behind(self, problem: str) -> None:
        """Said once, however often it is tried again."""
        if not self.health.problem:
            self.watch.log.warning("Watch of %s is behind, trying again: %s", self.kind, problem)
            self.health.since = time.time()
        self.health.problem = problem

    def _well(self) -> None:
        if self.health.problem:
            away_s = time.time() - self.health.since
            self.watch.log.warning("Watch of %s follows again after %.1f s", self.kind, away_s)
        self.health.problem = ""
