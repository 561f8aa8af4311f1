"""What a page looks at of one workload besides its state: password, uploads, progress, runs, logs.

Of a Pod while that is there, by requests that serve everybody for a few seconds (peek.Shown); else what was kept of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from config.models import Site, World
from config.names import namespace
from spawners.kinds.base import Kind
from spawners.kube import live, names, runs, seen, uploads
from spawners.kube.client import KubeError
from spawners.kube.index import Index, Key, Object, key_of
from spawners.kube.keepsake import Past
from spawners.kube.look import at, objects, pod_over
from spawners.kube.peek import HOME, HOME_KEEPER, PROGRESS, UPLOADS, Peeker, Shown
from spawners.kube.recorder import Recorder
from spawners.kube.site import Cluster
from spawners.runtime import RunSeen
from spawners.workload import Workload


class Known(Protocol):
    """What is known besides the cluster (site.KubeSite)."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of workload, by name."""

    def world(self) -> World:
        """The declared world."""


def top_of(index: Index, key: Key, site: Site) -> tuple[Workload, Object] | None:
    """A workload as its objects say, and the one of them that stands for it."""
    every = seen.best(live.tops(index, key, site), site).values()
    return next((found for found in every if key_of(found[0]) == key), None)


class Looks:
    """For the loop of the watch. KubeError where the cluster is needed and does not answer."""

    def __init__(self, site: Known, cluster: Cluster, peeker: Peeker, recorder: Recorder) -> None:
        self._site, self._cluster, self._peeker, self._recorder = site, cluster, peeker, recorder
        self._shown = Shown()
        # Apart, so that a slow Pod, which holds up a look into it, does not hold up what is kept.
        self._kept = Shown(at_once=32)

    async def password(self, workload: Workload) -> str:
        """Its generated password; KeyError where it has none."""
        found = await self._cluster.client.get("Secret", namespace(workload.tenant), names.object_name(workload))
        text = at(found, "data", "password")
        if not isinstance(text, str):
            raise KeyError(f"{workload.name} has no password")
        return base64.b64decode(text).decode().strip()

    async def uploads(self, workload: Workload, limit: int) -> list[dict[str, Any]]:
        """Last uploads, newest first: of the Pod that runs now, and what was kept when one ended."""
        if not self._has(workload, "uploads"):
            return []
        there = uploads.rows_of(await self._file(workload, UPLOADS), limit)
        past = await self.past(workload)
        return uploads.together(there, past.uploads if past else (), limit)

    async def progress(self, workload: Workload) -> dict[str, Any]:
        """The current run's progress.json, {} when nothing runs; of a home that is kept what its keeper tells."""
        plan = seen.plan_in(self._site.world(), self._site.kinds, workload)
        if plan is not None and HOME_KEEPER in plan.argv:
            return uploads.object_of(await self._file(workload, HOME))
        if not self._has(workload, "progress"):
            return {}
        return uploads.object_of(await self._file(workload, PROGRESS))

    def _has(self, workload: Workload, panel: str) -> bool:
        """Whether its page has such a part. Nothing is ever run for one in a person's own Pod."""
        kind = self._site.kinds.get(workload.kind)
        return kind is not None and not kind.interactive and panel in kind.panels

    async def _file(self, workload: Workload, command: Sequence[str]) -> bytes:
        pod = self._recorder.newest(key_of(workload))
        container = _container(pod)
        if pod is None or container is None or pod_over(pod) or at(pod, "status", "phase") != "Running":
            return b""
        space, pod_name = pod["metadata"]["namespace"], pod["metadata"]["name"]

        async def ask() -> bytes:
            try:
                return await self._peeker.run(space, pod_name, container, command)
            except KubeError:  # its container has ended, exec is not allowed, the cluster is away: the page goes on
                return b""

        found: bytes = await self._shown.get((pod["metadata"]["uid"], *command), ask)
        return found

    async def runs(self, workload: Workload, limit: int) -> list[RunSeen]:
        """Last runs, newest first, with the times at which none began."""
        key = key_of(workload)
        pods = self._index.of(key, "Pod")
        there = [runs.run_of(job, runs.pods_of(job, pods)) for job in self._index.of(key, "Job")]
        past = await self.past(workload)
        rows = runs.together(there, past.runs if past else (), 1000)
        return runs.together(rows, self._missed(workload, rows), limit)

    def _missed(self, workload: Workload, rows: list[RunSeen]) -> list[RunSeen]:
        """Of a schedule that is on the cluster: of one that was stopped nobody expects a run."""
        world = self._site.world()
        plan = seen.plan_in(world, self._site.kinds, workload)
        found = top_of(self._index, key_of(workload), world.site)
        if plan is None or plan.schedule is None or found is None or at(found[1], "spec", "suspend"):
            return []
        return runs.missed(plan.schedule, workload.asked, rows, datetime.now(UTC))

    async def log(self, workload: Workload, run: str | None, tail: int) -> str:
        """The end of its log, or of one run's: of the Pod while that is there, afterwards what was kept of it."""
        key = key_of(workload)
        pod = self._recorder.newest(key) if run is None else self._pod_of_run(key, run)
        if pod is not None and (told := await self._log_of(pod, tail)):
            return told
        past = await self.past(workload)
        if past is None:
            return ""
        if run is None:
            newest = past.runs[0].id if past.runs else ""
            return (past.logs.get("") or past.logs.get(newest, ""))[-tail:]
        return past.logs.get(run, "")[-tail:]

    async def _log_of(self, pod: Object, tail: int) -> str:
        key = ("log", pod["metadata"]["uid"], str(tail))
        try:
            return str(await self._shown.get(key, lambda: self._recorder.log_of(pod, tail)))
        except KubeError:
            return ""

    def _pod_of_run(self, key: Key, run: str) -> Object | None:
        pods = self._index.of(key, "Pod")
        for job in self._index.of(key, "Job"):
            if runs.run_id(job) == run:
                mine = runs.pods_of(job, pods)
                return mine[-1] if mine else None
        return None

    async def past(self, workload: Workload) -> Past | None:
        """What is kept of it; None where that is nothing, or the cluster is away."""
        try:
            found: Past | None = await self._kept.get(("kept", workload.id), lambda: self._recorder.past(workload))
        except KubeError:
            return None
        return found

    def changed(self, workload: Workload) -> None:
        """What is kept of it was changed by our own hand."""
        self._kept.forget(("kept", workload.id))

    @property
    def _index(self) -> Index:
        return self._cluster.watch.index


def _container(pod: Object | None) -> str | None:
    return next((str(one["name"]) for _, one in objects(pod, "spec", "containers") if one.get("name")), None)
