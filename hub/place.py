"""Where workloads live, as the hub sees it: this machine (hub/embedded/place.py) or a cluster (hub/cluster/place.py).

JupyterHub's database may be lost, or may have missed what happened while no hub ran. The place knows better: it says
what lives, and ends what the hub has no server for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from logging import Logger
from typing import Protocol

from config.models import World
from config.store import WorldStore
from spawners.workload import Workload

Known = Mapping[str, frozenset[str]]
"""Names of the hub's active servers by account, those that start or are checked included."""


class Place(Protocol):
    """One a hub. What it raises where it cannot be asked just now is logged, and it is asked again."""

    @property
    def worlds(self) -> WorldStore:
        """The declared world, which follows its files."""

    def world(self) -> World:
        """The declared world as it is now; the last good one while its files are wrong."""

    async def beside(self, log: Logger) -> None:
        """Work that goes on beside JupyterHub, for as long as it has any; cancelled when the hub ends."""

    async def live(self) -> Sequence[Workload]:
        """Everything that runs or waits to, of whatever tenant, declared or not."""

    async def after_start(self, known: Known, log: Logger) -> Sequence[Workload]:
        """Put right what the hub knows nothing of; what it is to start again, so that it knows it. Asked repeatedly
        while the hub still finds out what it knows."""

    async def orphans(self, tenant: str, known: Known) -> Sequence[Workload]:
        """What lives of a tenant without a server of the hub, for people to decide on."""

    async def end(self, workload: Workload, reason: str, log: Logger) -> None:
        """End one that no server of the hub stands for; *reason* is kept for its owner."""
