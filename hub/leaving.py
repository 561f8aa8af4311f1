"""What becomes of the servers of people who have left: an interactive one ends when its owner leaves its tenant.

What the tenant owns goes on, since it was never theirs. A tenant that is gone from the files as a whole is another
matter: that may be a file being moved, so what runs there goes on until an operator stops it, and the log says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from logging import Logger

import httpx

from config.models import World
from hub.revive import end_forgotten
from spawners.local.folder import Record
from spawners.local.site import LocalSite
from spawners.local.store import is_live


def left(records: Iterable[Record], world: World) -> list[Record]:
    """Live workloads of people who do not belong to the workload's tenant any more."""
    return [
        record
        for record in records
        if is_live(record)
        and not record.workload.tenant_owned
        and (tenant := world.tenants.get(record.workload.tenant)) is not None
        and record.workload.owner not in tenant.people
    ]


def undeclared(records: Iterable[Record], world: World) -> list[Record]:
    """Live workloads of tenants that are not declared any more."""
    return [record for record in records if is_live(record) and record.workload.tenant not in world.tenants]


def reason(record: Record) -> str:
    """What the record of a server that was ended so says."""
    return f"stopped, because {record.workload.owner} no longer belongs to {record.workload.tenant}"


async def end_left(
    site: LocalSite,
    records: Iterable[Record],
    stop: Callable[[Record, str], Awaitable[bool]],
    log: Logger,
) -> None:
    """End these. *stop* asks the hub, and is False where the hub knows no such server: then its process is ended."""
    for record in records:
        why = reason(record)
        try:
            if not await stop(record, why):
                await end_forgotten(site, record, "stopped", why)
        except httpx.HTTPError as error:
            log.warning("%s could not be stopped: %s; trying again", record.workload.id, error)
        else:
            log.info("%s: %s", record.workload.id, why)
