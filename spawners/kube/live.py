"""What an index says of a workload: whether it runs, and how it ended. Pure but for reading the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.models import Site, Size
from config.names import keys, namespace
from spawners.kube import names
from spawners.kube.adopt import NotAdoptable, workload_of
from spawners.kube.index import Index, Key
from spawners.kube.look import at, objects, pod_over
from spawners.workload import Workload

Object = Mapping[str, Any]
TOPS = ("Pod", "Deployment", "CronJob", "Job")
"""The kinds of object that can stand for a workload (manifests.py)."""


def is_live(top: Object) -> bool:
    """Whether this top object stands for a workload that runs or waits to: it counts against the quota."""
    if at(top, "metadata", "deletionTimestamp"):
        return False
    kind = top["kind"]
    if kind == "Pod":
        return not pod_over(top)
    if kind == "Deployment":
        return bool(at(top, "spec", "replicas") != 0)
    if kind == "Job":
        return not job_over(top) and not at(top, "spec", "suspend")
    return bool(kind == "CronJob")


def job_over(job: Object) -> bool:
    """Whether a Job has ended, well or not."""
    return any(
        one.get("type") in ("Complete", "Failed") and one.get("status") == "True"
        for _, one in objects(job, "status", "conditions")
    )


def tops(index: Index, key: Key, site: Site) -> list[Object]:
    """The objects that stand for a workload: those that carry its record. Of Jobs and Pods of one that is a schedule
    or a Deployment none is."""
    record = names.annotation_workload(keys(site))
    every = [one for kind in TOPS for one in index.of(key, kind)]
    return [one for one in every if record in (at(one, "metadata", "annotations") or {})]


def workloads(index: Index, tenant: str | None, site: Site) -> Iterator[tuple[Workload, Object]]:
    """Every workload of a tenant (None: of all) that can be believed, with its top object; live or not."""
    space = None if tenant is None else namespace(tenant)
    for one in index.every(*TOPS):
        if space not in (None, one["metadata"]["namespace"]) or at(one, "metadata", "ownerReferences"):
            continue
        try:
            yield workload_of(one, site), one
        except NotAdoptable:
            continue


def sizes(index: Index, tenant: str, site: Site) -> dict[str, Size]:
    """Sizes of the live workloads of a tenant, by id."""
    return {workload.id: workload.size for workload, top in workloads(index, tenant, site) if is_live(top)}


def is_running(index: Index, key: Key, site: Site) -> bool:
    """Whether any object stands for it as live."""
    return any(is_live(one) for one in tops(index, key, site))


def exit_code(index: Index, key: Key) -> int:
    """Of its last Pod, as far as that is there; 0 else."""
    for pod in reversed(index.of(key, "Pod")):
        for _, one in objects(pod, "status", "containerStatuses"):
            code = at(one, "state", "terminated", "exitCode")
            if isinstance(code, int):
                return code
    return 0


def going(index: Index, key: Key) -> list[Object]:
    """Pods of it that are not over, so that something of it may still run."""
    return [one for one in index.of(key, "Pod") if not pod_over(one)]


def active_jobs(index: Index, key: Key) -> list[Object]:
    """Its Jobs that are not over: scheduled, by hand, or of a single run."""
    return [one for one in index.of(key, "Job") if not job_over(one) and not at(one, "spec", "suspend")]


def orphans(index: Index, tenant: str, site: Site, known: Mapping[str, frozenset[str]]) -> list[Workload]:
    """Live workloads of a tenant whose servers the hub does not know: *known* has its active names by account.

    What a tenant owns can be taken back (the reviver's launch); a person's server can only be ended.
    """
    return [
        workload
        for workload, top in workloads(index, tenant, site)
        if is_live(top) and workload.name not in known.get(workload.owner, frozenset())
    ]
