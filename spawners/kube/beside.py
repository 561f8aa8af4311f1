"""What runs beside JupyterHub for as long as it lives: records of what ended, the tenants' remotes, a lost line.

For the hub to call; nothing here starts a launch. hub/ asks for launches, since only JupyterHub can make them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from logging import Logger

from spawners.kube import acts, keepsake, live
from spawners.kube.client import KubeError
from spawners.kube.index import key_of
from spawners.kube.keepsake import Ending
from spawners.kube.notes import Notes
from spawners.kube.site import KubeSite
from spawners.workload import Workload

LINE_LOST = "the hub was restarted while it waited in line; start it again"
_AGAIN_S = 15.0


async def run_beside(site: KubeSite, log: Logger) -> None:
    """For ever: keep what ends (Recorder), each tenant's Secret of remotes (Remotes), and tell what a hub that died has
    left in line. Never raises but for being cancelled: what fails is logged and begun again."""
    await asyncio.gather(
        _always("records of what ended", lambda: _record(site, log), log),
        _always("remotes of the tenants", lambda: _remotes(site, log), log),
    )


async def orphans(site: KubeSite, known: Mapping[str, frozenset[str]], log: Logger) -> list[Workload]:
    """Live workloads of all declared tenants whose servers the hub does not know, once everything there is was listed.

    *known*: names of the hub's active servers, those still being started or checked included, by account. What a
    tenant owns is taken back by a launch that the service `reviver` asks for, with the workload's own tenant, profile
    and options; nothing is applied anew then. A person's is to be ended (end_workload). KubeError.
    """
    cluster = await site.cluster(log)
    await cluster.watch.synced()
    world = site.world()
    return [one for tenant in world.tenants for one in live.orphans(cluster.watch.index, tenant, world.site, known)]


async def end_workload(site: KubeSite, workload: Workload, state: Ending, reason: str, log: Logger) -> None:
    """End a workload that no server of the hub stands for, and note why. KubeError where it cannot be ended."""
    cluster = await site.cluster(log)
    await cluster.watch.synced()
    await Notes(site, log).ended(workload, state, reason)
    await acts.stop(cluster, key_of(workload), site.world().site)


async def _record(site: KubeSite, log: Logger) -> None:
    cluster = await site.cluster(log)
    recorder = await site.recorder(log)
    await cluster.watch.synced()
    await look_through(site, log)
    await recorder.run(cluster.watch.synced, lambda: list(site.world().tenants))


async def look_through(site: KubeSite, log: Logger) -> None:
    """Once all tenants' records, as a hub that begins finds them: note launches that its last life has left waiting in
    line, which will never have their turn, and forget what is old."""
    recorder = await site.recorder(log)
    for tenant in list(site.world().tenants):
        try:
            every = await recorder.of_tenant(tenant)
            for past in every:
                if keepsake.is_in_line(past) and not site.is_starting(past.workload):
                    await Notes(site, log).ended(past.workload, "failed", LINE_LOST)
            await recorder.forget_surplus(every)
        except KubeError as error:
            log.info("%s: its records were not looked through: %s", tenant, error)


async def _remotes(site: KubeSite, log: Logger) -> None:
    await (await site.remotes(log)).run(site.world)


async def _always(what: str, begin: Callable[[], Awaitable[None]], log: Logger) -> None:
    """*begin* again and again: neither a cluster that is away nor a mistake of ours ends it for good."""
    said = ""
    while True:
        try:
            await begin()
        except KubeError as error:
            if str(error) != said:
                log.warning("No %s for now, trying again: %s", what, error)
            said = str(error)
        except Exception:
            log.exception("No %s for now, trying again", what)
        await asyncio.sleep(_AGAIN_S)
