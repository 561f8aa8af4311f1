"""The portal's view of a cluster's workloads. No launches: those go through the hub.

States, addresses and runs come from the watch's index: no request however many pages are open. Of what has gone, the
metadata of a tenant's records is asked for at most every few seconds for everybody together (peek.Shown). What is
looked at of one workload alone is in looks.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import UTC, datetime
from logging import Logger
from pathlib import Path
from typing import Any, Self, TypeVar

from config.names import namespace
from spawners.kube import acts, keepsake, live, names, seen
from spawners.kube.client import ApiError, KubeError
from spawners.kube.index import Index, Object, key_for, key_of
from spawners.kube.keepsake import Past
from spawners.kube.launch import launch_of
from spawners.kube.looks import Known, Looks, top_of
from spawners.kube.manifests import run_now
from spawners.kube.peek import AT_ONCE, Peeker, Shown
from spawners.kube.recorder import Recorder
from spawners.kube.site import Cluster, KubeSite
from spawners.refusal import Refusal
from spawners.runtime import RunSeen, Seen
from spawners.workload import Workload

_T = TypeVar("_T")
_ANSWER_S = 20.0
"""A page waits no longer for the cluster."""
GONE = "it is gone from the cluster, and the hub did not end it: somebody deleted it there, or the cluster lost it"
IN_LINE = "it waits in line: other launches are under way"
_WALK_S = 1.0
"""Seconds that all lists, of whatever tenant, share one walk over the index: it takes half a millisecond for each 1,000
objects, during which the loop does nothing else."""
_RIGHTS = ("ServiceAccount", "Role", "RoleBinding")


class KubeRuntime:
    """Implements spawners.runtime.Runtime. Its methods are called from threads, as the portal does; what they do is
    done in the event loop of the watch, whose index no other thread may read. KubeError where the cluster is needed
    and does not answer; KeyError for what is not there."""

    def __init__(
        self, site: Known, cluster: Cluster, peeker: Peeker, recorder: Recorder, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._site, self._cluster, self._peeker, self.recorder, self._loop = site, cluster, peeker, recorder, loop
        self._looks = Looks(site, cluster, peeker, recorder)
        # Apart, so that a slow Pod, which holds up a look into it, does not hold up the lists.
        self._shown = Shown(at_once=32)
        self._walk: tuple[float, dict[str, list[Object]]] = (float("-inf"), {})

    @classmethod
    async def begin(cls, site: KubeSite, kubeconfig: Path | None, log: Logger) -> Self:
        """One for the running event loop, with connections of its own for looks and records; close() gives them back.
        KubeError where no cluster is found."""
        cluster = await site.cluster(log)
        peeker = await Peeker.connect(kubeconfig, connections=2 * AT_ONCE)
        recorder = Recorder(peeker, cluster.watch.index, lambda: site.world().site, log)
        return cls(site, cluster, peeker, recorder, asyncio.get_running_loop())

    async def close(self) -> None:
        """Close what begin() has opened; the site's cluster stays."""
        await self._peeker.close()

    # -- the Protocol --------------------------------------------------------------------------------------------

    def workloads(self, tenant: str) -> Sequence[Seen]:
        """All of a tenant: what needs attention first, then what runs, then what ended; by name within."""
        return self._wait(self._workloads(tenant))

    def workload(self, tenant: str, owner: str, name: str) -> Seen:
        """One of them."""
        return self._wait(self._workload(tenant, owner, name))

    def password(self, tenant: str, owner: str, name: str) -> str:
        """Its generated password; KeyError where it has none."""
        return self._wait(self._looked(tenant, owner, name, self._looks.password))

    def uploads(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[dict[str, Any]]:
        """Last uploads, newest first: of the Pod that runs now, and what was kept when one ended."""
        return self._wait(self._looked(tenant, owner, name, lambda one: self._looks.uploads(one, limit)))

    def runs(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[RunSeen]:
        """Last runs, newest first, with the times at which none began."""
        return self._wait(self._looked(tenant, owner, name, lambda one: self._looks.runs(one, limit)))

    def progress(self, tenant: str, owner: str, name: str) -> dict[str, Any]:
        """The current run's progress.json, {} when nothing runs; of a home that is kept what its keeper tells."""
        return self._wait(self._looked(tenant, owner, name, self._looks.progress))

    def log(self, tenant: str, owner: str, name: str, run: str | None = None, tail: int = 65536) -> str:
        """The end of its log, or of one run's: of the Pod while that is there, afterwards what was kept of it."""
        return self._wait(self._looked(tenant, owner, name, lambda one: self._looks.log(one, run, tail)))

    def run_now(self, tenant: str, owner: str, name: str) -> None:
        """Start a run outside of the schedule; RuntimeError says why not."""
        self._act(self._run_now(tenant, owner, name))

    def forget(self, tenant: str, owner: str, name: str) -> None:
        """Remove an ended one with its runs, logs and address; RuntimeError when it is live."""
        self._act(self._forget(tenant, owner, name))

    # -- what only a cluster has ---------------------------------------------------------------------------------

    @property
    def problem(self) -> str:
        """Why what is shown may be old; "" while all is well."""
        return self._cluster.watch.problem

    def orphans(self, tenant: str, known: Mapping[str, frozenset[str]]) -> Sequence[Seen]:
        """Live workloads whose servers the hub does not know; *known*: its active servers' names by account.

        A tenant's own are adopted by the launch that the reviver asks for; a person's can only be ended.
        """
        return self._wait(self._orphans(tenant, known))

    def end_orphan(self, tenant: str, owner: str, name: str) -> None:
        """End one that no server of the hub stands for. The caller has made sure of that."""
        self._act(self._end_orphan(tenant, owner, name))

    # -- in the loop ---------------------------------------------------------------------------------------------

    def _wait(self, doing: Coroutine[Any, Any, _T]) -> _T:
        if _running_loop() is self._loop:
            doing.close()
            raise RuntimeError("called in the loop that would have to answer: call it in a thread")
        future = asyncio.run_coroutine_threadsafe(doing, self._loop)
        try:
            return future.result(_ANSWER_S)
        except TimeoutError:
            future.cancel()
            raise KubeError("the cluster does not answer") from None

    def _act(self, doing: Coroutine[Any, Any, None]) -> None:
        """As a page takes it: RuntimeError in words for people, also where the cluster refuses it or is away."""
        try:
            self._wait(doing)
        except KubeError as error:
            raise RuntimeError(str(acts.told(error))) from None

    @property
    def _index(self) -> Index:
        return self._cluster.watch.index

    def _seen(self, workload: Workload, top: Object) -> Seen:
        world = self._site.world()
        tenant, kind = world.tenants.get(workload.tenant), self._site.kinds.get(workload.kind)
        return seen.seen_of(self._index, workload, top, tenant, kind, datetime.now(UTC), world.site)

    async def _workloads(self, tenant: str) -> list[Seen]:
        await self._cluster.watch.synced()
        there = self._there(tenant)
        kept = await self._pasts(tenant)
        every = [_with(self._seen(*found), kept.get(name)) for name, found in there.items()]
        every += [_past_seen(past) for name, past in kept.items() if name not in there]
        return seen.in_order(every)

    async def _workload(self, tenant: str, owner: str, name: str) -> Seen:
        await self._cluster.watch.synced()
        found = self._top(tenant, owner, name)
        past = (await self._pasts(tenant)).get(f"{tenant}/{owner}/{name}")
        if found is not None:
            return _with(self._seen(*found), past)
        if past is None:
            raise KeyError(f"{tenant}/{owner}/{name}")
        return _past_seen(past)

    async def _looked(self, tenant: str, owner: str, name: str, look: Callable[[Workload], Awaitable[_T]]) -> _T:
        return await look((await self._workload(tenant, owner, name)).workload)

    def _top(self, tenant: str, owner: str, name: str) -> tuple[Workload, Object] | None:
        return top_of(self._index, key_for(tenant, owner, name), self._site.world().site)

    def _there(self, tenant: str) -> dict[str, tuple[Workload, Object]]:
        """The workloads of a tenant on the cluster."""
        site, now = self._site.world().site, time.monotonic()
        if now - self._walk[0] >= _WALK_S:
            self._walk = (now, seen.tops_by_namespace(self._index, site))
        return seen.best(self._walk[1].get(namespace(tenant), ()), site)

    async def _pasts(self, tenant: str) -> dict[str, Past]:
        """What is kept of a tenant's workloads, by id, without runs and logs; nothing while the cluster is away: what
        runs is worth more than what ran."""
        if tenant not in self._site.world().tenants:
            return {}
        try:
            found: list[Past] = await self._shown.get(("past", tenant), lambda: self.recorder.of_tenant(tenant))
        except KubeError:
            return {}
        return {past.workload.id: past for past in found}

    async def _run_now(self, tenant: str, owner: str, name: str) -> None:
        one = await self._workload(tenant, owner, name)
        workload, key = one.workload, key_for(tenant, owner, name)
        found = self._top(tenant, owner, name)
        if found is None or found[1]["kind"] != "CronJob":
            raise RuntimeError("it has no schedule that runs: start it instead")
        if live.active_jobs(self._index, key):
            raise RuntimeError("a run is going on already")
        meta = found[1]["metadata"]
        cron_job = await self._cluster.client.get("CronJob", meta["namespace"], meta["name"])
        if cron_job is None:
            raise RuntimeError("it was stopped meanwhile")
        world = self._site.world()
        known, kind = world.tenants.get(tenant), self._site.kinds.get(workload.kind)
        if known is None or kind is None:
            raise RuntimeError("its tenant or its kind is not declared any more")
        try:
            # Only the names in it are used: the run is the CronJob's own, also where the profile was changed since.
            launch = launch_of(kind, workload, known, world.site, images={workload.kind: "unused"})
            job = run_now(cron_job, launch, time.time())
            made = await self._cluster.client.create(job)
        except Refusal as refusal:
            raise RuntimeError(str(refusal)) from None
        except ApiError as error:
            said = "a run was asked for a moment ago" if error.status == 409 else str(acts.told(error))
            raise RuntimeError(said) from None
        self._index.put_made({**made, "kind": "Job"})

    async def _forget(self, tenant: str, owner: str, name: str) -> None:
        one = await self._workload(tenant, owner, name)
        workload, key = one.workload, key_for(tenant, owner, name)
        if live.is_running(self._index, key, self._site.world().site) or live.active_jobs(self._index, key):
            raise RuntimeError("it still runs: stop it first")
        client, space, label = self._cluster.client, key.namespace, names.object_name(workload)
        for kind in (*live.TOPS, "Service"):
            for found in self._index.of(key, kind):
                meta = found["metadata"]
                await client.delete(kind, space, meta["name"], uid=meta["uid"])
        for kind in ("Secret", *(_RIGHTS if self._has_rights(workload) else ())):
            await client.delete(kind, space, label)
        # Last: until then it is on the list, and can be asked for again should the hub end in between.
        await self.recorder.forget(workload)
        self._changed(workload)

    def _changed(self, workload: Workload) -> None:
        """By our own hand, so that the next page shows it."""
        self._shown.forget(("past", workload.tenant))
        self._looks.changed(workload)
        self._walk = (float("-inf"), {})

    def _has_rights(self, workload: Workload) -> bool:
        world = self._site.world()
        kind, tenant = self._site.kinds.get(workload.kind), world.tenants.get(workload.tenant)
        plan = seen.plan_of(kind, workload, tenant, world.site)
        return bool(plan and plan.rules)

    async def _orphans(self, tenant: str, known: Mapping[str, frozenset[str]]) -> list[Seen]:
        await self._cluster.watch.synced()
        site = self._site.world().site
        there = self._there(tenant)
        lost = {workload.id for workload in live.orphans(self._index, tenant, site, known)}
        return seen.in_order([self._seen(*found) for name, found in there.items() if name in lost])

    async def _end_orphan(self, tenant: str, owner: str, name: str) -> None:
        workload = (await self._workload(tenant, owner, name)).workload
        await self.recorder.ended(workload, "stopped", "it was removed: the hub no longer knew it")
        await acts.stop(self._cluster, key_of(workload), self._site.world().site)
        self._changed(workload)


def _with(one: Seen, past: Past | None) -> Seen:
    """Why it ended, in the hub's words, where the cluster does not say it; only of the same launch."""
    if past is None or one.live:
        return one
    if keepsake.is_in_line(past):
        return _past_seen(past)  # what is on the cluster is an earlier launch's
    if past.state is None or past.workload.asked != one.workload.asked:
        return one
    return one.model_copy(update={"state": past.state, "message": past.reason or one.message})


def _past_seen(past: Past) -> Seen:
    """One that is only remembered. It counts as live at most while it is said to wait in line: what is written there is
    no proof of anything, and decides nothing."""
    if keepsake.is_in_line(past):
        return Seen(workload=past.workload, state="starting", message=IN_LINE, changed=past.changed)
    return Seen(
        workload=past.workload,
        state=past.state or "stopped",
        message=past.reason if past.state else GONE,
        changed=past.changed,
    )


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
