"""A workload as a page shows it, from its objects in the index. Pure but for reading the index."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from config.models import Site, Tenant, World
from config.names import keys
from spawners import reached
from spawners.kinds.base import Kind
from spawners.kube import doom, live, names, runs
from spawners.kube.adopt import NotAdoptable, workload_of
from spawners.kube.index import Index, key_of
from spawners.kube.look import at, objects, pod_over
from spawners.kube.plan import KubePlace, KubePlan
from spawners.refusal import Refusal
from spawners.runtime import Seen, State
from spawners.schedule import ScheduleError, next_runs
from spawners.workload import Workload

Object = Mapping[str, Any]
ORDER = ("failed", "backoff", "starting", "running", "scheduled", "finished", "stopped")
"""Within live ones and within ended ones: what needs attention first."""


@dataclass(frozen=True)
class Stand:
    """How a workload stands."""

    state: State
    message: str = ""
    job: Object | None = None
    """The run under way."""


def tops_by_namespace(index: Index, site: Site) -> dict[str, list[Object]]:
    """The objects that stand for workloads, of all tenants: one walk over the whole index, which is tens of thousands
    of objects where schedules keep their history. For lists; who wants one workload asks by its key."""
    record = names.annotation_workload(keys(site))
    found: dict[str, list[Object]] = {}
    for one in index.every(*live.TOPS):
        meta = one["metadata"]
        if record in (meta.get("annotations") or ()) and not meta.get("ownerReferences"):
            found.setdefault(meta["namespace"], []).append(one)
    return found


def best(tops: Iterable[Object], site: Site) -> dict[str, tuple[Workload, Object]]:
    """Every workload that can be believed, by id, with the one of its top objects that stands for it: a live one before
    those that have ended, the newest of each."""
    found: dict[str, tuple[Workload, Object]] = {}
    for top in tops:
        if at(top, "metadata", "ownerReferences"):
            continue
        try:
            workload = workload_of(top, site)
        except NotAdoptable:
            continue
        before = found.get(workload.id)
        if before is None or _rank(top) > _rank(before[1]):
            found[workload.id] = (workload, top)
    return found


def _rank(top: Object) -> tuple[bool, str]:
    return live.is_live(top), str(top["metadata"]["creationTimestamp"])


def seen_of(
    index: Index, workload: Workload, top: Object, tenant: Tenant | None, kind: Kind | None, now: datetime, site: Site
) -> Seen:
    """One workload. *tenant* and *kind* are None where the files do not have them any more: it goes on all the same."""
    key = key_of(workload)
    pods, jobs = index.of(key, "Pod"), index.of(key, "Job")
    stands = stand(top, pods, jobs, now)
    address = addresses(index.of(key, "Service"))
    plan = plan_of(kind, workload, tenant, site)
    going = stands.job if stands.state in ("running", "starting", "backoff") else None
    return Seen(
        workload=workload,
        state=stands.state,
        message=stands.message,
        changed=changed(top, pods),
        address=address,
        endpoints=_endpoints(kind, workload, tenant, address),
        has_password=bool(plan and any(one.secret is None for one in plan.secrets)),
        restarts=restarts(pods),
        next_run=next_run(top, now) if live.is_live(top) else None,
        current_run=runs.run_id(going) if going is not None else None,
    )


def plan_of(kind: Kind | None, workload: Workload, tenant: Tenant | None, site: Site) -> KubePlan | None:
    """What the kind would make of it, for what the objects do not tell; None where it can make nothing any more."""
    if kind is None or tenant is None:
        return None
    try:
        return kind.kube(workload, tenant, site, KubePlace(image=workload.image or "unknown"))
    except (Refusal, KeyError, ValueError, TypeError):  # options of an older version
        return None


def plan_in(world: World, kinds: Mapping[str, Kind], workload: Workload) -> KubePlan | None:
    """The same, of the declared world."""
    return plan_of(kinds.get(workload.kind), workload, world.tenants.get(workload.tenant), world.site)


def _endpoints(
    kind: Kind | None, workload: Workload, tenant: Tenant | None, address: str | None
) -> tuple[tuple[str, str], ...]:
    if kind is None or tenant is None:
        return ()
    try:
        return kind.endpoints(workload, tenant, address)
    except (KeyError, ValueError, TypeError):
        # Options of an older version, or a record that somebody has written by hand: the list of the others goes on.
        return ()


def stand(top: Object, pods: list[Object], jobs: list[Object], now: datetime) -> Stand:
    """State and message."""
    kind = top["kind"]
    if at(top, "metadata", "deletionTimestamp"):
        return Stand("stopped", "it is being ended")
    if kind == "Pod":
        return _pod(top, now)
    if kind == "Deployment":
        return _deployment(top, pods, now)
    if kind == "Job":
        return _job(top, runs.pods_of(top, pods), now)
    return _schedule(top, pods, jobs, now)


def _pod(pod: Object, now: datetime) -> Stand:
    verdict = doom.of_pod(pod, now)
    if not pod_over(pod):
        return _going(verdict)
    code = runs.terminated(pod).get("exitCode")
    return Stand("stopped", "it ended by itself") if code == 0 else Stand("failed", verdict.words)


def _deployment(top: Object, pods: list[Object], now: datetime) -> Stand:
    if not live.is_live(top):
        left = [one for one in pods if not pod_over(one)]
        return Stand("stopped", "its last Pod is still ending" if left else "")
    return _going(doom.of_deployment(top, pods, now))


def _job(job: Object, pods: list[Object], now: datetime) -> Stand:
    run = runs.run_of(job, pods)
    if run.outcome == "ok":
        return Stand("finished", run.message)
    if run.outcome == "stopped":
        return Stand("stopped", run.message)
    if run.outcome != "running":
        return Stand("failed", run.message)
    going = _going(doom.of_job(job, pods, now))
    return Stand(going.state, going.message, job)


def _schedule(top: Object, pods: list[Object], jobs: list[Object], now: datetime) -> Stand:
    active = [one for one in jobs if not live.job_over(one) and not at(one, "spec", "suspend")]
    if active:
        return _job(active[-1], runs.pods_of(active[-1], pods), now)
    if at(top, "spec", "suspend"):
        return Stand("scheduled", "somebody has suspended its schedule on the cluster: nothing starts by itself")
    return Stand("scheduled")


def _going(verdict: doom.Verdict) -> Stand:
    """Of one that is live. Doomed is "backoff": the kubelet goes on trying, and it counts against the quota."""
    if verdict.state == "ready":
        return Stand("running")
    return Stand("starting" if verdict.state == "waiting" else "backoff", verdict.words)


def addresses(services: list[Object]) -> str | None:
    """The addresses that its Service was given, IPv4 first; None while there are none."""
    given = [
        str(one["ip"])
        for service in services
        for _, one in objects(service, "status", "loadBalancer", "ingress")
        if one.get("ip")
    ]
    return reached.joined(given)


def restarts(pods: list[Object]) -> int:
    """How often the container of the newest Pod was started again."""
    counts = [one.get("restartCount") for _, one in objects(pods[-1] if pods else None, "status", "containerStatuses")]
    return sum(count for count in counts if isinstance(count, int))


def next_run(top: Object, now: datetime) -> datetime | None:
    """When the controller starts the next run; None for what has no schedule, or a suspended one."""
    cron, timezone = at(top, "spec", "schedule"), at(top, "spec", "timeZone") or "UTC"
    if top["kind"] != "CronJob" or not cron or at(top, "spec", "suspend"):
        return None
    try:
        return next(iter(next_runs(cron, timezone, now, 1)), None)
    except ScheduleError:  # somebody has changed it with kubectl into what the form would not take
        return None


def changed(top: Object, pods: list[Object]) -> datetime:
    """The last time that anything was said of it."""
    texts = [top["metadata"]["creationTimestamp"]]
    for one in (top, *pods[-1:]):
        texts += [condition.get("lastTransitionTime") for _, condition in objects(one, "status", "conditions")]
    return max(datetime.fromisoformat(text) for text in texts if isinstance(text, str)).astimezone(UTC)


def in_order(every: list[Seen]) -> list[Seen]:
    """As pages list them."""
    return sorted(every, key=lambda one: (not one.live, ORDER.index(one.state), one.workload.display_name))
