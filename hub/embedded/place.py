"""This machine as the hub sees it (hub/place.py), by the records in its state folder.

An empty database forgets every server. What a tenant owns is started again: its keeper still lives and is adopted, or
is started. An interactive server of a person cannot be taken back, since its token went with the database; it is
ended, and its record says why. A stop that the hub did not live to finish is finished.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from logging import Logger

from config.models import World
from config.store import WorldStore
from hub.place import Known
from spawners.deciding import LOST
from spawners.local import ending
from spawners.local.folder import Phase, Record
from spawners.local.site import LocalSite
from spawners.local.store import is_live
from spawners.workload import Workload


def forgotten(records: Iterable[Record], known: Known) -> list[Record]:
    """Records that are wanted running, of servers that the hub does not know: *known* has active names by account."""
    return [record for record in records if record.wanted == "running" and _is_unknown(record, known)]


def half_stopped(records: Iterable[Record], known: Known) -> list[Record]:
    """Records of stops that a hub began and did not live to finish: of servers that no hub is stopping now."""
    return [record for record in records if record.wanted == "stopped" and _is_unknown(record, known)]


def _is_unknown(record: Record, known: Known) -> bool:
    """Whether it is under way without a server of the hub."""
    names = known.get(record.workload.owner, frozenset())
    return record.phase in ("starting", "running") and record.workload.name not in names


class LocalPlace:
    """Implements hub.place.Place over one LocalSite."""

    def __init__(self, site: LocalSite) -> None:
        self.site = site

    @property
    def worlds(self) -> WorldStore:
        """See Place."""
        return self.site.worlds

    def world(self) -> World:
        """See Place."""
        return self.site.world()

    async def beside(self, log: Logger) -> None:
        """Nothing: keepers do it."""
        del log

    async def live(self) -> Sequence[Workload]:
        """See Place."""
        return [record.workload for record in self.site.store.records() if is_live(record)]

    async def after_start(self, known: Known, log: Logger) -> Sequence[Workload]:
        """See Place. What is not to be started again is ended here, or noted to have ended."""
        records = list(self.site.store.records())
        for record in half_stopped(records, known):
            await self._end(record, "stopped", record.reason)
        again = []
        for record in forgotten(records, known):
            if self.site.store.is_over(record):
                # A single run that ended while the hub was away: nothing to start, only to note.
                self.site.store.save(ending.ended(self.site.store, record, while_away=True))
            elif record.workload.tenant_owned:
                again.append(record.workload)
            else:
                await self._end(record, "failed", LOST)
                log.warning("%s: %s", record.workload.id, LOST)
        return again

    async def orphans(self, tenant: str, known: Known) -> Sequence[Workload]:
        """None: what the hub does not know is dealt with when it starts."""
        del tenant, known
        return ()

    async def end(self, workload: Workload, reason: str, log: Logger) -> None:
        """See Place."""
        del log
        record = self.site.store.record(workload.tenant, workload.owner, workload.name)
        if record is not None:
            await self._end(record, "stopped", reason)

    async def _end(self, record: Record, phase: Phase, reason: str) -> None:
        """End its processes, and note how and why it ended."""
        store = self.site.store
        grace_s = ending.grace_of(store, record)
        if record.port is None:
            await ending.end_kept(store, record, grace_s)
        else:
            await ending.end_direct(store, record, grace_s)
        update = {"wanted": "stopped", "phase": phase, "reason": reason, "changed": datetime.now(UTC)}
        store.save(record.model_copy(update=update))
