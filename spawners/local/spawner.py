"""TenantLocalSpawner: JupyterHub on one machine, by the shared path options -> access -> resolve -> Workload."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Unicode

from config.models import Size, World
from spawners.deciding import REVIVER as REVIVER
from spawners.deciding import Deciding, activity_env, told
from spawners.kinds.base import Kind
from spawners.local import ending, launch, ports, process
from spawners.local.folder import Record
from spawners.local.runs import stop_unattended
from spawners.local.site import LocalSite, site_of
from spawners.local.store import allocate, is_live
from spawners.plan import LocalPlan
from spawners.portalside import counts_as_up
from spawners.refusal import Refusal
from spawners.workload import Workload

_TELL_BEFORE_S = 10
"""Our own time-out ends this much before JupyterHub's, which would cancel us and leave nobody a reason."""


class TenantLocalSpawner(Deciding, Spawner):  # type: ignore[misc]  # jupyterhub has no types
    """One named server: decides in apply_user_options, then carries out the kind's plan.

    Everything that must outlive this process is in the workload's record (see folder.py), written before a process
    is started, so that a hub that dies at any point finds what it began:

    - between record and process: nothing runs; the next poll notes a failed launch;
    - between process and its note: the process is found by its environment and adopted;
    - between the wish to stop and the end: hub/revive.py finishes the stop.
    """

    config_folder = Unicode(help="Folder of the declared world").tag(config=True)
    state_folder = Unicode(help="State folder of this hub").tag(config=True)
    portal_url = Unicode(help="Where unattended servers answer: the portal, which shows their page").tag(config=True)
    objectstore_url = Unicode(help="Endpoint of the embedded object store").tag(config=True)

    stop_reason = ""
    """Why it is being stopped, where nobody asked for it: kept in the record for its owner."""
    _taken_back: Record | None = None
    """The record of a launch that goes on with what an empty database forgot."""
    _tenant: str | None = None
    """The tenant of the record, once known: spares looking for it."""
    _to_revive = False

    @property
    def site(self) -> LocalSite:
        """World, kinds, tools and records; one for all spawners."""
        return site_of(Path(self.config_folder), Path(self.state_folder))

    # -- deciding ------------------------------------------------------------------------------------------------

    def going_on(self) -> Workload | None:
        """See Deciding: what the reviver takes back."""
        self._taken_back = self._forgotten_record()
        return self._taken_back.workload if self._taken_back else None

    def missing(self, kind: Kind) -> str | None:
        """See Deciding: a program that this machine lacks."""
        return kind.missing(self.site.tools)

    def in_use(self, workload: Workload) -> Iterable[Size]:
        """See Deciding: by the records."""
        records = self.site.store.records(workload.tenant)
        return [
            record.workload.size
            for record in records
            if record.workload.tenant == workload.tenant and record.workload.id != workload.id and is_live(record)
        ]

    def _forgotten_record(self) -> Record | None:
        """The record to go on with where the reviver asks; None for a launch of anybody else.

        What is taken back was allowed when it was started, and nobody has stopped it since: its frozen workload is
        not decided anew. A quota or profile that has changed meanwhile must not leave it running unknown to the hub.
        """
        asker = getattr(self.handler, "current_user", None)
        if not (isinstance(asker, orm.Service) and asker.name == REVIVER):
            return None
        record = self._find()
        return record if record is not None and record.wanted == "running" else None

    # -- starting ------------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Start the workload; the URL that the proxy leads to. SpawnException with a reason when it cannot."""
        workload, world = self.workload, self.world
        if workload is None or world is None:
            raise SpawnException("this launch was never decided", reason="options")
        try:
            if self._taken_back is not None and self._taken_back.port is None:
                return await self._take_back(self._taken_back)
            await self._end_before(self._find())
            record, plan = self._commit(workload, world)
        except Refusal as refusal:
            if refusal.reason != "quota":  # as one that is refused at once: there is nothing to list
                self._save_failure(workload, str(refusal))
            raise told(refusal) from None
        try:
            place = launch.place_of(self.site.state, self.site.tools, workload, record.address)
            await launch.make_buckets(self.site.state, world.tenants[workload.tenant], place)
            if plan.mode == "direct":
                return await self._start_direct(record, plan, world)
            return await self._start_kept(record, plan)
        except Refusal as refusal:
            self._save_failure(workload, str(refusal))
            raise told(refusal) from None

    def _commit(self, workload: Workload, world: World) -> tuple[Record, LocalPlan]:
        """Quota, address and record without an await in between: two launches cannot both take the last one."""
        tenant, kind = world.tenants.get(workload.tenant), self.site.kinds.get(workload.kind)
        if tenant is None or kind is None:  # only what is taken back: all else was decided on this world
            gone = f"tenant {workload.tenant}" if tenant is None else f"kind {workload.kind}"
            raise Refusal.of("world", f"there is no {gone} any more")
        records = list(self.site.store.records())
        if self._taken_back is None:
            self.require_quota(world, workload)
        address = None
        if kind.needs_address:
            address = allocate(tenant.network(workload.network), tenant, workload, records)
        place = launch.place_of(self.site.state, self.site.tools, workload, address)
        plan = launch.prepare(self.site.state, kind, workload, tenant, world.site, place, self.objectstore_url)
        port = ports.free_port({record.port for record in records}) if plan.mode == "direct" else None
        record = Record(
            workload=workload,
            wanted="running",
            phase="starting",
            changed=datetime.now(UTC),
            address=address,
            port=port,
        )
        return self._save(record), plan

    async def _end_before(self, before: Record | None) -> None:
        """End what an earlier launch of this name has left: two must never run.

        That is there only where a database was lost; and a keeper goes on with the new plan, if it is of its sort.
        """
        if before is None or before.wanted != "running":
            return
        if before.port is not None:
            await ending.end_direct(self.site.store, before, ending.grace_of(self.site.store, before))
        elif self.workload is not None and before.workload.kind != self.workload.kind:
            await ending.end_kept(self.site.store, before, ending.grace_of(self.site.store, before))

    async def _start_direct(self, record: Record, plan: LocalPlan, world: World) -> str:
        place = launch.place_of(self.site.state, self.site.tools, record.workload, None)
        profile = world.profiles.get(record.workload.profile)
        port = record.port or 0  # a direct record always has one
        for last_try in (False, True):
            self.port = port
            ref = launch.start_direct(plan, place, {**self.get_env(), **activity_env(profile)})
            record = self._save(record.model_copy(update={"process": ref}))
            wrong = await launch.wait_listening(port, ref, self.start_timeout - _TELL_BEFORE_S)
            if not wrong:
                break
            code = process.exit_code(ref)
            await process.stop(ref, 2)
            if last_try or ports.is_free(port):
                how = f"ended with exit code {code}" if code is not None else wrong
                raise Refusal.of("place", f"it {how}: {launch.why(place.folder)}")
            # Between our choice of the port and its bind, another program has taken it.
            port = ports.free_port({port})
            record = self._save(record.model_copy(update={"process": None, "port": port}))
        self._save(record.model_copy(update={"phase": "running", "changed": datetime.now(UTC)}))
        return f"http://127.0.0.1:{port}"

    async def _start_kept(self, record: Record, plan: LocalPlan) -> str:
        place = launch.place_of(self.site.state, self.site.tools, record.workload, record.address)
        folder = self.site.store.folder(record.workload)
        ref = launch.start_kept(place, fresh=True)
        record = self._save(record.model_copy(update={"process": ref}))
        wrong = await launch.wait_kept(folder, plan, ref, self.start_timeout - _TELL_BEFORE_S)
        if wrong:
            await stop_unattended(folder)
            raise Refusal.of("place", wrong)
        self._save(record.model_copy(update={"phase": "running", "changed": datetime.now(UTC)}))
        counts_as_up(self.server)
        return self.portal_url

    async def _take_back(self, record: Record) -> str:
        """Go on with an unattended workload as it is: its keeper lives, or another one goes on where it stopped."""
        place = launch.place_of(self.site.state, self.site.tools, record.workload, record.address)
        ref = launch.start_kept(place, fresh=False)
        self._save(record.model_copy(update={"process": ref, "phase": "running"}))
        counts_as_up(self.server)
        return self.portal_url

    # -- watching and stopping -----------------------------------------------------------------------------------

    async def poll(self) -> int | None:
        """None while it runs. An unattended workload whose keeper is gone gets a new one here: nothing vanishes.

        JupyterHub calls stop() only for what runs, so the end of what ended by itself is noted here.
        """
        record = self._find()
        if record is None or record.wanted != "running":
            return 0
        if record.port is None:
            return self._poll_kept(record)
        ref = record.process or ending.unnoted(self.site.store, record)
        if ref is not None and process.alive(ref):
            if record.process is None:
                self._save(record.model_copy(update={"process": ref, "phase": "running"}))
            return None
        # The hub finds it gone when it starts: what a tenant owns is started again (hub/revive.py), as after a reboot.
        self._to_revive = self._to_revive or (self._check_pending and record.workload.tenant_owned)
        if not self._to_revive:
            self._save(ending.ended(self.site.store, record, while_away=self._check_pending))
        return (process.exit_code(ref) if ref else None) or 0

    def _poll_kept(self, record: Record) -> int | None:
        if record.process is None and not self._check_pending:
            self._save(ending.ended(self.site.store, record))  # its start was cancelled before there was a keeper
            return 0
        counts_as_up(self.server)
        if record.process is not None and process.alive(record.process):
            return None
        if self.site.store.is_over(record):
            self._save(ending.ended(self.site.store, record, while_away=self._check_pending))
            return 0
        place = launch.place_of(self.site.state, self.site.tools, record.workload, record.address)
        try:
            ref = launch.start_kept(place, fresh=False)
        except Refusal as refusal:
            self.log.warning("No keeper for %s: %s; trying again", record.workload.id, refusal)
            return None
        if record.process is None or ref != record.process:
            self.log.warning("Keeper of %s was gone", record.workload.id)
        self._save(record.model_copy(update={"process": ref, "phase": "running"}))
        return None

    async def stop(self, now: bool = False) -> None:
        """End it. JupyterHub calls it only while poll says that it runs."""
        record = self._find()
        if record is None or record.wanted != "running":
            return
        silent = self._waiting_for_response
        # The wish first: should the hub die in the middle of a stop, nobody starts it again.
        record = self._save(record.model_copy(update={"wanted": "stopped"}))
        grace_s = 1 if now else ending.grace_of(self.site.store, record)
        if record.port is None:
            await ending.end_kept(self.site.store, record, grace_s)
        else:
            await ending.end_direct(self.site.store, record, grace_s)
        phase, reason = "stopped", self.stop_reason
        if silent and record.port is not None:
            folder = self.site.store.folder(record.workload).path
            phase, reason = "failed", f"it listened, but did not answer in time: {launch.why(folder)}"
        self._save(record.model_copy(update={"phase": phase, "reason": reason, "changed": datetime.now(UTC)}))

    async def get_url(self) -> str:
        """Where it answers now; the record knows it even when the hub died before it could note the port."""
        record = self._find()
        if record is not None and record.port is not None:
            return f"http://127.0.0.1:{record.port}{self.server.base_url if self.server else ''}"
        return f"{self.portal_url}{self.server.base_url if self.server else ''}"

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What a launch does just now, for the hub's progress page and the portal."""
        workload = self.workload
        if workload is None:
            return
        yield {"progress": 10, "message": f"{workload.tenant}: allowed, and fits the quota"}
        yield {"progress": 40, "message": f"Starting {workload.display_name} ({workload.size.name})"}
        yield {"progress": 70, "message": "Waiting until it answers"}

    # -- records -------------------------------------------------------------------------------------------------

    def _find(self) -> Record | None:
        """The record as it is now. Read each time: the portal removes ended ones, a start-up notes ends."""
        store = self.site.store
        record = store.record(self._tenant, self.user.name, self.name) if self._tenant else None
        record = record or store.find(self.user.name, self.name)
        self._tenant = record.workload.tenant if record else None
        return record

    def _save(self, record: Record) -> Record:
        self.site.store.save(record)
        self._tenant = record.workload.tenant
        return record

    def _save_failure(self, workload: Workload, reason: str) -> None:
        """Keep a failed launch where people see it; it holds no quota."""
        old = self._find()
        self._save(
            Record(
                workload=workload,
                wanted="stopped",
                phase="failed",
                reason=reason,
                changed=datetime.now(UTC),
                address=old.address if old and old.workload.id == workload.id else None,
            )
        )
