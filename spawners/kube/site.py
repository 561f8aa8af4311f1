"""One cluster as the hub and its spawners see it: world, kinds, the watch, and the launches under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, cached_property
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
from spawners.kube.events import Events
from spawners.kube.peek import Peeker
from spawners.kube.queue import LaunchQueue
from spawners.kube.recorder import Recorder
from spawners.kube.remotes import Remotes
from spawners.kube.watch import Watch
from spawners.workload import Workload

_FOR_NOTES = 8


@dataclass(frozen=True)
class Cluster:
    """The way to the API server. Two clients: launches, however many, never wait for a connection of the watch."""

    client: Client
    watch: Watch

    @cached_property
    def events(self) -> Events:
        """What is said of launches that take long."""
        return Events(self.client)


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
        self.launches_at_once = 0
        """As the spawner's trait says; 0: any number."""
        self.queue = LaunchQueue(lambda: self.launches_at_once)
        self._recorder: Recorder | None = None
        self._remotes: Remotes | None = None

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

    async def recorder(self, log: Logger) -> Recorder:
        """The hub's one recorder. Connections of its own: notes, however many, hold up no launch. KubeError."""
        cluster = await self.cluster(log)
        if self._recorder is None:
            peeker = await Peeker.connect(self._kubeconfig, connections=_FOR_NOTES)
            if self._recorder is None:
                self._recorder = Recorder(peeker, cluster.watch.index, lambda: self.world().site, log)
            else:
                await peeker.close()
        return self._recorder

    async def remotes(self, log: Logger) -> Remotes:
        """What keeps the tenants' remotes; one, so that no older answer is written over a newer one. KubeError."""
        cluster = await self.cluster(log)
        if self._remotes is None:
            self._remotes = Remotes(cluster.client, self.world().site.cluster.hub_namespace, log)
        return self._remotes

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

    def is_starting(self, workload: Workload) -> bool:
        """Whether its launch waits in line or is under way."""
        return workload.id in self._starting

    @contextmanager
    def starting(self, workload: Workload) -> Iterator[None]:
        """Counts as started, for as long as it waits in line and its launch takes."""
        self._starting[workload.id] = (workload, ())
        try:
            yield
        finally:
            self._starting.pop(workload.id, None)

    def take(self, workload: Workload, addresses: tuple[str, ...]) -> None:
        """It has *addresses* from now on, for as long as it counts as starting."""
        self._starting[workload.id] = (workload, addresses)


@cache
def site_of(config: Path, kubeconfig: Path | None) -> KubeSite:
    """The one KubeSite of this process: hub and all of its spawners share the world and the watch."""
    return KubeSite(config, kubeconfig)
