"""A cluster made by hand, shaped by the add-ons' real resource definitions, and the world that it is compared with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from config.compile import compile_world
from config.emit.common import Manifest
from config.models import Site, Tenant, World
from config.names import FIELD_MANAGER, keys, namespace
from config.order import key
from config.status import live
from config.status.addons import KINDS_OF, READ_ONLY
from config.status.model import Level, Report
from config.status.model import Tenant as Block
from config.status.report import report

SITE = Site.model_validate(
    {"label_domain": "edge.example.org", "addons": {"metallb": True, "egressgateway": True, "capsule": True}}
)
KEYS = keys(SITE)
PHYSICS = Tenant.model_validate(
    {
        "name": "physics",
        "title": "Department of Physics",
        "workers": {"nodes": ["n1", "n2"]},
        "networks": [
            {
                "name": "lab-a",
                "vlan": 120,
                "interface": "vlan120",
                "gateway_nodes": ["n1", "n2"],
                "subnets": ["192.0.2.0/24", "2001:db8:120::/64"],
                "loadbalancer": ["192.0.2.10-192.0.2.19", "2001:db8:120::10-2001:db8:120::19"],
                "egress": ["192.0.2.30", "2001:db8:120::30"],
            }
        ],
    }
)
HISTORY = Tenant.model_validate(
    {
        "name": "history",
        "workers": {"nodes": ["n3"]},
        "networks": [
            {
                "name": "archive",
                "gateway_nodes": ["n3"],
                "subnets": ["198.51.100.0/24"],
                "loadbalancer": ["198.51.100.10-198.51.100.19"],
            }
        ],
    }
)
OPEN = Tenant.model_validate({"name": "open"})
WORLD = World(SITE, {}, {tenant.name: tenant for tenant in (HISTORY, OPEN, PHYSICS)})
EARLY, LATE = "2026-11-21T10:00:00Z", "2026-11-21T11:00:00Z"
PLACES = {"n1": "physics", "n2": "physics", "n3": "history"}


COMPILED = compile_world(WORLD)


def compiled(world: World) -> tuple[Manifest, ...]:
    """compile_world, once for the world that most tests use."""
    return COMPILED if world is WORLD else compile_world(world)


def owned(value: Any) -> dict[str, Any]:
    """FieldsV1 of a whole value: every mapping's fields, everything else atomic."""
    return {f"f:{name}": owned(item) if isinstance(item, dict) else {} for name, item in value.items()}


def stored(manifest: Manifest) -> Manifest:
    """*manifest* as the API server has it after our apply."""
    rest = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")}
    rest["metadata"] = {
        name: value for name, value in manifest["metadata"].items() if name not in ("name", "namespace")
    }  # fmt: skip
    entry = {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": owned(rest)}
    return {**manifest, "metadata": {**manifest["metadata"], "managedFields": [entry], "uid": "u"}}


def node(name: str, *, ready: str = "True", labels: Mapping[str, str] | None = None, taints: Any = None) -> live.Node:
    """A Node object as its kubelet and our apply leave it; *labels*, *taints* instead of those that are declared."""
    declared = next(item for item in COMPILED if item["kind"] == "Node" and item["metadata"]["name"] == name)
    raw = {
        "metadata": {"name": name, "labels": declared["metadata"]["labels"] if labels is None else labels},
        "spec": {"taints": declared["spec"]["taints"] if taints is None else taints},
        "status": {
            "conditions": [{"type": "Ready", "status": ready, "message": "kubelet stopped posting node status."}]
        },
    }
    return live.node(raw)


def pod(
    name: str,
    on: str | None,
    tenant: str = "physics",
    *,
    labels: Mapping[str, str] | None = None,
    ready: str = "True",
    phase: str = "Running",
) -> live.Pod:
    raw = {
        "metadata": {"name": name, "namespace": namespace(tenant), "labels": labels or {}},
        "spec": {"nodeName": on} if on else {},
        "status": {"phase": phase, "conditions": [{"type": "Ready", "status": ready}]},
    }
    found = live.pod(raw)
    assert found is not None
    return found


def service(name: str, *addresses: str, room: str = "tenant-physics", **more: Any) -> live.Service:
    """*more*: annotations, and fields of the spec."""
    raw = {
        "metadata": {"name": name, "namespace": room, "annotations": more.pop("annotations", {})},
        "spec": {"type": "LoadBalancer", **more},
        "status": {"loadBalancer": {"ingress": [{"ip": address, "ipMode": "VIP"} for address in addresses]}},
    }
    return live.service(raw)


def announcement(service_name: str, on: str, since: str = EARLY, room: str = "tenant-physics") -> live.Announcement:
    raw = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "ServiceL2Status",
        "metadata": {"name": "l2-x2z4q", "namespace": "metallb-system", "creationTimestamp": since},
        "status": {
            "node": on,
            "serviceName": service_name,
            "serviceNamespace": room,
            "interfaces": [{"name": "vlan120"}],
        },
    }
    return live.announcement(raw)


def event(name: str, reason: str, message: str, last: str = LATE, kind: str = "Warning") -> live.Event:
    return live.event(
        {
            "involvedObject": {"kind": "Service", "namespace": "tenant-physics", "name": name},
            "type": kind,
            "reason": reason,
            "message": message,
            "lastTimestamp": last,
        }
    )


def gateway(*nodes: Mapping[str, Any]) -> dict[str, Any]:
    """`status` of an EgressGateway; the CRD is the same in 0.6.0 and 0.6.9."""
    return {"nodeList": list(nodes)}


def carrying(name: str, status: str = "Ready", **eip: str) -> dict[str, Any]:
    eips = [{**eip, "policies": [{"name": "tenant-physics.lab-a"}]}] if eip else []
    return {"name": name, "status": status, "eips": eips}


STATUS = {
    ("EgressGateway", "tenant-physics.lab-a"): gateway(
        carrying("n1", ipv4="192.0.2.30", ipv6="2001:db8:120::30"), carrying("n2")
    ),
    ("EgressClusterPolicy", "tenant-physics.lab-a"): {
        "eip": {"ipv4": "192.0.2.30", "ipv6": "2001:db8:120::30"},
        "node": "n1",
    },
    ("ResourceQuota", "tenanthub"): {
        "hard": {"pods": "200", "requests.cpu": "16", "services.nodeports": "0"},
        "used": {"pods": "2", "requests.cpu": "1500m", "services.nodeports": "0"},
    },
}


def objects(
    world: World = WORLD, without: Iterable[str] = (), status: Mapping[tuple[str, str], Any] = STATUS
) -> dict[Any, Manifest]:
    """Everything declared as it is after an apply; *without* what is called "Kind name"; *status* by kind and name."""
    gone, found = set(without), {}
    for manifest in compiled(world):
        called = manifest["kind"], manifest["metadata"]["name"]
        if " ".join(called) not in gone and manifest["kind"] != "Node":
            found[key(manifest)] = {**stored(manifest), **({"status": status[called]} if called in status else {})}
    return found


def healthy(**more: Any) -> live.Live:
    """A cluster in which all is as declared; *more* replaces fields."""
    kinds = [item for name in ("metallb", "egressgateway", "capsule") for item in KINDS_OF[name]]
    return replace(
        live.Live(
            at=datetime(2026, 11, 21, 3, 0, tzinfo=UTC),
            server="https://192.0.2.1:6443",
            version="v1.36.3",
            objects=objects(),
            nodes={name: node(name) for name in PLACES},
            served=frozenset([*kinds, *READ_ONLY]),
            speakers={"n1": True, "n2": True, "n3": True},
            tunnels={"n1": "Ready", "n2": "Ready", "n3": "Ready"},
        ),
        **more,
    )


def told(seen: live.Live, world: World = WORLD, only: str | None = None) -> Report:
    return report(world, compiled(world), seen, only)


def block(seen: live.Live, name: str = "physics", world: World = WORLD) -> Block:
    return next(tenant for tenant in told(seen, world).tenants if tenant.name == name)


def says(found: Block | Report, level: Level | str) -> list[str]:
    return [finding.text for finding in found.findings if finding.level == level]
