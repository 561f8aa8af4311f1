"""How the add-ons in pods are put there: programs from the host's build cache, objects by server-side apply.

The pods are real ones, so that kubelet starts them again and a dead node takes its own along. Only their image is a
shortcut: the test image with the program's folder mounted over it, which saves importing 200 MB into each node.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from tests.cluster.bed import control, processes
from tests.cluster.bed.images import TOOL
from tests.cluster.bed.names import Bed

Object = dict[str, Any]
MOUNTED = "/program"


class Kubectl(Protocol):
    """The part of binaries.Binaries that is used here."""

    @property
    def kubectl(self) -> Path: ...


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


def apply(bed: Bed, programs: Kubectl, objects: Iterable[Object]) -> None:
    """Server-side apply with the field manager `tenanthub-bed`, in the order given.

    Raises:
        BedError: The API server refuses one.
    """
    argv = [str(programs.kubectl), f"--kubeconfig={bed.kubeconfig}", f"--cache-dir={bed.state / 'kubectl'}"]
    argv += ["apply", "--server-side", "--force-conflicts", "--field-manager=tenanthub-bed", "--filename=-"]
    processes.run(bed.name, argv, given=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))


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
