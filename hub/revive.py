"""After a start: what the records want running and the hub does not know of is taken back.

An empty database forgets every server. What a tenant owns is started again through the hub's own API: its keeper
still lives and is adopted, or is started. An interactive server cannot be taken back, since its token went with the
database; it is ended, and its record says why.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable, Mapping
from datetime import UTC, datetime
from logging import Logger

import httpx

from spawners.local import process
from spawners.local.folder import Record
from spawners.local.site import LocalSite

LOST = "the hub lost its database, so this server could not be taken back; start it again"


def forgotten(records: Iterable[Record], known: Mapping[str, frozenset[str]]) -> list[Record]:
    """Records that are wanted running, of servers that the hub does not know: *known* has active names by account."""
    return [
        record
        for record in records
        if record.wanted == "running"
        and record.phase in ("starting", "running")
        and record.workload.name not in known.get(record.workload.owner, frozenset())
    ]


async def revive(site: LocalSite, known: Mapping[str, frozenset[str]], api: str, token: str, log: Logger) -> None:
    """Take back what is forgotten, one after the other. Each failure is logged and leaves the others alone."""
    found = forgotten(site.store.records(), known)
    for record in [record for record in found if site.store.is_over(record)]:
        found.remove(record)  # a single run that ended while the hub was away: nothing to start, only to note
        site.store.save(record.model_copy(update={"wanted": "stopped", "phase": "finished"}))
    if not found:
        return
    async with httpx.AsyncClient(
        base_url=api, headers={"Authorization": f"token {token}"}, timeout=180, trust_env=False
    ) as client:
        for record in found:
            if record.workload.tenant_owned:
                await _start(client, record, log)
            else:
                await _end(site, record, log)


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


async def _end(site: LocalSite, record: Record, log: Logger) -> None:
    if record.process is not None:
        await process.stop(record.process, 10)
    update = {"wanted": "stopped", "phase": "failed", "reason": LOST, "changed": datetime.now(UTC)}
    site.store.save(record.model_copy(update=update))
    log.warning("%s: %s", record.workload.id, LOST)


def later(work: Awaitable[None], log: Logger) -> asyncio.Task[None]:
    """Do *work* beside the hub; what goes wrong in it is logged, never raised into the hub."""

    async def run() -> None:
        try:
            await work
        except Exception:
            log.exception("Taking workloads back failed")

    return asyncio.create_task(run())
