"""Manifests written by hand, of every kind in config/order.py: what plan and apply are tested with.

They do not follow the emitters, on purpose: plan and apply must not depend on what exactly is emitted.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from config.emit.common import Manifest
from config.names import FIELD_MANAGER, Keys, namespace, network_object
from config.order import key

DOMAIN = "edge.example.org"
METALLB = "metallb-system"


def thing(
    api_version: str,
    kind: str,
    name: str,
    *,
    domain: str = DOMAIN,
    tenant: str | None = None,
    inside: str | None = None,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
    **rest: Any,
) -> Manifest:
    keys = Keys(domain)
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            **({"namespace": inside} if inside else {}),
            "labels": {
                **({keys.tenant: tenant} if tenant else {}),
                **(labels or {}),
                keys.declared_by: FIELD_MANAGER,
            },
            **({"annotations": annotations} if annotations else {}),
        },
        **rest,
    }


def tenant_objects(
    name: str,
    *,
    domain: str = DOMAIN,
    lb: Sequence[str] = ("192.0.2.10-192.0.2.19",),
    egress: str | None = "192.0.2.200",
    pods: str = "20",
    addons: Iterable[str] = ("capsule", "metallb", "egressgateway", "cilium"),
    metallb: str = METALLB,
    nodes: Sequence[str] = (),
) -> list[Manifest]:
    """About what one tenant with one network consists of, in apply order."""
    keys, space, found = Keys(domain), namespace(name), []

    def add(api_version: str, kind: str, called: str, **rest: Any) -> None:
        found.append(thing(api_version, kind, called, domain=domain, tenant=name, **rest))

    core, rbac, wall = "v1", "rbac.authorization.k8s.io/v1", "io.cilium.k8s.namespace.labels." + keys.tenant
    for node in nodes:
        marked = thing(core, "Node", node, domain=domain, labels={keys.node(name): "true"})
        taint = {"key": keys.tenant, "value": name, "effect": "NoSchedule"}
        found.append({**marked, "spec": {"taints": [taint]}})
    if "capsule" in addons:
        add(
            "capsule.clastix.io/v1beta2",
            "Tenant",
            f"{name}",
            spec={"owners": [{"kind": "ServiceAccount", "name": "system:serviceaccount:tenanthub:hub"}]},
        )
    add(
        core,
        "Namespace",
        space,
        labels={"pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"},
        annotations={keys.loadbalancer_addresses: " ".join(lb), keys.egress_networks: "lab-a"},
    )
    if "cilium" in addons:
        other = [{"key": wall, "operator": "Exists"}, {"key": wall, "operator": "NotIn", "values": [name]}]
        add(
            "cilium.io/v2",
            "CiliumClusterwideNetworkPolicy",
            space,
            spec={
                "endpointSelector": {"matchLabels": {wall: name}},
                "ingressDeny": [{"fromEndpoints": [{"matchExpressions": other}]}],
            },
        )
    add(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        "tenanthub",
        inside=space,
        spec={
            "podSelector": {},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [{"from": [{"podSelector": {}}, {"namespaceSelector": {"matchLabels": {"hub": "yes"}}}]}],
            "egress": [
                {"to": [{"podSelector": {}}]},
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["169.254.0.0/16"]}}], "ports": [{"port": 443}]},
            ],
        },
    )
    add(
        core,
        "ResourceQuota",
        "tenanthub",
        inside=space,
        spec={"hard": {"pods": pods, "requests.cpu": "16000m", "requests.memory": "65536Mi"}},
    )
    add(
        core,
        "LimitRange",
        "tenanthub",
        inside=space,
        spec={"limits": [{"type": "Container", "defaultRequest": {"cpu": "0.1", "memory": "128Mi"}}]},
    )
    add(core, "ServiceAccount", "default", inside=space, automountServiceAccountToken=False)
    if "metallb" in addons and lb:
        add(
            "metallb.io/v1beta1",
            "IPAddressPool",
            network_object(name, "lab-a"),
            inside=metallb,
            spec={"addresses": list(lb), "serviceAllocation": {"priority": 50, "namespaces": [space]}},
        )
        add(
            "metallb.io/v1beta1",
            "L2Advertisement",
            network_object(name, "lab-a"),
            inside=metallb,
            spec={
                "ipAddressPools": [network_object(name, "lab-a")],
                "interfaces": ["vlan120"],
                "nodeSelectors": [{"matchLabels": {keys.lb(name): "true"}}],
            },
        )
    if "egressgateway" in addons and egress:
        group = "egressgateway.spidernet.io/v1beta1"
        add(
            group,
            "EgressGateway",
            network_object(name, "lab-a"),
            spec={
                "ippools": {"ipv4": [egress], "ipv4DefaultEIP": egress},
                "nodeSelector": {"selector": {"matchLabels": {keys.eg(name): "true"}}},
            },
        )
        add(
            group,
            "EgressClusterPolicy",
            network_object(name, "lab-a"),
            spec={
                "egressGatewayName": network_object(name, "lab-a"),
                "egressIP": {"ipv4": egress},
                "appliedTo": {
                    "podSelector": {"matchLabels": {keys.egress_policy: "lab-a"}},
                    "namespaceSelector": {"matchLabels": {keys.tenant: name}},
                },
            },
        )
    for role, verbs in (("member", ["get", "list", "watch", "create", "delete"]), ("admin", ["*"])):
        rules = [
            {"apiGroups": [""], "resources": ["pods", "services", "configmaps"], "verbs": verbs},
            {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": verbs},
        ]
        add(rbac, "Role", f"tenanthub-{role}", inside=space, rules=rules)
    for role, group in (("member", f"tenanthub:{name}"), ("admin", f"tenanthub:{name}:admin")):
        add(
            rbac,
            "RoleBinding",
            f"tenanthub-{role}",
            inside=space,
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": f"tenanthub-{role}"},
            subjects=[{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
        )
    return sorted(found, key=key)


def many(tenants: int, domain: str = DOMAIN) -> list[Manifest]:
    """A world of that many tenants, about 14 objects each, no address twice."""
    found: list[Manifest] = []
    for number in range(tenants):
        high, low = divmod(number, 250)
        lb, egress = f"10.{100 + high}.{low}.10-10.{100 + high}.{low}.19", f"10.{100 + high}.{low}.200"
        found += tenant_objects(f"t{number:04}", domain=domain, lb=[lb], egress=egress)
    return sorted(found, key=key)
