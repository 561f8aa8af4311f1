"""`tenanthub status` as a process, and nodes and statuses that stand for those of kubelets and add-ons."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from config.cluster.client import Cluster

COMMAND = (
    "import argparse, sys\n"
    "from config import cli_status\n"
    "parser = argparse.ArgumentParser(prog='tenanthub')\n"
    "cli_status.add_commands(parser.add_subparsers(required=True))\n"
    "arguments = parser.parse_args()\n"
    "sys.exit(arguments.run(arguments))\n"
)
"""The command by itself: what it does must not hang on the hub's command line."""


@dataclass(frozen=True)
class Said:
    """What the command said: its exit code, and the report."""

    code: int
    report: dict[str, Any]

    def tenant(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = next(one for one in self.report["tenants"] if one["name"] == name)
        return found

    def findings(self, level: str, tenant: str = "") -> list[str]:
        told = self.tenant(tenant) if tenant else self.report
        return [finding["text"] for finding in told["findings"] if finding["level"] == level]


def command(folder: Path, kubeconfig: Path, *more: str) -> list[str]:
    return [sys.executable, "-c", COMMAND, "status", str(folder), *more, "--kubeconfig", str(kubeconfig)]


def run(folder: Path, kubeconfig: Path, *more: str) -> subprocess.CompletedProcess[str]:
    argv = command(folder, kubeconfig, *more)
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def status(folder: Path, kubeconfig: Path, *more: str) -> Said:
    """`tenanthub status -o json`; the exit code has to say the same as the report."""
    done = run(folder, kubeconfig, *more, "-o", "json")
    assert done.stdout, done.stderr
    found = Said(done.returncode, json.loads(done.stdout))
    assert found.code == (0 if found.report["as_declared"] else 2)
    return found


def ready_node(cluster: Cluster, name: str, *, ready: bool = True) -> None:
    """A node without a kubelet; the node controller takes it for dead after 50 s without a heartbeat."""
    if cluster.get(f"/api/v1/nodes/{name}") is None:
        cluster.request("POST", "/api/v1/nodes", body={"metadata": {"name": name}})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    condition = {
        "type": "Ready",
        "status": "True" if ready else "Unknown",
        "reason": "KubeletReady" if ready else "NodeStatusUnknown",
        "message": "here" if ready else "Kubelet stopped posting node status.",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    put_status(cluster, f"/api/v1/nodes/{name}", {"conditions": [condition]})


def put_status(cluster: Cluster, path: str, found: Mapping[str, Any]) -> None:
    """Write an object's `status` as its controller does, unknown fields refused."""
    cluster.request(
        "PATCH",
        f"{path}/status",
        query={"fieldValidation": "Strict"},
        body={"status": found},
        content_type="application/merge-patch+json",
    )


def placed_pod(cluster: Cluster, namespace: str, name: str, node: str, labels: Mapping[str, str]) -> None:
    """A Pod that the scheduler has put on *node* and a kubelet there reports as ready."""
    container = {
        "name": "main",
        "image": "none",
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    pods = f"/api/v1/namespaces/{namespace}/pods"
    spec = {"containers": [container], "securityContext": secure, "automountServiceAccountToken": False}
    cluster.request("POST", pods, body={"metadata": {"name": name, "labels": dict(labels)}, "spec": spec})
    target = {"target": {"apiVersion": "v1", "kind": "Node", "name": node}, "metadata": {"name": name}}
    cluster.request("POST", f"{pods}/{name}/binding", body=target)
    put_status(
        cluster, f"{pods}/{name}", {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
    )  # fmt: skip


def service(cluster: Cluster, namespace: str, name: str, addresses: Sequence[str], selector: Mapping[str, str]) -> None:
    """A Service that MetalLB has given *addresses*."""
    body = {
        "metadata": {"name": name},
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": False,
            "selector": dict(selector),
            "ports": [{"port": 80}],
        },
    }
    services = f"/api/v1/namespaces/{namespace}/services"
    cluster.request("POST", services, body=body)
    if addresses:
        ingress = [{"ip": address} for address in addresses]
        put_status(cluster, f"{services}/{name}", {"loadBalancer": {"ingress": ingress}})


def announced(cluster: Cluster, room: str, namespace: str, name: str, node: str) -> None:
    """A ServiceL2Status as a speaker on *node* makes it: the object first, its status by a second write."""
    path = f"/apis/metallb.io/v1beta1/namespaces/{room}/servicel2statuses"
    labels = {
        "metallb.io/node": node,
        "metallb.io/service-name": name,
        "metallb.io/service-namespace": namespace,
    }
    kind = {"apiVersion": "metallb.io/v1beta1", "kind": "ServiceL2Status"}
    made = cluster.request("POST", path, body={**kind, "metadata": {"generateName": "l2-", "labels": labels}})
    found = {
        "node": node,
        "serviceName": name,
        "serviceNamespace": namespace,
        "interfaces": [{"name": "vlan120"}],
    }
    put_status(cluster, f"{path}/{made['metadata']['name']}", found)
