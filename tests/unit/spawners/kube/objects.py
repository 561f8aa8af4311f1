"""Objects of workloads as a cluster shows them: made from our own manifests, with what the API server adds (fields as
in the Kubernetes API reference; statuses as recorded in tests/data/kubelet)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable
from typing import Any

from config.names import keys
from spawners.kube import names
from spawners.kube.index import Index
from spawners.kube.launch import Launch
from spawners.kube.manifests import manifests
from spawners.kube.runs import SCHEDULED
from tests.unit.spawners.kube import launches

MADE = "2026-11-21T10:15:00Z"
_uids = itertools.count(1)


def object_of(kind: str, name: str, launch: Launch, made: str = MADE, **parts: Any) -> dict[str, Any]:
    meta = {
        "name": name,
        "namespace": launch.namespace,
        "uid": f"uid-{next(_uids)}",
        "resourceVersion": "1",
        "creationTimestamp": made,
        "labels": names.labels(launch.workload, launch.site),
        **parts.pop("metadata", {}),
    }
    return {"kind": kind, "metadata": meta, "spec": {}, "status": {}, **parts}


def top_of(launch: Launch, status: dict[str, Any] | None = None, made: str = MADE) -> dict[str, Any]:
    """The top object as applied."""
    manifest = manifests(launch)[-1]
    found = object_of(manifest["kind"], manifest["metadata"]["name"], launch, made)
    found["metadata"]["annotations"] = dict(manifest["metadata"]["annotations"])
    found["spec"] = manifest["spec"]
    found["status"] = status or {}
    return found


def pod_of(launch: Launch, name: str, status: dict[str, Any], owner: dict[str, Any] | None = None) -> dict[str, Any]:
    made = owner["metadata"]["creationTimestamp"] if owner else MADE
    found = object_of("Pod", name, launch, made, status=status)
    found["spec"] = {"nodeName": "node-1", "restartPolicy": "Never", "containers": [{"name": "main", "image": "x"}]}
    if owner:
        found["metadata"]["ownerReferences"] = [
            {"kind": owner["kind"], "uid": owner["metadata"]["uid"], "name": owner["metadata"]["name"]}
        ]
    return found


def job_of(schedule: Launch, suffix: str, made: str, scheduled: str = "", **status: Any) -> dict[str, Any]:
    """A Job as the CronJob controller makes it."""
    found = object_of("Job", f"{schedule.name}-{suffix}", schedule, made, status={"startTime": made, **status})
    found["metadata"]["ownerReferences"] = [{"kind": "CronJob", "uid": "cron", "name": schedule.name}]
    found["metadata"]["annotations"] = {SCHEDULED: scheduled} if scheduled else {}
    return found


def condition(sort: str, **more: str) -> list[dict[str, Any]]:
    return [{"type": sort, "status": "True", "lastTransitionTime": "2026-11-21T10:20:00Z", **more}]


def running() -> dict[str, Any]:
    return {
        "phase": "Running",
        "podIP": "10.0.0.7",
        "conditions": condition("Ready"),
        "containerStatuses": [{"name": "main", "restartCount": 2, "state": {"running": {"startedAt": MADE}}}],
    }


def ended(code: int, message: str = "", finished: str = "2026-11-21T10:19:00Z") -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed", "finishedAt": finished}}
    state["terminated"] |= {"message": message} if message else {}
    return {
        "phase": "Failed" if code else "Succeeded",
        "containerStatuses": [{"name": "main", "restartCount": 0, "state": state}],
    }


def said(outcome: str, message: str, **counts: Any) -> str:
    """What images.lib.run leaves."""
    about = {"run_id": "20261121T101505Z-x7k2p", "started": MADE, "ended": MADE}
    return json.dumps({**about, "outcome": outcome, "message": message, "counts": counts})


def index_of(every: Iterable[dict[str, Any]]) -> Index:
    index = Index(keys(launches.SITE))
    for one in every:
        index.put(one)
    return index
