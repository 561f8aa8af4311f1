"""After a start: what the records want and the hub does not know of is taken back, or brought to its end.

An empty database forgets every server. What a tenant owns is started again through the hub's own API: its keeper
still lives and is adopted, or is started. An interactive server of a person cannot be taken back, since its token went
with the database; it is ended, and its record says why. A stop that the hub did not live to finish is finished.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime
from logging import Logger

import httpx

from spawners.local import ending
from spawners.local.folder import Phase, Record
from spawners.local.site import LocalSite
from spawners.local.spawner import REVIVER

LOST = "the hub lost its database, so this server could not be taken back; start it again"
SERVICE = REVIVER
"""The service of JupyterHub as which it asks; the spawner knows it by that."""
_LOOK_AGAIN_S = 1.0

Known = Mapping[str, frozenset[str]]
"""Names of active servers by account."""


def forgotten(records: Iterable[Record], known: Known) -> list[Record]:
    """Records that are wanted running, of servers that the hub does not know: *known* has active names by account."""
    return [
        record
        for record in records
        if record.wanted == "running"
        and record.phase in ("starting", "running")
        and record.workload.name not in known.get(record.workload.owner, frozenset())
    ]


def half_stopped(records: Iterable[Record], known: Known) -> list[Record]:
    """Records of stops that a hub began and did not live to finish: of servers that no hub is stopping now."""
    return [
        record
        for record in records
        if record.wanted == "stopped"
        and record.phase in ("starting", "running")
        and record.workload.name not in known.get(record.workload.owner, frozenset())
    ]


async def revive(site: LocalSite, look: Callable[[], tuple[Known, bool]], api: str, token: str, log: Logger) -> None:
    """Take back what is forgotten, one after the other. Each failure is logged and leaves the others alone.

    *look* gives what the hub knows now, and whether it is still finding out: what it checks in the background may
    turn out to have ended, so it is looked at again until the hub is sure.
    """
    tried: set[str] = set()
    async with httpx.AsyncClient(
        base_url=api, headers={"Authorization": f"token {token}"}, timeout=180, trust_env=False
    ) as client:
        while True:
            known, checking = look()
            records = list(site.store.records())
            for record in half_stopped(records, known):
                await end_forgotten(site, record, "stopped", record.reason)
            for record in forgotten(records, known):
                if record.workload.id not in tried:
                    tried.add(record.workload.id)
                    await _take_back(client, site, record, log)
            if not checking:
                return
            await asyncio.sleep(_LOOK_AGAIN_S)


async def _take_back(client: httpx.AsyncClient, site: LocalSite, record: Record, log: Logger) -> None:
    if site.store.is_over(record):
        # A single run that ended while the hub was away: nothing to start, only to note.
        site.store.save(ending.ended(site.store, record, while_away=True))
    elif record.workload.tenant_owned:
        await _start(client, record, log)
    else:
        await end_forgotten(site, record, "failed", LOST)
        log.warning("%s: %s", record.workload.id, LOST)


async def _start(client: httpx.AsyncClient, record: Record, log: Logger) -> None:
    workload = record.workload
    body = {
        "display_name": workload.display_name,
        "user_options": {"tenant": workload.tenant, "profile": workload.profile, "options": workload.options},
    }
    try:
        answer = await client.post(f"/users/{workload.owner}/servers/{workload.name}", json=body)
    except httpx.HTTPError as error:
        log.warning("%s could not be taken back: %s", workload.id, error)
        return
    if answer.is_error:
        log.warning("%s could not be taken back: %s", workload.id, answer.text[:300])
    else:
        log.info("%s is taken back", workload.id)


async def end_forgotten(site: LocalSite, record: Record, phase: Phase, reason: str) -> None:
    """End the processes of a workload that the hub does not know, and note how and why it ended."""
    grace_s = ending.grace_of(site.store, record)
    if record.port is None:
        await ending.end_kept(site.store, record, grace_s)
    else:
        await ending.end_direct(site.store, record, grace_s)
    update = {"wanted": "stopped", "phase": phase, "reason": reason, "changed": datetime.now(UTC)}
    site.store.save(record.model_copy(update=update))


def later(work: Awaitable[None], log: Logger) -> asyncio.Task[None]:
    """Do *work* beside the hub; what goes wrong in it is logged, never raised into the hub."""

    async def run() -> None:
        try:
            await work
        except Exception:
            log.exception("Work beside the hub failed")

    return asyncio.create_task(run())
