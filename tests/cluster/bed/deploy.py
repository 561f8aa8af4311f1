"""How the add-ons in pods are put there: programs from the host's build cache, objects by server-side apply.

The pods are real ones, so that kubelet starts them again and a dead node takes its own along. Only their image is a
shortcut: the test image with the program's folder mounted over it, which saves importing 200 MB into each node.
"""

from __future__ import annotations

import json
import urllib.error
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from tests.cluster.bed import control, processes
from tests.cluster.bed.images import TOOL
from tests.cluster.bed.names import Bed, BedError

Object = dict[str, Any]
MOUNTED = "/program"
CLUSTER_SCOPED = frozenset({"Namespace", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"})
_OPTIONS = "fieldManager=tenanthub-bed&force=true&fieldValidation=Strict"


def mounted(pod: Object, container: Object, program: Path) -> None:
    """Have a container of a pod's spec run a program of the host, with the arguments that it has.

    Pod Security lets only privileged namespaces mount a folder of the host.
    """
    container["image"] = TOOL
    container["imagePullPolicy"] = "Never"
    container["command"] = [f"{MOUNTED}/{program.name}"]
    container.setdefault("volumeMounts", []).append({"name": "program", "mountPath": MOUNTED, "readOnly": True})
    pod.setdefault("volumes", []).append(
        {"name": "program", "hostPath": {"path": str(program.parent), "type": "Directory"}}
    )


def apply(bed: Bed, objects: Iterable[Object]) -> None:
    """Server-side apply with the field manager `tenanthub-bed`, in the order given; what is there is taken over.

    Not through kubectl: it would have the API server, busy as it is at this time, write its OpenAPI page first.

    Raises:
        BedError: The API server does not take one, also when it is asked again for a minute.
    """
    for each in objects:
        what = f"{each['kind']} {each['metadata']['name']}"
        processes.wait(bed, what, partial(_put, bed, each), watch=["kube-apiserver"])


def _put(bed: Bed, given: Object) -> object:
    try:
        return control.call(bed, "PATCH", f"{path_of(given)}?{_OPTIONS}", given, "application/apply-patch+yaml")
    except urllib.error.HTTPError as error:
        raise BedError(json.loads(error.read() or b"{}").get("message", error.reason)) from error


def path_of(given: Object) -> str:
    """An object's path in the API. For the kinds that are used here, whose plural is the kind with an s."""
    version, kind, metadata = given["apiVersion"], given["kind"], given["metadata"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = "" if kind in CLUSTER_SCOPED else f"/namespaces/{metadata['namespace']}"
    return f"{root}{namespace}/{kind.lower()}s/{metadata['name']}"


def wait(bed: Bed, namespace: str, resource: str, name: str) -> None:
    """Wait until all pods of a workload (resource: `deployments`, `daemonsets`) are ready.

    Raises:
        BedError: They are not within two minutes: the nodes may be coming up meanwhile.
    """
    path = f"/apis/apps/v1/namespaces/{namespace}/{resource}/{name}"
    processes.wait(bed, f"{namespace}/{name}", lambda: complete(control.call(bed, "GET", path)), patience_s=120)


def complete(workload: Object) -> bool:
    """Whether a Deployment or DaemonSet, as the API server has it, is rolled out and all its pods are ready."""
    status = workload.get("status", {})
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return False
    if workload["kind"] == "DaemonSet":
        wanted = status.get("desiredNumberScheduled", 0)
        return bool(wanted and status.get("updatedNumberScheduled") == status.get("numberReady") == wanted)
    wanted = workload["spec"]["replicas"]
    return bool(status.get("updatedReplicas") == status.get("readyReplicas") == status.get("replicas") == wanted)
