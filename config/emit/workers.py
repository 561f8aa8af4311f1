"""Labels and taints of nodes: where a tenant's Pods run, where its addresses are announced, where its traffic leaves.

Label names: Kyoto paper, table 2 (node_<tenant>, lb_<tenant>, eg_<tenant>). One manifest a node, merged over tenants;
a node is borrowed: only these labels, and of its taints only those with our key, are ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from config.emit.common import Manifest, metadata
from config.emit.places import gateway_labels
from config.models import Network, Tenant, World
from config.names import Keys, keys

Mark = tuple[str, str]
"""A node's name and a label that it gets."""


def emit(world: World) -> Iterator[Manifest]:
    """A Node for each one that a tenant names, by name."""
    names = keys(world.site)
    labels: dict[str, dict[str, str]] = {}
    taints: dict[str, list[dict[str, str]]] = {}
    for tenant in world.tenants.values():
        for node, label in _labels(tenant, names):
            labels.setdefault(node, {})[label] = "true"
        for node in dict.fromkeys(tenant.workers.nodes) if tenant.workers.dedicated else ():
            taints.setdefault(node, []).append({"key": names.tenant, "value": tenant.name, "effect": "NoSchedule"})
    for node in sorted(labels):
        found: Manifest = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": metadata(world.site, node, labels=dict(sorted(labels[node].items()))),
        }
        spec: dict[str, Any] = {"spec": {"taints": taints[node]}} if node in taints else {}
        yield {**found, **spec}


def _labels(tenant: Tenant, names: Keys) -> Iterator[Mark]:
    for node in tenant.workers.nodes:
        yield node, names.node(tenant)
    yield from _gateways(tenant, [one for one in tenant.networks if one.loadbalancer], names.lb)
    yield from _gateways(tenant, [one for one in tenant.networks if one.egress], names.eg)


def _gateways(tenant: Tenant, networks: list[Network], label: Callable[..., str]) -> Iterator[Mark]:
    for network in networks:
        for name in gateway_labels(tenant, network, networks, label):
            for node in network.gateway_nodes:
                yield node, name
