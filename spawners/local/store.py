"""The records of all workloads on this machine: read by hub and portal, written by the hub process alone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from ipaddress import ip_address

from pydantic import ValidationError

from config.models import Network, Tenant
from images.lib.files import read_json, replace_json
from spawners.local.folder import KeeperState, Record, WorkloadFolder
from spawners.local.process import alive
from spawners.local.state import StateFolder
from spawners.refusal import Refusal
from spawners.workload import Workload


class Store:
    """Finds and keeps records. Cheap enough to be asked at every launch: one small file a workload."""

    def __init__(self, state: StateFolder) -> None:
        self.state = state

    def folder(self, workload: Workload) -> WorkloadFolder:
        """Where *workload* keeps its files."""
        return self.state.folder(workload.tenant, workload.owner, workload.name)

    def record(self, tenant: str, owner: str, name: str) -> Record | None:
        """One record, or None."""
        return _read(self.state.folder(tenant, owner, name))

    def records(self, tenant: str | None = None) -> Iterator[Record]:
        """All records (of one tenant), in name order. One that cannot be read is left out; its folder stays."""
        pattern = f"{tenant or '*'}/*/*/record.json"
        for path in sorted(self.state.workloads.glob(pattern)):
            record = _read(WorkloadFolder(path.parent))
            if record is not None:
                yield record

    def find(self, owner: str, name: str) -> Record | None:
        """The record of a named server: the newest, should the name have been used in two tenants."""
        tenants = [entry.name for entry in os.scandir(self.state.workloads) if not entry.name.startswith(".")]
        try:
            found = [_read(self.state.folder(tenant, owner, name)) for tenant in tenants]
        except ValueError:
            return None  # what is no name has no record
        return max((record for record in found if record), key=lambda record: record.changed, default=None)

    def save(self, record: Record) -> None:
        """Replace the record of a workload, whole."""
        replace_json(self.folder(record.workload).record, record.model_dump(mode="json"))

    def forget(self, record: Record) -> None:
        """Remove a workload's folder: its record, logs, secrets and address."""
        shutil.rmtree(self.folder(record.workload).path, ignore_errors=True)

    def keeper(self, workload: Workload) -> KeeperState | None:
        """What the workload's keeper last said, or None."""
        value = read_json(self.folder(workload).keeper)
        try:
            return KeeperState.model_validate(value) if value else None
        except ValidationError:
            return None

    def is_over(self, record: Record) -> bool:
        """Whether a single run has ended for good: its keeper said so and left."""
        state = self.keeper(record.workload)
        plan = read_json(self.folder(record.workload).plan) or {}
        return bool(state and plan.get("mode") == "once" and state.phase in ("finished", "failed"))


def _read(folder: WorkloadFolder) -> Record | None:
    value = read_json(folder.record)
    try:
        return Record.model_validate(value) if value else None
    except ValidationError:
        return None


def is_live(record: Record) -> bool:
    """Whether it takes quota: wanted and not ended. A direct process that is gone no longer counts."""
    if record.wanted != "running" or record.phase in ("stopped", "failed", "finished"):
        return False
    direct = record.port is not None
    return not direct or record.process is None or alive(record.process)


def allocate(network: Network | None, tenant: Tenant, workload: Workload, records: Iterable[Record]) -> str:
    """A LoadBalancer address of *network* for *workload*: the one it had, else the first that nobody holds.

    *records* are those of all tenants: an address may just have moved from one tenant's file to another's.
    A stopped workload keeps its address until it is removed from the list, so that an instrument's settings stay
    right. Refusal (reason place) when the pool is used up or the network has none.
    """
    if network is None or not network.loadbalancer:
        message = f"{tenant.name} has no LoadBalancer addresses; declare a network with `loadbalancer` in its file"
        raise Refusal.of("place", message, "network")
    held = {record.address: record.workload for record in records if record.address}
    own = next((address for address, holder in held.items() if holder.id == workload.id), None)
    if own and any(ip_address(own) in pool for pool in network.loadbalancer):
        return own
    for address in network.loadbalancer_addresses():
        if str(address) not in held:
            return str(address)
    holders = ", ".join(sorted(holder.name for holder in held.values() if holder.tenant == tenant.name))
    message = f"every address of {tenant.name}'s network {network.name} is taken (by {holders}); remove one of these"
    raise Refusal.of("place", message, "network")
