"""Keeps what outlives a workload's Pods: the I/O around keepsake.py. One a hub, which alone writes these ConfigMaps.

It needs to be told of what the cluster does not show (why the hub ended something); what ended by itself it finds in
the index, also when that was while the hub was away: ended Jobs stay with Pod and log until their history is full or
for 30 days (manifests), so a hub that was away for a day finds them, but for runs beyond that history.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from logging import Logger
from typing import Any, Protocol

from config.models import Site
from config.names import keys, namespace
from spawners.kube import client, keepsake, live, runs, seen, uploads
from spawners.kube.adopt import NotAdoptable, workload_of
from spawners.kube.client import ApiError, KubeError, path_of
from spawners.kube.index import Index, Key, key_of
from spawners.kube.keepsake import Ending, Past
from spawners.kube.look import at, objects, pod_over
from spawners.kube.pod import BESIDE
from spawners.workload import Workload

Object = Mapping[str, Any]
EVERY_S = 10.0
"""The index is looked through so often: no request, and nobody waits for it."""
PRUNE_EVERY_S = 3600.0
AT_ONCE = 4
"""Workloads that are caught up with at once, so that a hub that begins has its connections for launches."""
SETTLES_S = 300.0
"""So long a Job that is over waits for its Pod to be so too: they come by two watches, and only the Pod has the words.
On a lost node it never comes."""
LAST_WORDS_S = 120.0
"""A Pod that is asked to end is waited for so long, for the rows that it leaves: its grace, and a slow worker."""
_AGAIN_S = 300.0
"""What the server refused is tried again after this long."""


class Cloud(client.Cloud, Protocol):
    """What is asked of the API server (peek.Peeker has it all)."""

    async def log(self, namespace: str, pod: str, container: str, *, lines: int = 200, limit: int = 65536) -> str:
        """See Client."""

    async def metadata(self, path: str, selector: str) -> list[dict[str, Any]]:
        """See Peeker."""


class Recorder:
    """Writes what is to be kept, and reads it. KubeError where the cluster is not reached or says no."""

    def __init__(self, cloud: Cloud, index: Index, site: Callable[[], Site], log: Logger) -> None:
        self.cloud, self.index, self.site, self._log = cloud, index, site, log
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._known: set[str] = set()
        """Uids of ended objects that are dealt with."""
        self._later: dict[str, float] = {}
        self._since: dict[str, float] = {}
        """Since when a Job has been over with a Pod that is not."""
        self.listening: set[asyncio.Task[None]] = set()
        """To Pods that are asked to end."""

    # -- reading -------------------------------------------------------------------------------------------------

    async def past(self, workload: Workload) -> Past | None:
        """What is kept of a workload."""
        return await self.named(namespace(workload.tenant), keepsake.object_name(workload))

    async def named(self, space: str, name: str) -> Past | None:
        """What is kept in one ConfigMap, logs included."""
        found = await self.cloud.get("ConfigMap", space, name)
        return keepsake.past_of(found, self.site()) if found else None

    async def of_tenant(self, tenant: str) -> list[Past]:
        """What is kept of all workloads of a tenant, without runs and logs."""
        selector = f"{keepsake.label(keys(self.site()))}=past"
        every = await self.cloud.metadata(path_of("ConfigMap", namespace(tenant)), selector)
        found = (keepsake.past_of(one, self.site()) for one in every)
        return [one for one in found if one is not None]

    # -- what the hub knows --------------------------------------------------------------------------------------

    async def waits(self, workload: Workload) -> None:
        """Its launch waits in line: it is on its tenant's list, though nothing of it is on the cluster yet."""
        await self._change(workload, lambda past: keepsake.waits(past, workload, datetime.now(UTC)))

    async def started(self, workload: Workload) -> None:
        """It is launched. From now on it is on its tenant's list whatever becomes of its objects."""
        await self._change(workload, lambda past: keepsake.started(past, workload, datetime.now(UTC)))

    async def ended(self, workload: Workload, state: Ending, reason: str) -> None:
        """Its launch failed, or it is about to be stopped: called while its Pod is there, for its log.

        Of what lasts (a collector), the Pods that are there now are listened to until they have ended: what one leaves
        comes after this.
        """
        self._listen(workload)
        log = await self.log_of(self.newest(key_of(workload)))
        await self._change(workload, lambda past: keepsake.ended(past, workload, state, reason, log, datetime.now(UTC)))

    async def forget(self, workload: Workload) -> None:
        """Nothing is kept of it any more."""
        await self.cloud.delete("ConfigMap", namespace(workload.tenant), keepsake.object_name(workload))

    async def _change(self, workload: Workload, change: Callable[[Past | None], Past | None]) -> None:
        # One at a time: what is read, changed and written must not lose what somebody else has noted meanwhile.
        async with self._locks[workload.id]:
            before = await self.past(workload)
            after = change(before)
            if after is not None and after != before:
                await self.cloud.apply(keepsake.config_map(after, self.site()))

    def _listen(self, workload: Workload) -> None:
        key = key_of(workload)
        if any(one["kind"] == "Deployment" for one in live.tops(self.index, key, self.site())):
            pods = frozenset(one["metadata"]["uid"] for one in self.index.of(key, "Pod"))
            task = asyncio.create_task(self._last_words(workload, key, pods))
            self.listening.add(task)  # asyncio itself keeps no hold of a task
            task.add_done_callback(self.listening.discard)

    async def _last_words(self, workload: Workload, key: Key, pods: frozenset[str]) -> None:
        """Keep the rows of uploads that its Pods leave. A Pod says them and is deleted a moment later, so each of its
        states is heard, and none looked for."""
        left: dict[str, bytes] = {}

        def hear(one: Object) -> None:
            uid = one["metadata"]["uid"]
            if uid in pods and (rows := uploads.last_words(one)) is not None:
                left[uid] = rows

        def have_ended() -> bool | None:
            there = [one for one in self.index.of(key, "Pod") if one["metadata"]["uid"] in pods]
            return None if any(one["metadata"]["uid"] not in left and not pod_over(one) for one in there) else True

        try:
            async with asyncio.timeout(LAST_WORDS_S):
                with self.index.hearing(key, hear):
                    for one in self.index.of(key, "Pod"):
                        hear(one)
                    await self.index.until(key, have_ended, EVERY_S)
                rows = uploads.rows_of(b"\n".join(left[uid] for uid in left), uploads.KEPT)
                if rows:
                    await self._change(workload, lambda past: keepsake.uploaded(past, workload, rows))
        except (KubeError, TimeoutError) as error:
            self._log.info("%s: its last uploads are not kept: %s", workload.id, str(error) or "its Pod does not end")
        except Exception:  # what somebody wrote into a Pod's status must cost the hub nothing
            self._log.exception("%s: its last uploads cannot be kept", workload.id)

    # -- what ended by itself ------------------------------------------------------------------------------------

    async def run(self, synced: Callable[[], Any], tenants: Callable[[], Iterable[str]]) -> None:
        """Follow for ever. *synced*: waits until the index knows everything, since what is not in it may be there.

        Old records go an hour after this begins and so on: at the start, the caller has just had all of them in hand
        (beside.look_through), and a list of each tenant's is enough once.
        """
        await synced()
        pruned = time.monotonic()
        while True:
            await self.catch_up()
            if time.monotonic() - pruned > PRUNE_EVERY_S:
                pruned = time.monotonic()
                await self.prune(tenants())
            await asyncio.sleep(EVERY_S)

    async def catch_up(self) -> None:
        """Keep what has ended since the last look. What fails is logged and comes again."""
        ended: dict[Key, list[Object]] = defaultdict(list)
        now, there = time.monotonic(), set()
        for one in self.index.every("Job", "Pod"):
            uid = one["metadata"]["uid"]
            there.add(uid)
            if uid not in self._known and self._later.get(uid, 0.0) <= now and _is_over(one):
                key = self._key(one)
                if self._settled(one, key) or now - self._since.setdefault(uid, now) > SETTLES_S:
                    ended[key].append(one)
        self._known &= there
        self._since = {uid: since for uid, since in self._since.items() if uid in there - self._known}
        self._later = {uid: until for uid, until in self._later.items() if uid in there}
        free = asyncio.Semaphore(AT_ONCE)

        async def one_workload(key: Key, every: list[Object]) -> None:
            async with free:
                await self._keep(key, every)

        await asyncio.gather(*(one_workload(key, every) for key, every in ended.items()))

    def _settled(self, found: Object, key: Key) -> bool:
        """Whether the index has the end of its Pod, or no Pod."""
        if found["kind"] != "Job":
            return True
        return all(pod_over(pod) for pod in runs.pods_of(found, self.index.of(key, "Pod")))

    async def _keep(self, key: Key, every: list[Object]) -> None:
        try:
            workload = await self._workload(key, every)
            if workload is not None:
                await self._note(workload, key, every)
        except ApiError as error:
            self._log.warning("%s/%s: what ended is not kept yet: %s", key.namespace, key.name, error)
            self._later.update({one["metadata"]["uid"]: time.monotonic() + _AGAIN_S for one in every})
        except KubeError as error:
            self._log.info("%s/%s: what ended is kept later: %s", key.namespace, key.name, error)
        except Exception:  # an object of somebody's own making must not end the keeping of all others
            self._log.exception("%s/%s: what ended cannot be kept", key.namespace, key.name)
            self._later.update({one["metadata"]["uid"]: time.monotonic() + _AGAIN_S for one in every})
        else:
            self._known.update(one["metadata"]["uid"] for one in every)

    async def _note(self, workload: Workload, key: Key, every: list[Object]) -> None:
        async with self._locks[workload.id]:
            before = past = await self.past(workload)
            now = datetime.now(UTC)
            for job in runs.over((one for one in every if one["kind"] == "Job"), past.noted if past else ()):
                pods = runs.pods_of(job, self.index.of(key, "Pod"))
                log = await self.log_of(pods[-1] if pods else None)
                past = keepsake.ran(past, workload, runs.run_of(job, pods), log, now)
            top = self._ended_top(every, workload)
            # The hub knows better why it ended something itself: its word, of this launch, stays.
            said = past is not None and past.state is not None and past.workload.asked == workload.asked
            if top is not None and not said:
                stands = seen.stand(top, self.index.of(key, "Pod"), [], now)
                if stands.state in ("stopped", "failed", "finished"):
                    state: Ending = stands.state
                    log = await self.log_of(top if top["kind"] == "Pod" else None)
                    past = keepsake.ended(past, workload, state, stands.message, log, now)
            if past is not None and past != before:
                await self.cloud.apply(keepsake.config_map(past, self.site()))

    def _ended_top(self, every: list[Object], workload: Workload) -> Object | None:
        """The object among *every* that stands for this launch of the workload, and has ended."""
        for one in every:
            try:
                found = workload_of(one, self.site())
            except NotAdoptable:
                continue
            if found == workload:
                return one
        return None

    async def _workload(self, key: Key, every: list[Object]) -> Workload | None:
        """Whose objects these are: as their top object says, else what was kept when that was still there."""
        tops = sorted(
            live.tops(self.index, key, self.site()), key=lambda one: str(at(one, "metadata", "creationTimestamp"))
        )
        for top in reversed(tops):
            try:
                return workload_of(top, self.site())
            except NotAdoptable:
                continue
        for one in every:
            # A stopped schedule is gone, and its Jobs carry the labels alone, in which the account is a slug.
            name = str(one["metadata"]["name"]).rpartition("-")[0]
            past = await self.named(key.namespace, f"{name}.past") if one["kind"] == "Job" and name else None
            if past is not None and key_of(past.workload) == key:
                return past.workload
        return None

    async def prune(self, tenants: Iterable[str]) -> None:
        """Forget what these tenants have had long ago. What fails comes again."""
        for tenant in tenants:
            try:
                await self.forget_surplus(await self.of_tenant(tenant))
            except KubeError as error:
                self._log.info("%s: old records stay for now: %s", tenant, error)

    async def forget_surplus(self, every: Iterable[Past]) -> None:
        """Forget what of *every* record of a tenant has ended long ago, or is one too many, and is not there any more.
        KubeError."""
        for past in keepsake.surplus(every, datetime.now(UTC)):
            if not live.tops(self.index, key_of(past.workload), self.site()):
                await self.forget(past.workload)

    # -- logs ----------------------------------------------------------------------------------------------------

    def newest(self, key: Key) -> Object | None:
        """The Pod that its log is of."""
        every = self.index.of(key, "Pod")
        return every[-1] if every else None

    async def log_of(self, pod: Object | None, limit: int = keepsake.LOG) -> str:
        """The end of a Pod's log; "" where there is none. Of one's own image where it runs beside ours, unless that is
        silent: what people look for is what their program said, not what its door did. KubeError."""
        ours = [str(one.get("name")) for _, one in objects(pod, "spec", "containers")][:1]
        own = [BESIDE for _, one in objects(pod, "spec", "initContainers") if one.get("name") == BESIDE]
        if pod is None:
            return ""
        meta, told = pod["metadata"], ""
        for name in (*own, *ours):
            told = told or await self.cloud.log(meta["namespace"], meta["name"], name, lines=2000, limit=limit)
        return told

    def _key(self, found: Object) -> Key:
        labels, own = at(found, "metadata", "labels") or {}, keys(self.site())
        return Key(found["metadata"]["namespace"], labels.get(own.owner, ""), labels.get(own.workload, ""))


def _is_over(found: Object) -> bool:
    """Of Pods, only those that stand for themselves: a Job's are its runs, a Deployment's are replaced."""
    if at(found, "metadata", "deletionTimestamp"):
        return False
    if found["kind"] == "Job":
        return live.job_over(found) or bool(at(found, "spec", "suspend"))
    return not at(found, "metadata", "ownerReferences") and pod_over(found)
