"""From a launch to the objects that are applied for it. Pure; everything in them is JSON.

    pod       Pod (as KubeSpawner is to make it: enforce.enforce lays it over KubeSpawner's own)
    keep      Deployment, Service; ServiceAccount, Role and RoleBinding where the program uses the API server
    schedule  CronJob
    once      Job

Each carries the labels of names.labels; the top object the whole Workload besides, so that a hub whose database is lost
finds it again (adopt.py). No namespace: that is config/'s, and there before.
"""

from __future__ import annotations

from typing import Any

from config.emit.common import Manifest, metadata
from spawners.kube import names, pod
from spawners.kube.launch import Launch
from spawners.kube.service import service
from spawners.refusal import Refusal
from spawners.schedule import LATE

ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotations of one object (k8s.io/apimachinery, validation.TotalAnnotationSizeLimitB)."""
KEPT_S = 30 * 86400
"""Seconds that an ended Job is kept, with its Pod and log, where no history limit takes it earlier."""
_FAILURE_RULES: tuple[dict[str, Any], ...] = (
    {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    {"action": "FailJob", "onExitCodes": {"containerName": pod.CONTAINER, "operator": "In", "values": [1, 2]}},
)
"""The first that fits counts. A drained node costs no try; what the program itself judged (exit codes 1 and 2) is
final; anything else (killed for memory, a container that did not start) costs one."""
_POD_IN: dict[str, tuple[str, ...]] = {
    "Pod": (),
    "Deployment": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
}
MANUAL = "cronjob.kubernetes.io/instantiate"
"""Annotation that `kubectl create job --from` sets to "manual"."""


def manifests(launch: Launch) -> tuple[Manifest, ...]:
    """All objects of *launch*, in the order of applying. Refusal (reason options) where they would be too large."""
    top = _TOPS[launch.plan.mode](launch)
    found = (*_rights(launch), *([service(launch)] if launch.plan.ports else []), top)
    for one in found:
        for where in (one, pod_of(one)):
            _require_size((where or {}).get("metadata", {}).get("annotations", {}))
    return found


def pod_of(manifest: Manifest) -> Manifest | None:
    """The Pod (`metadata` and `spec`) in *manifest*, whatever its kind; None where it holds none."""
    path = _POD_IN.get(manifest.get("kind", ""))
    if path is None:
        return None
    found = manifest
    for step in path:
        found = found[step]
    return found


def _require_size(annotations: dict[str, str]) -> None:
    size = sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        limit = ANNOTATIONS_LIMIT // 1024
        raise Refusal.of(
            "options", f"its options are {size // 1024} KiB; a cluster keeps at most {limit} KiB: fewer lines"
        )


def _metadata(launch: Launch, name: str | None = None) -> dict[str, Any]:
    return metadata(
        launch.site,
        name or launch.name,
        namespace=launch.namespace,
        labels=names.labels(launch.workload, launch.site),
        annotations=names.record(launch.workload, launch.site),
    )


def _pod(launch: Launch) -> Manifest:
    found = pod.template(launch)
    meta = _metadata(launch)
    meta["labels"] = found["metadata"]["labels"]
    meta["annotations"] = {**found["metadata"].get("annotations", {}), **meta["annotations"]}
    # The hub decides what comes after its end, as on one machine; the kubelet starts nothing again by itself.
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {**found["spec"], "restartPolicy": "Never"}}


def _deployment(launch: Launch) -> Manifest:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": _metadata(launch),
        "spec": {
            # FTP's control and data connections have to meet the same Pod, and the state folder has one owner: the old
            # Pod ends before the new one starts.
            "replicas": 1,
            "strategy": {"type": "Recreate"},
            "selector": {"matchLabels": names.selector(launch.workload, launch.site)},
            "revisionHistoryLimit": 2,
            "progressDeadlineSeconds": max(600, (launch.plan.ready.within_s if launch.plan.ready else 0) + 300),
            "template": pod.template(launch),
        },
    }


def _job(launch: Launch) -> Manifest:
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": _metadata(launch, names.run_name(launch.workload)),
        "spec": _job_spec(launch),
    }


def _job_spec(launch: Launch) -> dict[str, Any]:
    """One run. Source: Kubernetes, "Jobs", sections Pod failure policy and Pod replacement policy."""
    plan = launch.plan
    found = pod.template(launch)
    return {
        "completions": 1,
        "parallelism": 1,
        "backoffLimit": plan.retries,
        **({"activeDeadlineSeconds": plan.time_limit_s} if plan.time_limit_s else {}),
        "ttlSecondsAfterFinished": KEPT_S,
        # Never two at work for one run: the next Pod waits until the last one is really gone.
        "podReplacementPolicy": "Failed",
        "podFailurePolicy": {"rules": [dict(rule) for rule in _FAILURE_RULES]},
        # Never: a new Pod for each try, so that the log of each stays.
        "template": {**found, "spec": {**found["spec"], "restartPolicy": "Never"}},
    }


def _cron_job(launch: Launch) -> Manifest:
    """Source: Kubernetes, "CronJob". A time that the clock jumps over is left out (spawners.schedule says more)."""
    plan = launch.plan
    assert plan.schedule is not None  # noqa: S101  the plan's own validator
    late = int(LATE.total_seconds())
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": _metadata(launch),
        "spec": {
            "schedule": plan.schedule.cron,
            "timeZone": plan.schedule.timezone,
            "concurrencyPolicy": "Forbid",
            # How late a start may be: always set, since without it more than 100 missed starts end a schedule. Of
            # several missed ones the controller starts the last.
            "startingDeadlineSeconds": plan.schedule.catch_up_s if plan.schedule.missed == "run-once" else late,
            "successfulJobsHistoryLimit": plan.keep_runs,
            "failedJobsHistoryLimit": plan.keep_runs,
            "suspend": False,
            "jobTemplate": {
                "metadata": {"labels": names.labels(launch.workload, launch.site)},
                "spec": _job_spec(launch),
            },
        },
    }


_TOPS = {"pod": _pod, "keep": _deployment, "schedule": _cron_job, "once": _job}


def run_now(cron_job: Manifest, launch: Launch, moment_s: float) -> Manifest:
    """A Job outside of the schedule, from the live *cron_job*, as `kubectl create job --from` makes it.

    *moment_s* (Unix time) names it: asked for twice within a second it runs once. Owned by the CronJob, it is listed
    and aged like the others; "Forbid" does not see it, so whoever creates it first looks whether a run is going on.
    """
    template = cron_job["spec"]["jobTemplate"]
    owner = {
        "apiVersion": cron_job["apiVersion"],
        "kind": cron_job["kind"],
        "name": cron_job["metadata"]["name"],
        "uid": cron_job["metadata"]["uid"],
        "controller": True,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": names.manual_name(launch.workload, moment_s),
            "namespace": launch.namespace,
            "labels": dict(template["metadata"]["labels"]),
            "annotations": {MANUAL: "manual"},
            "ownerReferences": [owner],
        },
        "spec": template["spec"],
    }


def _rights(launch: Launch) -> list[Manifest]:
    """ServiceAccount, Role and RoleBinding of a program that makes Pods of its own (Coder's workspaces).

    Whoever creates the Role must hold these rights in the namespace, or the API server refuses it (Kubernetes, "Using
    RBAC Authorization", privilege escalation prevention): the hub's own role has them.
    """
    rules = launch.plan.rules
    if not rules:
        return []
    group = "rbac.authorization.k8s.io"
    meta = metadata(
        launch.site,
        launch.name,
        namespace=launch.namespace,
        labels=names.labels(launch.workload, launch.site),
    )
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta, "automountServiceAccountToken": False},
        {
            "apiVersion": f"{group}/v1",
            "kind": "Role",
            "metadata": meta,
            "rules": [
                {"apiGroups": [rule.group], "resources": list(rule.resources), "verbs": list(rule.verbs)}
                for rule in rules
            ],
        },
        {
            "apiVersion": f"{group}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": group, "kind": "Role", "name": launch.name},
            "subjects": [{"kind": "ServiceAccount", "name": launch.name, "namespace": launch.namespace}],
        },
    ]
