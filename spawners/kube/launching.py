"""From a decided launch to what runs: the half of TenantKubeSpawner that writes to the cluster."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from datetime import UTC, datetime
from inspect import isawaitable
from typing import Any

from config.emit.common import Manifest
from config.models import World
from config.names import namespace
from spawners.deciding import Deciding, activity_env
from spawners.kube import acts, claims, doom, names, ownsecret
from spawners.kube.addresses import allot
from spawners.kube.client import ApiError
from spawners.kube.doom import Verdict
from spawners.kube.enforce import admit, enforce
from spawners.kube.index import Key, Object, key_of
from spawners.kube.launch import Launch, launch_of
from spawners.kube.look import at, objects
from spawners.kube.plan import REMOTES_SECRET, KubePlan
from spawners.kube.remotes import lacking
from spawners.kube.secrets import tokens_of
from spawners.kube.site import Cluster, KubeSite
from spawners.portalside import counts_as_up
from spawners.refusal import Refusal
from spawners.workload import Workload

_PORT = "notebook-port"
"""KubeSpawner's name for the port that the hub's proxy leads to."""


class Launching(Deciding):
    """Mixed into the spawner, in front of KubeSpawner, of which it uses `get_pod_manifest` and `get_env`."""

    log: Any
    start_timeout: int
    server: Any
    api: Any
    port: int
    portal_url: str
    kind_images: dict[str, str]
    unschedulable_s: float
    dns_name_template: str
    modify_pod_hook: Any
    get_pod_manifest: Any

    @property
    @abstractmethod
    def site(self) -> KubeSite:
        """See Deciding."""

    _extra_env: dict[str, str] = {}  # noqa: RUF012  (replaced, never changed)
    said = "waiting for its turn"
    """What the launch does just now."""

    begun = False
    """Whether this launch has made anything that would run: only then is there something to end should it fail."""

    def say(self, words: str) -> None:
        """Tell who watches the launch."""
        self.said = words

    async def launch(self, cluster: Cluster, workload: Workload, world: World) -> str:
        """Start it; the URL that the proxy leads to. The caller counts it as starting. Refusal, KubeError."""
        tenant, kind = world.tenants.get(workload.tenant), self.site.kinds.get(workload.kind)
        if tenant is None or kind is None:
            gone = f"tenant {workload.tenant}" if tenant is None else f"kind {workload.kind}"
            raise Refusal.of("world", f"there is no {gone} any more")
        addresses: tuple[str, ...] = ()
        if kind.at_address(workload):
            services = await acts.addresses_of(cluster.client, namespace(tenant))
            # From here to `take` there is no await: two launches cannot both take the last address.
            kept = services.pop(names.object_name(workload), ())
            taken = {one for each in services.values() for one in each} | self.site.addresses_starting(tenant.name)
            addresses = allot(tenant, tenant.network(workload.network), taken, kept)
            self.site.take(workload, addresses)
        launch = launch_of(kind, workload, tenant, world.site, addresses, self.kind_images)
        await self._require_remotes(launch, world)
        await claims.ensure(cluster.client, launch)
        await acts.end_others(cluster, key_of(workload), world.site, launch)
        if launch.plan.mode == "pod":
            return await self._start_pod(cluster, launch, world)
        return await self._start_unattended(cluster, launch)

    async def _require_remotes(self, launch: Launch, world: World) -> None:
        """The tenant's Secret as it should be, where it is mounted. Refusal where a remote in use lacks its
        credentials: the Pod would begin, and its program fail with less to say."""
        if not any(one.secret == REMOTES_SECRET for one in launch.plan.secrets):
            return
        remotes = await self.site.remotes(self.log)
        problems = await remotes.ensure(launch.tenant, world.site)
        wrong = lacking(problems, texts(launch.plan), launch.tenant)
        if wrong:
            said = "; ".join(f"remote {name} of {launch.tenant.name} cannot be used: {why}" for name, why in wrong)
            raise Refusal.of("place", f"{said}. The operator of the cluster can put that right")

    # -- interactive ---------------------------------------------------------------------------------------------

    async def _start_pod(self, cluster: Cluster, launch: Launch, world: World) -> str:
        key = key_of(launch.workload)
        if acts.is_there(cluster.watch.index, key, launch.name):
            self.say("making room for it")
            await acts.make_room(cluster, key, launch.name)
        found = await self._kubespawners_pod(launch, world)
        manifest = enforce(found, launch)
        if self.modify_pod_hook:
            manifest = self.modify_pod_hook(self, manifest)
            if isawaitable(manifest):
                manifest = await manifest
        admit(manifest, launch)
        async with ownsecret.holding(cluster.client, launch, tokens_of(found)) as secret:
            made = await self._create(cluster, launch, manifest)
            secret.goes_with(made)
            return await self._until_it_answers(cluster, key, made)

    async def _create(self, cluster: Cluster, launch: Launch, manifest: Manifest) -> Object:
        """The Pod. The name is nearly always free, so nobody asks before: that would be a request of each launch."""
        self.begun = True
        try:
            return await acts.create_pod(cluster, manifest)
        except ApiError as error:
            if not acts.is_taken(error):
                raise
        self.begun = False
        self.say("making room for it")
        await acts.make_room(cluster, key_of(launch.workload), launch.name)
        self.begun = True
        return await acts.create_pod(cluster, manifest)

    async def _until_it_answers(self, cluster: Cluster, key: Key, made: Object) -> str:
        """Its URL. Refusal where it never will."""
        uid = made["metadata"]["uid"]

        def pod() -> Object | None:
            return next((one for one in cluster.watch.index.of(key, "Pod") if one["metadata"]["uid"] == uid), None)

        def judge(events: list[Object]) -> Verdict:
            seen = pod()
            if seen is None:  # the index has had it: create_pod puts it there
                return doom.doomed("somebody deleted it while it started")
            return doom.of_pod(seen, datetime.now(UTC), events, self.unschedulable_s)

        require(await acts.until_decided(cluster, key, lambda: [uid], judge, self.say))
        self.say("started; waiting until it answers")
        url = self.url_of(pod() or made)
        answers = f"{url}{self.server.base_url if self.server else '/'}api"
        require(await acts.until_answers(answers, lambda: judge([])))
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

    def get_env(self) -> dict[str, str]:
        """JupyterHub's and KubeSpawner's variables, and how often it tells of its use."""
        return {**super().get_env(), **self._extra_env}  # type: ignore[misc]  # KubeSpawner's

    def url_of(self, pod: Object) -> str:
        """Where the program in *pod* answers."""
        address = at(pod, "status", "podIP")
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{_port_of(pod) or self.port}"

    # -- unattended ----------------------------------------------------------------------------------------------

    async def _start_unattended(self, cluster: Cluster, launch: Launch) -> str:
        key, index = key_of(launch.workload), cluster.watch.index
        self.say("making its objects")
        secret = await ownsecret.put(cluster.client, launch, {})
        self.begun = True
        top = await acts.apply_all(cluster, launch)
        if secret is not None:
            await ownsecret.own(cluster.client, secret, top)
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

        require(await acts.until_decided(cluster, key, subjects, judge, self.say))
        counts_as_up(self.server)
        return self.portal_url


def require(verdict: Verdict) -> None:
    """Refusal where it is doomed."""
    if verdict.state == "doomed":
        raise Refusal.of("place", verdict.words)


def texts(plan: KubePlan) -> Iterator[str]:
    """Every text of a plan in which a remote may be named."""
    yield from plan.argv
    yield from plan.env.values()
    yield from _texts(plan.settings)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def _port_of(pod: Object) -> int | None:
    for _, container in objects(pod, "spec", "containers"):
        for _, one in objects(container, "ports"):
            if one.get("name") == _PORT:
                return int(one["containerPort"])
    return None


def _owner(found: Object) -> str:
    return next((one["uid"] for one in at(found, "metadata", "ownerReferences") or ()), "")
