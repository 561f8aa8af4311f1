"""TenantKubeSpawner: JupyterHub on a cluster, by the shared path options -> access -> resolve -> Workload."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from inspect import isawaitable
from pathlib import Path
from typing import Any

from jupyterhub import orm
from jupyterhub.spawner import SpawnException
from kubespawner import KubeSpawner
from traitlets import Dict, Float, Unicode

from config.models import Site, Size, World
from config.names import namespace
from spawners.deciding import REVIVER, Deciding, activity_env, told
from spawners.kube import acts, doom, live, names
from spawners.kube.addresses import allot
from spawners.kube.client import ApiError, KubeError
from spawners.kube.doom import Verdict
from spawners.kube.enforce import admit, enforce
from spawners.kube.index import Key, Object, key_for, key_of
from spawners.kube.launch import Launch, launch_of
from spawners.kube.look import at, objects
from spawners.kube.secrets import tokens_of
from spawners.kube.site import Cluster, KubeSite, site_of
from spawners.refusal import Refusal
from spawners.workload import Workload

LOST = "the hub lost its database, so this server could not be taken back; start it again"
_TELL_BEFORE_S = 10
"""Our own time-out ends this much before JupyterHub's, which would cancel us and leave nobody a reason."""
_SYNC_S = 10
"""A launch waits so long for a hub that has just begun to know what there is; a poll waits for ever."""
_STOP_TRIES_S = 600
"""For so long a stop is tried again where the cluster does not answer. Then JupyterHub forgets the server, and it is
shown as an orphan."""
_FOR_EVER_S = 10 * 365 * 86400
_PORT = "notebook-port"
"""KubeSpawner's name for the port that the hub's proxy leads to."""


class TenantKubeSpawner(Deciding, KubeSpawner):  # type: ignore[misc]  # kubespawner has no types
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

    _taken_back = False
    """This launch goes on with what an empty database forgot."""
    _cluster: Cluster | None = None
    """Once it is synced."""
    stop_reason = ""
    """Why it is being stopped, where nobody asked for it."""
    _said = "waiting for its turn"
    _progress: asyncio.Event | None = None

    @property
    def site(self) -> KubeSite:
        """World, kinds and watch; one for all spawners."""
        return site_of(Path(self.config_folder), Path(self.kubeconfig) if self.kubeconfig else None)

    # -- deciding ------------------------------------------------------------------------------------------------

    async def _run_apply_user_options(self, user_options: Any) -> None:
        """See Deciding. What runs already is known before anything is decided on it."""
        try:
            async with asyncio.timeout(_SYNC_S):
                await self._synced()
        except (KubeError, TimeoutError) as error:
            self.log.warning("No launches: %s", error or "the cluster has not answered since the hub began")
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

    def start(self) -> asyncio.Task[str]:
        """Start the workload; the URL that the proxy leads to. SpawnException with a reason when it cannot."""
        self._start_future = asyncio.ensure_future(self._begin())
        return self._start_future

    async def _begin(self) -> str:
        workload, world = self.workload, self.world
        if workload is None or world is None:
            raise SpawnException("this launch was never decided", reason="options")
        try:
            async with asyncio.timeout(self.start_timeout - _TELL_BEFORE_S):
                cluster = await self._synced()
                if self._taken_back:
                    return self._go_on(cluster, workload)
                return await self._launch(cluster, workload, world)
        except TimeoutError:
            late = Refusal.of("place", f"it was not ready within {self.start_timeout - _TELL_BEFORE_S} s: {self._said}")
            await self._give_up(workload)
            raise told(late) from None
        except Refusal as refusal:
            raise told(refusal) from None
        except KubeError as error:
            self.log.warning("%s: %s", workload.id, error)
            raise told(acts.told(error)) from None

    def _go_on(self, cluster: Cluster, workload: Workload) -> str:
        """Unattended work goes on untouched: nothing is applied anew, so a hub that begins disturbs nobody's."""
        if self._interactive(cluster, key_of(workload)):
            raise Refusal.of("place", LOST)  # its token went with the database: it can tell the hub nothing any more
        self.http_timeout = _FOR_EVER_S
        return self.portal_url

    async def _launch(self, cluster: Cluster, workload: Workload, world: World) -> str:
        tenant, kind = world.tenants.get(workload.tenant), self.site.kinds.get(workload.kind)
        if tenant is None or kind is None:
            gone = f"tenant {workload.tenant}" if tenant is None else f"kind {workload.kind}"
            raise Refusal.of("world", f"there is no {gone} any more")
        addresses: tuple[str, ...] = ()
        services = await acts.addresses_of(cluster.client, namespace(tenant)) if kind.at_address(workload) else {}
        # From here to `starting` there is no await: two launches cannot both take the last place or address.
        self.require_quota(world, workload)
        if kind.at_address(workload):
            kept = services.pop(names.object_name(workload), ())
            taken = {one for each in services.values() for one in each} | self.site.addresses_starting(tenant.name)
            addresses = allot(tenant, tenant.network(workload.network), taken, kept)
        launch = launch_of(kind, workload, tenant, world.site, addresses, self.kind_images)
        with self.site.starting(workload, addresses):
            await acts.end_others(cluster, key_of(workload), world.site, launch)
            if launch.plan.mode == "pod":
                return await self._start_pod(cluster, launch, world)
            return await self._start_unattended(cluster, launch)

    async def _start_pod(self, cluster: Cluster, launch: Launch, world: World) -> str:
        key = key_of(launch.workload)
        self._say("making room for it")
        await acts.make_room(cluster, key, launch.name)
        found = await self._kubespawners_pod(launch, world)
        tokens = tokens_of(found)
        await acts.put_secret(cluster.client, launch, tokens)
        manifest = enforce(found, launch)
        if self.modify_pod_hook:
            manifest = self.modify_pod_hook(self, manifest)
            if isawaitable(manifest):
                manifest = await manifest
        admit(manifest, launch)
        made = await acts.create_pod(cluster, manifest)
        uid = made["metadata"]["uid"]
        await acts.put_secret(cluster.client, launch, tokens, owner=made)

        def pod() -> Object | None:
            return next((one for one in cluster.watch.index.of(key, "Pod") if one["metadata"]["uid"] == uid), None)

        def judge(events: list[Object]) -> Verdict:
            seen = pod()
            if seen is None:  # the index has had it: create_pod puts it there
                return doom.doomed("somebody deleted it while it started")
            return doom.of_pod(seen, datetime.now(UTC), events, self.unschedulable_s)

        await self._require(launch, await acts.until_decided(cluster, key, lambda: [uid], judge, self._say))
        self._say("started; waiting until it answers")
        url = self._url_of(pod() or made)
        answers = f"{url}{self.server.base_url if self.server else '/'}api"
        await self._require(launch, await acts.until_answers(answers, lambda: judge([])))
        return url

    async def _kubespawners_pod(self, launch: Launch, world: World) -> dict[str, Any]:
        """The Pod as KubeSpawner makes it, as JSON."""
        self.pod_name, self.namespace, self.image = launch.name, launch.namespace, launch.plan.image
        self.dns_name = self.dns_name_template.format(namespace=self.namespace, name=self.pod_name)
        self.cmd = None  # the plan's argv is laid over it
        pods = world.site.cluster.pods if world.site.cluster else ()
        if pods and all(one.version == 6 for one in pods):
            self.ip = "::"
        self._extra_env = activity_env(world.profiles.get(launch.workload.profile))
        found: dict[str, Any] = self.api.api_client.sanitize_for_serialization(await self.get_pod_manifest())
        return found

    _extra_env: dict[str, str] = {}  # noqa: RUF012  (replaced, never changed)

    def get_env(self) -> dict[str, str]:
        """JupyterHub's and KubeSpawner's variables, and how often it tells of its use."""
        return {**super().get_env(), **self._extra_env}

    async def _start_unattended(self, cluster: Cluster, launch: Launch) -> str:
        key, index = key_of(launch.workload), cluster.watch.index
        self._say("making its objects")
        await acts.put_secret(cluster.client, launch, {})
        top = await acts.apply_all(cluster, launch)
        await acts.put_secret(cluster.client, launch, {}, owner=top)
        kind, name, began = top["kind"], top["metadata"]["name"], datetime.now(UTC)

        def own() -> Object | None:
            return next((one for one in index.of(key, kind) if one["metadata"]["name"] == name), None)

        def pods() -> list[Object]:
            return index.of(key, "Pod")

        def judge(events: list[Object]) -> Verdict:
            now, seen = datetime.now(UTC), own()
            if seen is None and (now - began).total_seconds() > 1:
                return doom.doomed("somebody deleted it while it started")
            if kind == "Deployment":
                return doom.of_deployment(seen, pods(), now, events=events, patience_s=self.unschedulable_s)
            if kind == "Job":
                mine = [one for one in pods() if _owner(one) == top["metadata"]["uid"]]
                return doom.of_job(seen, mine, now, events)
            return doom.READY  # a schedule is ready once it waits for its time

        def subjects() -> list[str]:
            return [top["metadata"]["uid"], *(one["metadata"]["uid"] for one in pods()[-1:])]

        await self._require(launch, await acts.until_decided(cluster, key, subjects, judge, self._say))
        self.http_timeout = _FOR_EVER_S  # see poll()
        return self.portal_url

    async def _require(self, launch: Launch, verdict: Verdict) -> None:
        """Refusal where it is doomed; what is left of it holds no quota then."""
        if verdict.state == "doomed":
            await self._give_up(launch.workload)
            raise Refusal.of("place", verdict.words)

    async def _give_up(self, workload: Workload) -> None:
        """End what a failed launch has begun. A Pod that has ended stays, for its log."""
        try:
            async with asyncio.timeout(_TELL_BEFORE_S / 2):
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
        site = self._world_site
        if not live.is_running(cluster.watch.index, key, site):
            return live.exit_code(cluster.watch.index, key)
        if not self._interactive(cluster, key):
            # Its URL is the portal's. A portal that is away says nothing of the workload, so JupyterHub, which would
            # stop a server whose URL does not answer, waits for it.
            self.http_timeout = _FOR_EVER_S
        return None

    async def stop(self, now: bool = False) -> None:
        """End it. SpawnException where the cluster refuses that, or does not answer for long.

        JupyterHub forgets a server whatever becomes of its stop, so a cluster that is away for a while is waited for.
        """
        key = self._key()
        if key is None:
            return
        cluster, pause_s = await self._synced(), 1.0
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

    async def get_url(self) -> str:
        """Where it answers now; the cluster knows it even when the hub died before it could note the address."""
        cluster, key = await self._synced(), self._key()
        base = self.server.base_url if self.server else ""
        for one in cluster.watch.index.of(key, "Pod")[::-1] if key else ():
            if self._interactive(cluster, key) and at(one, "status", "podIP") and live.is_live(one):
                return f"{self._url_of(one)}{base}"
        return f"{self.portal_url}{base}"

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """What a launch does just now, for the hub's progress page and the portal: each new line once."""
        changed = self._progress = asyncio.Event()
        percent, last = 10, ""
        while self._start_future is None or not self._start_future.done():
            changed.clear()
            if self._said != last:
                last = self._said
                yield {"progress": percent, "message": last}
                percent = min(90, percent + 15)
            waiting = {asyncio.ensure_future(changed.wait())}
            await asyncio.wait(waiting, timeout=1)
            for one in waiting:
                one.cancel()

    # -- small things --------------------------------------------------------------------------------------------

    @property
    def _world_site(self) -> Site:
        return self.site.world().site

    def _say(self, words: str) -> None:
        self._said = words
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

    def _url_of(self, pod: Object) -> str:
        address = at(pod, "status", "podIP")
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{_port_of(pod) or self.port}"

    def clear_state(self) -> None:
        """Forget this launch."""
        super().clear_state()
        self.workload, self._start_future, self._said = None, None, "waiting for its turn"

    async def delete_forever(self) -> None:
        """Nothing: KubeSpawner would ask for the deletion of a volume claim, and there are none."""


def _port_of(pod: Object) -> int | None:
    for _, container in objects(pod, "spec", "containers"):
        for _, one in objects(container, "ports"):
            if one.get("name") == _PORT:
                return int(one["containerPort"])
    return None


def _owner(found: Object) -> str:
    return next((one["uid"] for one in at(found, "metadata", "ownerReferences") or ()), "")
