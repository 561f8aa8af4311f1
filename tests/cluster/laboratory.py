"""Two tenants on a bed with nodes: declared, applied by `tenanthub apply`, used by their members, taken away again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import yaml

from config.names import Keys, member_group, namespace
from tests.cluster import onlooker
from tests.cluster.bed import Bed, binaries, images, lab, metallb, node, processes
from tests.cluster.bed.lab import Address, Instrument
from tests.cluster.kube import Kube, eventually
from tests.cluster.onlooker import Said
from tests.cluster.operator import Operator, state

PORT = 8080
WORKERS = {"a": "n1", "b": "n3"}
"""Tenant -> its one dedicated worker; n2 is a gateway node of both, and nobody's worker."""
POOL_A = ("192.0.2.205-192.0.2.210", "2001:db8:120::205-2001:db8:120::210")
ONLY_N1 = ("192.0.2.230-192.0.2.231", "2001:db8:120:0:1::230-2001:db8:120:0:1::231")
"""Of a second network of A on the same VLAN, whose only gateway node is n1: n2 must not announce these."""
POOL_B = ("198.51.100.205-198.51.100.210", "2001:db8:130::205-2001:db8:130::210")


@dataclass(frozen=True)
class Laboratory:
    """The bed and the two tenants on it; every name and the label domain are this run's own."""

    bed: Bed
    kube: Kube
    operator: Operator
    unique: str

    def name(self, tenant: str) -> str:
        """The tenant's name; *tenant* is a or b."""
        return f"{self.unique}{tenant}"

    def room(self, tenant: str) -> str:
        return namespace(self.name(tenant))

    @property
    def keys(self) -> Keys:
        return self.operator.keys

    def declare(self) -> None:
        """Write the world: operator.declare knows only one family, and a bed has two."""
        self.operator.declare()
        site = {
            "label_domain": self.operator.domain,
            "cluster": {
                "pods": [str(network) for network in self.bed.pods],
                "services": [str(network) for network in self.bed.services],
                "nodes": [str(network) for network in self.bed.room],
                "laboratories": ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"],
                "metallb_namespace": metallb.NAMESPACE,
            },
            "addons": {"metallb": True},
        }
        (self.operator.folder / "site.yaml").write_text(yaml.safe_dump(site))
        lab_a = _network("lab-a", 120, ["n1", "n2"], ["192.0.2.192/27", "2001:db8:120::/80"], POOL_A)
        # on A's VLAN as well, but a VLAN and an interface belong to one network: none are named, so all interfaces
        narrow = _network("narrow", None, ["n1"], ["192.0.2.224/27", "2001:db8:120:0:1::/80"], ONLY_N1)
        lab_b = _network("lab-b", 130, ["n2", "n3"], ["198.51.100.0/24", "2001:db8:130::/64"], POOL_B)
        for tenant, networks in (("a", [lab_a, narrow]), ("b", [lab_b])):
            written = {
                "name": self.name(tenant),
                "admins": ["ada"],
                "members": ["grace"],
                "workers": {"nodes": [WORKERS[tenant]]},
                "networks": networks,
            }
            file = self.operator.folder / "tenants" / f"{self.name(tenant)}.yaml"
            file.write_text(yaml.safe_dump(written))

    def member(self, tenant: str, *args: str, given: Mapping[str, Any] | None = None) -> CompletedProcess[str]:
        """kubectl as a member of the tenant, in its namespace."""
        return self.kube.kubectl(
            *args,
            f"--namespace={self.room(tenant)}",
            as_user="grace",
            groups=[member_group(self.name(tenant))],
            input=json.dumps(given) if given else None,
        )

    def created(self, tenant: str, wanted: Mapping[str, Any]) -> None:
        """What a member creates, and may."""
        done = self.member(tenant, "create", "--filename=-", given=wanted)
        assert done.returncode == 0, done.stderr

    def status(self, *more: str) -> Said:
        return onlooker.status(self.operator.folder, self.bed.kubeconfig, *more)

    def service(self, tenant: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.get("service", name, f"--namespace={self.room(tenant)}")
        return found

    def addresses(self, tenant: str, name: str) -> list[str]:
        """LoadBalancer addresses that the Service has now."""
        ingress = self.service(tenant, name)["status"]["loadBalancer"].get("ingress", [])
        return sorted(one["ip"] for one in ingress)

    def pods(self, tenant: str, selector: str = "") -> list[dict[str, Any]]:
        more = [f"--selector={selector}"] if selector else []
        items: list[dict[str, Any]] = self.kube.get("pods", f"--namespace={self.room(tenant)}", *more)["items"]
        return items

    def take_down(self) -> None:
        self.operator.declare()
        there = {place[2] for place in state(self.operator.cluster, self.keys)}
        gone = {name.removeprefix("tenant-").partition(".")[0] for name in there if name.startswith("tenant-")}
        done = self.operator.run(
            "apply", "--yes", "--force-conflicts", *(f"--remove-tenant={name}" for name in sorted(gone))
        )
        of_site = f"{self.operator.domain}/declared-by"
        self.kube.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "-l", of_site)
        assert done.returncode == 0, done.stdout + done.stderr
        marks = [taint for one in self.kube.get("nodes")["items"] for taint in one["spec"].get("taints", [])]
        assert not any(taint["key"] == self.keys.tenant for taint in marks)


def raised(bed: Bed, folder: Path, unique: str) -> Laboratory:
    """The two tenants, applied and at work."""
    operator = Operator(bed.kubeconfig, folder, f"{unique}.example.org", metallb.NAMESPACE)
    made = Laboratory(bed, Kube(bed), operator, unique)
    made.declare()
    operator.apply()
    # policies are compiled a moment after they were created, and quotas counted
    eventually("walls that are up", lambda: made.status().report["walls"]["state"] == "up")
    return made


def _network(
    name: str, vlan: int | None, nodes: Sequence[str], subnets: Sequence[str], pool: Sequence[str]
) -> dict[str, Any]:
    return {
        "name": name,
        **({"vlan": vlan, "interface": f"vlan{vlan}"} if vlan else {}),
        "gateway_nodes": list(nodes),
        "subnets": list(subnets),
        "loadbalancer": list(pool),
    }


def pod_spec(*argv: str, **spec: Any) -> dict[str, Any]:
    """A Pod's spec that Pod Security `restricted` lets in, on the bed's own image."""
    container = {
        "name": "tool",
        "image": images.TOOL,
        "imagePullPolicy": "Never",
        "args": list(argv),
        "env": [{"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    if argv[:1] == ("http",):
        container["readinessProbe"] = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    return {
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        **spec,
    }


def pod(name: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": name, "labels": {"app": name}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod_spec("sleep", **spec)}


def workload(kind: str, name: str, *argv: str, **spec: Any) -> dict[str, Any]:
    """A Deployment, DaemonSet or Job."""
    template = {"metadata": {"labels": {"app": name}}, "spec": pod_spec(*(argv or ("sleep",)), **spec)}
    if kind == "Job":
        template["spec"] = {"restartPolicy": "Never", **template["spec"]}
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": name}, "spec": {"template": template}}
    more = {"selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": more}


def service(name: str, app: str, annotations: Mapping[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "annotations": dict(annotations or {})},
        "spec": {
            "type": "LoadBalancer",
            "allocateLoadBalancerNodePorts": False,
            "ipFamilyPolicy": "RequireDualStack",
            "selector": {"app": app},
            "ports": [{"port": 80, "targetPort": PORT}],
            **spec,
        },
    }


def fetched(instrument: Instrument, address: str, tool: Path) -> dict[str, str] | None:
    """What an HTTP server of ours says to the instrument at *address*; None when it gets no answer."""
    host = address if isinstance(ip_address(address), IPv4Address) else f"[{address}]"
    done = instrument.run([str(tool), "get", f"http://{host}/"])
    return dict(json.loads(done.stdout)) if done.returncode == 0 else None


def announcer(bed: Bed, instrument: Instrument, address: str, tool: Path) -> str | None:
    """The node that answers for *address* on the instrument's network (ARP, NDP); None where nobody does."""
    parsed: Address = ip_address(address)
    instrument.run(["ip", "neigh", "flush", "all"])
    instrument.run([str(tool), "tcp", address, "1"])
    hardware = instrument.neighbour(parsed)
    for name in instrument.vlan.nodes:
        if hardware == lab.hardware_address(bed, name, instrument.vlan.name):
            return name
    return None


def kill(bed: Bed, name: str) -> None:
    """A node's power fails: everything on it ends at once, containers and all, and nobody says goodbye."""
    for part in (name, f"{name}-kubelet", f"{name}-kube-proxy", f"{name}-containerd"):
        processes.stop(bed, part, hard=True)


def revive(bed: Bed, name: str, programs: binaries.Binaries) -> None:
    """And comes back."""
    node.start(bed, bed.node(name), programs)
