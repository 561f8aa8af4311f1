"""Thousands of Pods without a machine: kwok plays the kubelets of a control plane's nodes.

A Pod is Running and Ready at once, has an address of 127.200.0.0/16, at which one program answers for all of them
(answers.py), and is gone as soon as it is deleted. Scheduler, API server, etcd and admission are real.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import httpx

from tests.bench.contest import say
from tests.cluster.bed import Bed, binaries, certs, control, processes

NODES = 20
"""Fake nodes; each takes as many Pods as it is given."""
ADDRESSES = "127.200.0.1/16"
PORT = 8888
"""Where everything answers; KubeSpawner's own default."""
_ROOM = {"cpu": "10000", "memory": "100Ti", "pods": "100000"}


def _stage(kind: str, name: str, when: list[dict[str, Any]], then: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": name},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": kind},
            "selector": {"matchExpressions": when},
            "next": then,
        },
    }


_READY = '.status.conditions.[] | select( .type == "Ready" ) | .status'
_DELETED = ".metadata.deletionTimestamp"
_NODE_STATUS = """
{{ $now := Now }}
conditions:
{{ range NodeConditions }}
- {lastHeartbeatTime: {{ $now | Quote }}, lastTransitionTime: {{ $now | Quote }}, message: {{ .message | Quote }}, \
reason: {{ .reason | Quote }}, status: {{ .status | Quote }}, type: {{ .type | Quote }}}
{{ end }}
"""
# The conditions and the shape of kwok's own stage "pod-ready" (its kustomize/stage/pod/fast).
_POD_STATUS = """
{{ $now := Now }}
conditions:
{{ range $type := list "Initialized" "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: {{ $type | Quote }}}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- {image: {{ .image | Quote }}, name: {{ .name | Quote }}, ready: true, started: true, restartCount: 0, \
state: {running: {startedAt: {{ $now | Quote }}}}}
{{ end }}
{{ $ips := PodIPsWith .spec.nodeName false ( or .metadata.uid "" ) ( or .metadata.name "" ) \
( or .metadata.namespace "" ) }}
{{ with $ips }}
podIP: {{ index . 0 | Quote }}
podIPs:
{{ range . }}
- ip: {{ . | Quote }}
{{ end }}
{{ end }}
phase: Running
startTime: {{ $now | Quote }}
"""
STAGES = (
    _stage(
        "Node",
        "node-ready",
        [
            {
                "key": '.status.conditions.[] | select( .type == "Ready" ) | .status',
                "operator": "NotIn",
                "values": ["True"],
            }
        ],
        {"statusTemplate": _NODE_STATUS},
    ),
    _stage(
        "Pod",
        "pod-ready",
        [
            {"key": _DELETED, "operator": "DoesNotExist"},
            {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
        ],
        {"statusTemplate": _POD_STATUS},
    ),
    _stage("Pod", "pod-deleted", [{"key": _DELETED, "operator": "Exists"}], {"delete": True}),
)
"""What kwok does, and nothing else: https://kwok.sigs.k8s.io/docs/user/stages-configuration/."""


def populate(bed: Bed) -> None:
    """Start scheduler, kwok and what answers for the Pods, and make the nodes. BedError where one does not start.

    They are processes of the bed's own, so that `down` ends them in any case.
    """
    programs = binaries.ensure(say, binaries.CONTROL_PLANE)
    stages = certs.private_file(bed.state / "kwok.yaml", "\n---\n".join(json.dumps(one) for one in STAGES))
    processes.start(bed, "kube-scheduler", _scheduler(bed, programs.kube))
    processes.start(
        bed,
        "kwok",
        [
            str(binaries.kwok(say)),
            f"--kubeconfig={bed.kubeconfig}",
            f"--config={stages}",
            "--manage-all-nodes=true",
            f"--cidr={ADDRESSES}",
            "--node-ip=127.0.0.1",
            # Without leases the node controller takes the nodes for lost after 50 s, and their Pods are Ready no more.
            "--node-lease-duration-seconds=40",
        ],
    )
    root = str(Path(__file__).parents[3])
    processes.start(
        bed, "answers", [sys.executable, "-m", "tests.bench.kube.answers", str(PORT)], env={"PYTHONPATH": root}
    )
    for number in range(NODES):
        control.call(bed, "POST", "/api/v1/nodes", _node(f"fake-{number:02}"))
    processes.wait(bed, "every fake node", lambda: _ready(bed) == NODES, watch=["kwok", "kube-scheduler"])
    processes.wait(bed, "what answers for the Pods", _answers, watch=["answers"])


def _scheduler(bed: Bed, kube: Path) -> list[str]:
    own = bed.state / "kube-scheduler.kubeconfig"
    settings = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "clientConnection": {"kubeconfig": str(own), "qps": 1000, "burst": 2000},
        "leaderElection": {"leaderElect": False},
    }
    file = certs.private_file(bed.state / "kube-scheduler.yaml", json.dumps(settings))
    return [
        str(kube.parent / "kube-scheduler"),
        f"--config={file}",
        f"--authentication-kubeconfig={own}",
        f"--authorization-kubeconfig={own}",
        f"--bind-address={bed.loopback}",
        f"--secure-port={control.SCHEDULER_PORT}",
        f"--cert-dir={bed.state / 'kube-scheduler'}",
    ]


def _node(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {"allocatable": _ROOM, "capacity": _ROOM},
    }


def _ready(bed: Bed) -> int:
    items = control.call(bed, "GET", "/api/v1/nodes")["items"]
    return sum(
        any(one["type"] == "Ready" and one["status"] == "True" for one in node["status"].get("conditions") or ())
        for node in items
    )


def _answers() -> bool:
    try:
        return httpx.get(f"http://127.200.1.2:{PORT}/", trust_env=False, timeout=2).status_code == 200
    except httpx.HTTPError:
        return False
