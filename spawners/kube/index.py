"""What the cluster has of our workloads, as the watch last saw it, and who waits for a change. No I/O."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar

from config.names import Keys, namespace, slug
from spawners.workload import Workload

Object = Mapping[str, Any]
Found = TypeVar("Found")
_SPEC_KEPT = {
    "Pod": ("nodeName", "containers", "restartPolicy"),
    "Deployment": ("replicas",),
    "CronJob": ("schedule", "timeZone", "suspend"),
    "Job": ("suspend", "backoffLimit"),
    "Service": ("type", "ports"),
}
"""Of each spec what somebody reads: 2,000 whole Pods would be 80 MB of memory."""
_GONE_KEPT = 1000
_CONTAINER_KEPT = ("name", "image", "ports")


@dataclass(frozen=True)
class Key:
    """Which workload an object belongs to, by its namespace and labels."""

    namespace: str
    owner: str
    """As the label holds it: a slug of the account."""
    name: str


def key_of(workload: Workload) -> Key:
    """The key of all objects of *workload*."""
    return key_for(workload.tenant, workload.owner, workload.name)


def key_for(tenant: str, owner: str, name: str) -> Key:
    """The same for the three parts of a workload's id."""
    return Key(namespace(tenant), slug(owner), name)


def slim(found: Object) -> dict[str, Any]:
    """*found* without what nobody reads. `kind` stays: items of a list do not carry it, so the watch puts it in."""
    meta = {name: value for name, value in found["metadata"].items() if name != "managedFields"}
    spec = found.get("spec") or {}
    kept = {name: spec[name] for name in _SPEC_KEPT.get(found["kind"], ()) if name in spec}
    if "containers" in kept:
        kept["containers"] = [
            {name: one[name] for name in _CONTAINER_KEPT if name in one} for one in kept["containers"]
        ]
    return {"kind": found["kind"], "metadata": meta, "spec": kept, "status": found.get("status") or {}}


@dataclass
class Index:
    """Objects by workload. Read and written in the event loop's thread alone."""

    keys: Keys
    objects: dict[str, dict[str, Object]] = field(default_factory=dict)
    """Kind -> uid -> object."""
    _by_key: dict[Key, dict[str, Object]] = field(default_factory=dict)
    _waiters: dict[Key, set[asyncio.Event]] = field(default_factory=dict)
    _hearers: dict[Key, list[Callable[[Object], None]]] = field(default_factory=dict)
    _gone: dict[str, None] = field(default_factory=dict)
    """Uids of the last objects that went, oldest first. None ever comes again."""

    def put(self, found: Object) -> None:
        """As it is now; who waits for its workload is woken."""
        uid, seen = found["metadata"]["uid"], slim(found)
        before = self.objects.setdefault(seen["kind"], {}).get(uid)
        if before is not None and self._key(before) != self._key(seen):
            self.drop(before)  # somebody has changed its labels: it is no longer there for its old workload
        self.objects[seen["kind"]][uid] = seen
        if key := self._key(seen):
            self._by_key.setdefault(key, {})[uid] = seen
            self._wake(key, seen)

    def put_made(self, made: Object) -> None:
        """As a write of ours has answered. Left out where the watch, whose events may be read before that answer, knows
        more: put over them, it would hide that a Pod is ready, and nobody would tell it again.

        Versions of one kind of object are numbers that grow (Kubernetes, "API Concepts", resource versions).
        """
        uid, version = made["metadata"]["uid"], made["metadata"]["resourceVersion"]
        before = self.objects.get(made["kind"], {}).get(uid)
        if uid in self._gone or (before is not None and int(before["metadata"]["resourceVersion"]) >= int(version)):
            return
        self.put(made)

    def drop(self, found: Object) -> None:
        """It is gone, and was *found* at last; who waits for its workload is woken."""
        uid = found["metadata"]["uid"]
        self._gone[uid] = None
        if len(self._gone) > _GONE_KEPT:
            del self._gone[next(iter(self._gone))]
        seen = self.objects.get(found["kind"], {}).pop(uid, None)
        key = self._key(seen or found)
        if key and key in self._by_key:
            self._by_key[key].pop(uid, None)
            if not self._by_key[key]:
                del self._by_key[key]
        if key:
            self._wake(key, found)

    def replace(self, kind: str, every: Iterable[Object]) -> None:
        """After a list: these are all there are. What was deleted while nobody watched goes, and its waiters learn."""
        there = set()
        for one in every:
            there.add(one["metadata"]["uid"])
            if self._is_new(kind, one):
                self.put(one)
        for uid, one in list(self.objects.setdefault(kind, {}).items()):
            if uid not in there:
                self.drop(one)

    def of(self, key: Key, kind: str) -> list[Object]:
        """The objects of *kind* of a workload, oldest first."""
        found = [one for one in self._by_key.get(key, {}).values() if one["kind"] == kind]
        return sorted(found, key=lambda one: (one["metadata"]["creationTimestamp"], one["metadata"]["name"]))

    def every(self, *kinds: str) -> Iterator[Object]:
        """All objects of these kinds; a copy, so that it may be walked over awaits."""
        for kind in kinds:
            yield from list(self.objects.get(kind, {}).values())

    @contextmanager
    def waiting(self, key: Key) -> Iterator[asyncio.Event]:
        """An event that is set at each change of a workload, for as long as somebody waits."""
        event = asyncio.Event()
        self._waiters.setdefault(key, set()).add(event)
        try:
            yield event
        finally:
            self._waiters[key].discard(event)
            if not self._waiters[key]:
                del self._waiters[key]

    async def until(self, key: Key, judge: Callable[[], Found | None], look_again_s: float) -> Found:
        """What *judge* gives once it is not None. Asked at once, at each change of the workload, and at the latest
        every *look_again_s* seconds, for what depends on the time. No end of its own: the caller sets one."""
        with self.waiting(key) as changed:
            while True:
                # Cleared before the look: what changes during it sets the event again.
                changed.clear()
                if (found := judge()) is not None:
                    return found
                with suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), look_again_s)

    @contextmanager
    def hearing(self, key: Key, hear: Callable[[Object], None]) -> Iterator[None]:
        """Meanwhile *hear* is called with each state of each object of a workload, the last one of what goes included.
        Who only waits is woken later, and may find that several changes have passed. *hear* must not raise."""
        self._hearers.setdefault(key, []).append(hear)
        try:
            yield
        finally:
            self._hearers[key].remove(hear)
            if not self._hearers[key]:
                del self._hearers[key]

    def _wake(self, key: Key, found: Object) -> None:
        for hear in self._hearers.get(key, ()):
            hear(found)
        for event in self._waiters.get(key, ()):
            event.set()

    def _is_new(self, kind: str, found: Object) -> bool:
        before = self.objects.get(kind, {}).get(found["metadata"]["uid"])
        return before is None or before["metadata"]["resourceVersion"] != found["metadata"]["resourceVersion"]

    def _key(self, found: Object) -> Key | None:
        """None for what carries no workload's labels."""
        meta = found["metadata"]
        labels = meta.get("labels") or {}
        owner, name = labels.get(self.keys.owner), labels.get(self.keys.workload)
        return Key(meta["namespace"], owner, name) if owner and name else None
