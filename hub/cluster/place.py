"""A cluster as the hub sees it (hub/place.py): by the labels and records on its objects, followed by one watch."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from logging import Logger

from config.models import World
from config.store import WorldStore
from hub.place import Known
from spawners.kube import beside, live
from spawners.kube.client import KubeError
from spawners.kube.site import Cluster, KubeSite
from spawners.workload import Workload

_SYNC_S = 5.0
"""Who only looks waits no longer for a cluster that has not been listed yet; it looks again."""


class KubePlace:
    """Implements hub.place.Place over one KubeSite."""

    def __init__(self, site: KubeSite, log: Logger) -> None:
        self.site, self._log = site, log
        self._told: set[str] = set()

    @property
    def worlds(self) -> WorldStore:
        """See Place."""
        return self.site.worlds

    def world(self) -> World:
        """See Place."""
        return self.site.world()

    async def beside(self, log: Logger) -> None:
        """See Place: records of what ended, the tenants' remotes, lost lines."""
        await beside.run_beside(self.site, log)

    async def live(self) -> Sequence[Workload]:
        """See Place. KubeError while the cluster has not been listed."""
        cluster = await self._listed()
        every = live.workloads(cluster.watch.index, None, self.world().site)
        return [workload for workload, top in every if live.is_live(top)]

    async def after_start(self, known: Known, log: Logger) -> Sequence[Workload]:
        """See Place: what tenants own is to be taken back. A person's server goes on, and is ended only when asked:
        what is in it may be dear to them, though they cannot reach it any more."""
        every = await beside.orphans(self.site, known, log)
        for one in every:
            if not one.tenant_owned and one.id not in self._told:
                self._told.add(one.id)
                log.warning("%s runs, and the hub knows no such server; its owner can remove it in the portal", one.id)
        return [one for one in every if one.tenant_owned]

    async def orphans(self, tenant: str, known: Known) -> Sequence[Workload]:
        """See Place. KubeError while the cluster has not been listed."""
        cluster = await self._listed()
        return live.orphans(cluster.watch.index, tenant, self.world().site, known)

    async def end(self, workload: Workload, reason: str, log: Logger) -> None:
        """See Place. KubeError where it cannot be ended."""
        await beside.end_workload(self.site, workload, "stopped", reason, log)

    async def _listed(self) -> Cluster:
        cluster = await self.site.cluster(self._log)
        try:
            async with asyncio.timeout(_SYNC_S):
                await cluster.watch.synced()
        except TimeoutError:
            raise KubeError(cluster.watch.problem or "the cluster has not been listed yet") from None
        return cluster
