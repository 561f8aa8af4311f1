"""TenantLocalSpawner: JupyterHub on one machine, by the shared path options -> access -> resolve -> Workload."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from traitlets import Unicode

from config.models import IdleRule, Profile
from images.lib.files import read_json
from spawners import quota
from spawners.local import launch, process
from spawners.local.folder import Record
from spawners.local.runs import stop_unattended
from spawners.local.site import LocalSite, site_of
from spawners.local.store import allocate, is_live
from spawners.plan import LocalPlan
from spawners.refusal import Refusal
from spawners.request import parse
from spawners.resolve import resolve
from spawners.workload import Workload

STATUS_OF = {"access": 403, "options": 400, "quota": 409, "world": 400, "place": 409}
"""HTTP status of each reason of a refusal."""


class TenantLocalSpawner(Spawner):  # type: ignore[misc]  # jupyterhub has no types
    """One named server: decides in apply_user_options, then carries out the kind's plan.

    Everything that must outlive this process is in the workload's record (see folder.py), written before a process
    is started, so that a hub that dies at any point finds what it began.
    """

    config_folder = Unicode(help="Folder of the declared world").tag(config=True)
    state_folder = Unicode(help="State folder of this hub").tag(config=True)
    portal_url = Unicode(help="Where unattended servers answer: the portal, which shows their page").tag(config=True)
    objectstore_url = Unicode(help="Endpoint of the embedded object store").tag(config=True)

    _workload: Workload | None = None
    _record: Record | None = None
    _before: Record | None = None
    """The record that a start found, when it is not the first."""

    @property
    def site(self) -> LocalSite:
        """World, kinds, tools and records; one for all spawners."""
        return site_of(Path(self.config_folder), Path(self.state_folder))

    # -- deciding ------------------------------------------------------------------------------------------------

    async def _run_apply_user_options(self, user_options: Any) -> None:
        """Decide the launch here, where JupyterHub loads user options: the REST API passes every page by."""
        try:
            self._workload = self._decide(user_options)
        except Refusal as refusal:
            raise _told(refusal) from None

    def _decide(self, user_options: Any) -> Workload:
        world = self.site.world()
        request = parse(user_options)
        workload = resolve(
            world,
            self.site.kinds,
            request,
            owner=self.user.name,
            name=self.name,
            display_name=self.orm_spawner.display_name or "",
            started_by=self._asker(),
            asked=datetime.now(UTC),
        )
        tenant = world.tenants[workload.tenant]
        missing = self.site.kinds[workload.kind].missing(self.site.tools)
        if missing:
            raise Refusal.of("place", missing, "profile")
        others = [r.workload.size for r in self.site.store.records(tenant.name) if self._counts(r, workload)]
        quota.require(tenant, quota.used(others), workload.size)
        return workload

    @staticmethod
    def _counts(record: Record, workload: Workload) -> bool:
        return record.workload.id != workload.id and is_live(record)

    def _asker(self) -> str:
        """Who asked: the signed-in person or service; at a revival whoever asked the first time."""
        asker = getattr(self.handler, "current_user", None)
        name = str(getattr(asker, "name", "") or self.user.name)
        known = self._find()
        return known.workload.started_by if known and name == "reviver" else name

    # -- starting ------------------------------------------------------------------------------------------------

    async def start(self) -> str:
        """Start the workload; the URL that the proxy leads to. SpawnException with a reason when it cannot."""
        workload = self._workload
        if workload is None:
            raise SpawnException("this launch was never decided", reason="options")
        try:
            # No await between the quota, the address and the record: two launches cannot both take the last one.
            record, plan = self._commit(workload)
        except Refusal as refusal:
            self._save_failure(workload, str(refusal))
            raise _told(refusal) from None
        try:
            place = launch.place_of(self.site.state, self.site.tools, workload, record.address)
            await launch.make_buckets(self.site.state, self.site.world().tenants[workload.tenant], place)
            if plan.mode == "direct":
                return await self._start_direct(record, plan)
            return await self._start_kept(record, plan)
        except Refusal as refusal:
            self._save_failure(workload, str(refusal))
            raise _told(refusal) from None

    def _commit(self, workload: Workload) -> tuple[Record, LocalPlan]:
        world, store = self.site.world(), self.site.store
        tenant, kind = world.tenants[workload.tenant], self.site.kinds[workload.kind]
        self._before = self._find()
        address = None
        if kind.needs_address:
            address = allocate(tenant.network(workload.network), tenant, workload, store.records(tenant.name))
        place = launch.place_of(self.site.state, self.site.tools, workload, address)
        plan = launch.prepare(self.site.state, kind, workload, tenant, world.site, place, self.objectstore_url)
        record = Record(
            workload=workload,
            wanted="running",
            phase="starting",
            changed=datetime.now(UTC),
            address=address,
            port=launch.free_port() if plan.mode == "direct" else None,
        )
        self._save(record)
        return record, plan

    async def _start_direct(self, record: Record, plan: LocalPlan) -> str:
        place = launch.place_of(self.site.state, self.site.tools, record.workload, None)
        self.port = record.port
        if self._before is not None and self._before.process is not None:
            # Left from a hub that lost its database: its token is worthless, and two must never run.
            await process.stop(self._before.process, plan.grace_s)
        profile = self.site.world().profiles[record.workload.profile]
        ref = launch.start_direct(plan, place, {**self.get_env(), **activity_env(profile)})
        record = self._save(record.model_copy(update={"process": ref}))
        assert record.port  # noqa: S101  (a direct record always has one)
        if not await launch.wait_listening(record.port, ref, self.start_timeout):
            code = process.exit_code(ref)
            await process.stop(ref, 2)
            how = f"ended with exit code {code}" if code is not None else "did not answer in time"
            raise Refusal.of("place", f"it {how}: {launch.why(place.folder)}")
        self._save(record.model_copy(update={"phase": "running", "changed": datetime.now(UTC)}))
        return f"http://127.0.0.1:{record.port}"

    async def _start_kept(self, record: Record, plan: LocalPlan) -> str:
        place = launch.place_of(self.site.state, self.site.tools, record.workload, record.address)
        folder = self.site.store.folder(record.workload)
        ref = launch.start_kept(place, fresh=True)
        record = self._save(record.model_copy(update={"process": ref}))
        wrong = await launch.wait_kept(folder, plan, ref, self.start_timeout)
        if wrong:
            await stop_unattended(folder)
            raise Refusal.of("place", wrong)
        self._save(record.model_copy(update={"phase": "running", "changed": datetime.now(UTC)}))
        return self.portal_url

    # -- watching and stopping -----------------------------------------------------------------------------------

    async def poll(self) -> int | None:
        """None while it runs. An unattended workload whose keeper is gone gets a new one here: nothing vanishes."""
        record = self._find()
        if record is None or record.wanted != "running":
            return 0
        if record.port is not None and record.process is None:
            # The hub died between the record and the process: nothing was started that anybody knows of.
            return 0
        if record.port is not None:
            ref = record.process
            return None if ref and process.alive(ref) else (process.exit_code(ref) if ref else None) or 0
        if record.process is not None and process.alive(record.process):
            return None
        if self.site.store.is_over(record):
            return 0
        self.log.warning("Keeper of %s is gone; starting another", record.workload.id)
        place = launch.place_of(self.site.state, self.site.tools, record.workload, record.address)
        ref = launch.start_kept(place, fresh=False)
        self._save(record.model_copy(update={"process": ref, "phase": "running"}))
        return None

    async def stop(self, now: bool = False) -> None:
        """End it. Called by the hub too when poll has told that it ended by itself; then only its end is recorded."""
        record = self._find()
        if record is None or record.wanted != "running" or record.phase == "failed":
            return
        if record.port is not None and (record.process is None or not process.alive(record.process)):
            self._save(self._ended(record))
            return
        if record.port is None and self.site.store.is_over(record):
            self._save(self._ended(record))
            return
        # The wish first: should the hub die in the middle of a stop, nobody starts it again.
        record = self._save(record.model_copy(update={"wanted": "stopped"}))
        if record.port is None:
            await stop_unattended(self.site.store.folder(record.workload), 1 if now else None)
        elif record.process is not None:
            await process.stop(record.process, 1 if now else self._grace(record))
        self._save(record.model_copy(update={"phase": "stopped", "reason": "", "changed": datetime.now(UTC)}))

    def _grace(self, record: Record) -> int:
        plan = read_json(self.site.store.folder(record.workload).plan) or {}
        return int(plan.get("grace_s", 10)) + 5

    def _ended(self, record: Record) -> Record:
        """The record of a workload that ended without being told to."""
        state = self.site.store.keeper(record.workload) if record.port is None else None
        if state is not None:
            phase, reason = ("failed", state.message) if state.phase == "failed" else ("finished", state.message)
        else:
            code = process.exit_code(record.process) if record.process else None
            said = launch.why(self.site.store.folder(record.workload).path)
            phase, reason = (
                ("failed", f"ended with exit code {code}: {said}") if code else ("stopped", "ended by itself")
            )
        update = {"wanted": "stopped", "phase": phase, "reason": reason, "changed": datetime.now(UTC)}
        return record.model_copy(update=update)

    async def get_url(self) -> str:
        """Where it answers now; the record knows it even when the hub died before it could note the port."""
        record = self._find()
        if record is not None and record.port is not None:
            return f"http://127.0.0.1:{record.port}{self.server.base_url if self.server else ''}"
        return f"{self.portal_url}{self.server.base_url if self.server else ''}"

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What a launch does just now, for the hub's progress page and the portal."""
        workload = self._workload
        if workload is None:
            return
        yield {"progress": 10, "message": f"{workload.tenant}: allowed, and fits the quota"}
        yield {"progress": 40, "message": f"Starting {workload.display_name} ({workload.size.name})"}
        yield {"progress": 70, "message": "Waiting until it answers"}

    # -- records -------------------------------------------------------------------------------------------------

    def _find(self) -> Record | None:
        if self._record is None:
            self._record = self.site.store.find(self.user.name, self.name)
        return self._record

    def _save(self, record: Record) -> Record:
        self.site.store.save(record)
        self._record = record
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


def activity_env(profile: Profile) -> dict[str, str]:
    """How often an interactive server tells the hub that it is used: four times within its idle rule, so that a busy
    one is never taken for idle; JupyterHub's own interval of five minutes at most.
    """
    idle = profile.idle or IdleRule()
    return {"JUPYTERHUB_ACTIVITY_INTERVAL": str(min(300, idle.stop_after_s // 4))}


def _told(refusal: Refusal) -> SpawnException:
    """The same refusal as JupyterHub tells it: 4xx, one text, a reason label; never a 500."""
    return SpawnException(str(refusal), reason=refusal.reason, status_code=STATUS_OF.get(refusal.reason, 400))
