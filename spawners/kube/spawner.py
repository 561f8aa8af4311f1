"""TenantKubeSpawner: JupyterHub on a cluster, by the shared path options -> access -> resolve -> Workload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.spawner import SpawnException
from kubespawner import KubeSpawner
from traitlets import Dict, Float, Integer, Unicode

from config.models import Site, Size, World
from spawners.deciding import LOST, REVIVER, told
from spawners.kube import acts, doom, live
from spawners.kube.adopt import NotAdoptable, workload_of
from spawners.kube.client import ApiError, KubeError
from spawners.kube.index import Key, key_for, key_of
from spawners.kube.keepsake import Ending
from spawners.kube.launching import Launching
from spawners.kube.look import at
from spawners.kube.notes import Notes
from spawners.kube.site import Cluster, KubeSite, site_of
from spawners.portalside import counts_as_up
from spawners.refusal import Refusal
from spawners.workload import Workload

CANCELLED = "its launch was cancelled"
SILENT = "it did not answer the hub, which was started again"
WAITS = "waiting for its turn"
FOR_EVER_S = 10 * 365 * 86400
_GIVE_UP_S = 5
_SYNC_S = 10
"""A launch waits so long for a hub that has just begun to know what there is; a poll waits for ever."""
_STOP_TRIES_S = 600
"""For so long a stop is tried again where the cluster does not answer. Then JupyterHub forgets the server, and it is
shown as an orphan."""


class TenantKubeSpawner(Launching, KubeSpawner):  # type: ignore[misc]  # kubespawner has no types
    """One named server: decides in apply_user_options, then carries out the kind's plan on the cluster.

    What must outlive this process is on the cluster alone: each object carries the workload's labels, its top object
    the whole Workload. The watch's index is read, never a reflector of KubeSpawner's; of KubeSpawner only
    `get_pod_manifest` is used, which knows what JupyterHub wants of a Pod.
    """

    config_folder = Unicode(help="Folder of the declared world").tag(config=True)
    kubeconfig = Unicode(
        help="Way to the cluster; empty: as a Pod of it, else as kubectl. KUBECONFIG has to say the same to KubeSpawner"
    ).tag(config=True)
    portal_url = Unicode(help="Where unattended servers answer: the portal, which shows their page").tag(config=True)
    kind_images = Dict(help="This installation's images by kind, for profiles that name none").tag(config=True)
    unschedulable_s = Float(
        doom.UNSCHEDULABLE_S, help="How long a launch may find no place; more where nodes are added on demand"
    ).tag(config=True)
    launches_at_once = Integer(
        64,
        min=0,
        help="How many launches are under way at once, the others wait in line; 0: any number. In the place of "
        "JupyterHub.concurrent_spawn_limit, which refuses them and has to be 0",
    ).tag(config=True)

    _taken_back = False
    """This launch goes on with what an empty database forgot."""
    _cluster: Cluster | None = None
    """Once it is synced."""
    stop_reason = ""
    """Why it is being stopped, where nobody asked for it."""
    _unsure = False
    """Whether a hub that has just begun looks whether it answers, and has not seen it answer."""
    _in_line = False
    _progress: asyncio.Event | None = None
    _notes: Notes | None = None

    @property
    def site(self) -> KubeSite:
        """World, kinds and watch; one for all spawners."""
        return site_of(Path(self.config_folder), Path(self.kubeconfig) if self.kubeconfig else None)

    @property
    def notes(self) -> Notes:
        """What is told to the recorder of this server."""
        if self._notes is None:
            self._notes = Notes(self.site, self.log)
        return self._notes

    # -- deciding ------------------------------------------------------------------------------------------------

    async def _run_apply_user_options(self, user_options: Any) -> None:
        """See Deciding. What runs already is known before anything is decided on it."""
        try:
            async with asyncio.timeout(_SYNC_S):
                await self._synced()
        except (KubeError, TimeoutError) as error:
            self.log.warning("No launches: %s", str(error) or "the cluster has not answered since the hub began")
            raise told(acts.UNREACHED) from None
        await super()._run_apply_user_options(user_options)

    def in_use(self, workload: Workload) -> Iterable[Size]:
        """See Deciding: by the labels on the cluster, and what is under way to it."""
        return self.site.in_use(workload)

    def going_on(self) -> Workload | None:
        """See Deciding: what the reviver takes back goes on as it is, whatever the files say by now."""
        self._taken_back = False
        asker, cluster, key = getattr(self.handler, "current_user", None), self._cluster, self._key()
        if not (isinstance(asker, orm.Service) and asker.name == REVIVER) or cluster is None or key is None:
            return None
        for workload, top in live.workloads(cluster.watch.index, str(self.user_options["tenant"]), self._world_site):
            if key_of(workload) == key and workload.owner == self.user.name and live.is_live(top):
                self._taken_back = True
                return workload
        return None

    async def load_user_options(self) -> None:
        """Nothing: KubeSpawner's profiles, which may overwrite any field, do not exist here."""

    # -- starting ------------------------------------------------------------------------------------------------

    _start_future: asyncio.Task[str] | None
    _patience_s: float | None = None
    """What start_timeout was configured as."""
    _failed: tuple[Ending, str] | None = None
    """How this launch has ended, in the words that its owner was told: a stop that follows says nothing else."""

    def start(self) -> asyncio.Task[str]:
        """Start the workload; the URL that the proxy leads to. SpawnException with a reason when it cannot."""
        if self._patience_s is None:
            self._patience_s = float(self.start_timeout)
        # JupyterHub reads it after this and measures from here on, so it has to cover the line; _begin measures itself.
        self.start_timeout = FOR_EVER_S
        self._failed, self.begun, self.stop_reason = None, False, ""
        self._start_future = asyncio.ensure_future(self._begin(self._patience_s))
        return self._start_future

    async def _begin(self, patience_s: float) -> str:
        workload, world = self.workload, self.world
        if workload is None or world is None:
            raise SpawnException("this launch was never decided", reason="options")
        try:
            async with asyncio.timeout(patience_s):
                cluster = await self._synced()
            if self._taken_back:
                return await self._go_on(cluster, workload)
            # From here to `starting` there is no await: two launches cannot both take the last place.
            self.require_quota(world, workload)
            with self.site.starting(workload):
                return await self._in_turn(cluster, workload, world, patience_s)
        except TimeoutError:  # the first one: nothing has begun
            raise told(acts.UNREACHED) from None
        except Refusal as refusal:
            raise told(refusal) from None
        except KubeError as error:
            self.log.warning("%s: %s", workload.id, error)
            raise told(acts.told(error)) from None

    async def _go_on(self, cluster: Cluster, workload: Workload) -> str:
        """Unattended work goes on untouched: nothing is applied anew, so a hub that begins disturbs nobody's."""
        if self._interactive(cluster, key_of(workload)):
            # its token went with the database: it can tell the hub nothing any more
            self._failed = ("failed", LOST)
            await self.notes.ended(workload, "failed", LOST)
            raise Refusal.of("place", LOST)
        counts_as_up(self.server)
        return self.portal_url

    async def _in_turn(self, cluster: Cluster, workload: Workload, world: World, patience_s: float) -> str:
        """Wait in line, however long that takes, then launch within *patience_s*. Refusal; KubeError."""
        self.site.launches_at_once = self.launches_at_once
        try:
            async with self.site.queue.turn(workload.tenant, self._wait_in_line):
                self.say("its turn has come")
                self.notes.started(workload)
                async with asyncio.timeout(patience_s):
                    return await self.launch(cluster, workload, world)
        except asyncio.CancelledError:
            self._failed = ("stopped", CANCELLED)
            self.notes.cancelled(workload, CANCELLED)
            raise
        except TimeoutError:
            late = Refusal.of("place", f"it was not ready within {patience_s:.0f} s: {self.said}")
            await self._fail(workload, str(late))
            raise late from None
        except Refusal as refusal:
            await self._fail(workload, str(refusal))
            raise
        except KubeError as error:
            await self._fail(workload, str(acts.told(error)))
            raise

    def _wait_in_line(self, place: str) -> None:
        if not self._in_line:
            self._in_line = True
            if self.workload is not None:
                self.notes.waits(self.workload)
        self.said = place
        self._tell()

    def say(self, words: str) -> None:
        """See Launching."""
        self._in_line = False
        self.said = words
        self._tell()

    async def _fail(self, workload: Workload, words: str) -> None:
        """Note why, while its log is there; then end what the launch has begun, which holds no quota then. A Pod that
        has ended by itself stays."""
        self._failed = ("failed", words)
        await self.notes.ended(workload, "failed", words)
        if not self.begun:
            return
        try:
            async with asyncio.timeout(_GIVE_UP_S):
                await acts.stop(await self._synced(), key_of(workload), self._world_site, now=True)
        except (KubeError, TimeoutError) as error:
            self.log.warning("%s: what its launch began could not be ended: %s", workload.id, error)

    # -- watching and stopping -----------------------------------------------------------------------------------

    async def poll(self) -> int | None:
        """None while anything on the cluster stands for it as live.

        From the index alone: no request. While the watch is behind, what was known last holds: JupyterHub forgets a
        server whose poll says that it ended, so that is said only when the cluster has said it.
        """
        cluster = await self._synced()
        key = self._key()
        if key is None:
            return 0
        if not self._stop_pending:
            self._unsure = bool(self._check_pending)
        site = self._world_site
        if not live.is_running(cluster.watch.index, key, site):
            return live.exit_code(cluster.watch.index, key)
        if not self._interactive(cluster, key):
            counts_as_up(self.server)
        return None

    async def stop(self, now: bool = False) -> None:
        """End it. SpawnException where the cluster refuses that, or does not answer for long.

        JupyterHub forgets a server whatever becomes of its stop, so a cluster that is away for a while is waited for.
        """
        key = self._key()
        if key is None:
            return
        cluster, pause_s = await self._synced(), 1.0
        await self._note_stop(cluster, key)
        deadline = time.monotonic() + _STOP_TRIES_S
        while True:
            try:
                left = await acts.stop(cluster, key, self._world_site, now=now)
                break
            except KubeError as error:
                self.log.warning("%s/%s could not be stopped: %s", key.namespace, key.name, error)
                refused = isinstance(error, ApiError) and error.status in (400, 401, 403, 422)
                if refused or time.monotonic() > deadline:
                    raise told(acts.told(error)) from None
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, 15.0)
        for one in left:
            node = at(one, "spec", "nodeName")
            self.log.warning("%s/%s does not end; is %s lost?", key.namespace, one["metadata"]["name"], node)

    async def _note_stop(self, cluster: Cluster, key: Key) -> None:
        """Before anything is ended, for the log of its Pod."""
        workload = self.workload or self._found(cluster, key)
        if workload is None:
            return
        state, reason = self._failed or ("stopped", self.stop_reason)
        if self._failed is None and self._waiting_for_response and self._interactive(cluster, key):
            state, reason = "failed", "it listened, but did not answer in time"
        elif self._failed is None and self._unsure and not reason:
            state, reason = "failed", SILENT
        await self.notes.ended(workload, state, reason)

    def _found(self, cluster: Cluster, key: Key) -> Workload | None:
        """As the cluster says: after a restart of the hub nothing else does."""
        for top in reversed(live.tops(cluster.watch.index, key, self._world_site)):
            with suppress(NotAdoptable):
                return workload_of(top, self._world_site)
        return None

    async def get_url(self) -> str:
        """Where it answers now; the cluster knows it even when the hub died before it could note the address."""
        cluster, key = await self._synced(), self._key()
        base = self.server.base_url if self.server else ""
        for one in cluster.watch.index.of(key, "Pod")[::-1] if key else ():
            if self._interactive(cluster, key) and at(one, "status", "podIP") and live.is_live(one):
                return f"{self.url_of(one)}{base}"
        return f"{self.portal_url}{base}"

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What a launch does just now, for the hub's progress page and the portal: each new line once."""
        changed = self._progress = asyncio.Event()
        percent, last = 10, ""
        while self._start_future is None or not self._start_future.done():
            changed.clear()
            if self.said != last:
                last = self.said
                yield {"progress": 5 if self._in_line else percent, "message": last}
                percent = percent if self._in_line else min(90, percent + 15)
            waiting = {asyncio.ensure_future(changed.wait())}
            await asyncio.wait(waiting, timeout=1)
            for one in waiting:
                one.cancel()

    # -- small things --------------------------------------------------------------------------------------------

    @property
    def _world_site(self) -> Site:
        return self.site.world().site

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress.set()

    async def _synced(self) -> Cluster:
        """The cluster, once everything there was listed: before that nothing may be concluded."""
        cluster = await self.site.cluster(self.log)
        await cluster.watch.synced()
        self._cluster = cluster
        return cluster

    def _key(self) -> Key | None:
        """Which objects are its. The tenant is in the user options, which JupyterHub keeps."""
        tenant = self.workload.tenant if self.workload else (self.user_options or {}).get("tenant")
        return key_for(tenant, self.user.name, self.name) if isinstance(tenant, str) and tenant else None

    def _interactive(self, cluster: Cluster, key: Key | None) -> bool:
        if key is None:
            return False
        return any(one["kind"] == "Pod" for one in live.tops(cluster.watch.index, key, self._world_site))

    def clear_state(self) -> None:
        """Forget this launch."""
        super().clear_state()
        self.workload, self._start_future, self.said, self._in_line = None, None, WAITS, False

    async def delete_forever(self) -> None:
        """Nothing: KubeSpawner would ask for the deletion of a volume claim, and there are none."""
