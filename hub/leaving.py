"""What becomes of the servers of people who have left: an interactive one ends when its owner leaves its tenant.

What the tenant owns goes on, since it was never theirs. A tenant that is gone from the files as a whole is another
matter: that may be a file being moved, so what runs there goes on until an operator stops it, and the log says so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from logging import Logger

import httpx

from config.models import World
from hub.place import Place
from spawners.runtime import Unreached
from spawners.workload import Workload


def left(live: Iterable[Workload], world: World) -> list[Workload]:
    """Of what lives, that of people who do not belong to the workload's tenant any more."""
    return [
        workload
        for workload in live
        if not workload.tenant_owned
        and (tenant := world.tenants.get(workload.tenant)) is not None
        and workload.owner not in tenant.people
    ]


def undeclared(live: Iterable[Workload], world: World) -> list[Workload]:
    """Of what lives, that of tenants that are not declared any more."""
    return [workload for workload in live if workload.tenant not in world.tenants]


def reason(workload: Workload) -> str:
    """What the record of a server that was ended so says."""
    return f"stopped, because {workload.owner} no longer belongs to {workload.tenant}"


async def end_left(
    place: Place,
    live: Iterable[Workload],
    stop: Callable[[Workload, str], Awaitable[bool]],
    log: Logger,
) -> None:
    """End these. *stop* asks the hub, and is False where the hub knows no such server: then the place ends it."""
    for workload in live:
        why = reason(workload)
        try:
            if not await stop(workload, why):
                await place.end(workload, why, log)
        except (httpx.HTTPError, Unreached) as error:
            log.warning("%s could not be stopped: %s; trying again", workload.id, error)
        else:
            log.info("%s: %s", workload.id, why)
