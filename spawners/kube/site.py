"""One cluster as the hub and its spawners see it: world, kinds, the watch, and the launches under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from logging import Logger
from pathlib import Path

from config.models import Size, World
from config.names import keys
from config.store import WorldStore
from spawners.check import check_profiles
from spawners.kinds.base import Kind
from spawners.kinds.registry import load_kinds
from spawners.kube import live
from spawners.kube.client import Client
from spawners.kube.watch import Watch
from spawners.workload import Workload


@dataclass(frozen=True)
class Cluster:
    """The way to the API server. Two clients: launches, however many, never wait for a connection of the watch."""

    client: Client
    watch: Watch


class KubeSite:
    """Made once a process; the world in it follows its files."""

    def __init__(self, config: Path, kubeconfig: Path | None = None) -> None:
        self.kinds: Mapping[str, Kind] = load_kinds()
        self.worlds = WorldStore(config, extra_check=lambda world, sources: check_profiles(world, sources, self.kinds))
        self._kubeconfig = kubeconfig
        self._cluster: Cluster | None = None
        self._starting: dict[str, tuple[Workload, tuple[str, ...]]] = {}
        """Launches that the watch may not show yet, with the addresses that they take. Set and read without an await
        in between: two launches cannot both take the last of anything."""

    def world(self) -> World:
        """The declared world as it is now; the last good one while its files are wrong."""
        return self.worlds.current()

    async def cluster(self, log: Logger) -> Cluster:
        """The cluster, followed from the first call on. KubeError where there is none to be found."""
        if self._cluster is None:
            client = await Client.connect(self._kubeconfig)
            other = await Client.connect(self._kubeconfig, connections=len(live.TOPS) + 4)
            if self._cluster is None:  # nobody else was quicker
                watch = Watch(other, keys(self.world().site), log)
                watch.start()
                self._cluster = Cluster(client, watch)
            else:
                await client.close()
                await other.close()
        return self._cluster

    def in_use(self, workload: Workload) -> list[Size]:
        """Sizes of all that the tenant of *workload* has running or starting, but for itself."""
        found: dict[str, Size] = {}
        if self._cluster is not None:
            found = live.sizes(self._cluster.watch.index, workload.tenant, self.world().site)
        found.update({one.id: one.size for one, _ in self._starting.values() if one.tenant == workload.tenant})
        found.pop(workload.id, None)
        return list(found.values())

    def addresses_starting(self, tenant: str) -> set[str]:
        """Addresses that launches of a tenant take just now."""
        return {one for workload, taken in self._starting.values() if workload.tenant == tenant for one in taken}

    @contextmanager
    def starting(self, workload: Workload, addresses: tuple[str, ...]) -> Iterator[None]:
        """Counts as started, for as long as its launch takes."""
        self._starting[workload.id] = (workload, addresses)
        try:
            yield
        finally:
            self._starting.pop(workload.id, None)


@cache
def site_of(config: Path, kubeconfig: Path | None) -> KubeSite:
    """The one KubeSite of this process: hub and all of its spawners share the world and the watch."""
    return KubeSite(config, kubeconfig)
