"""One lab network of a tenant: its gateway nodes, its LoadBalancer addresses, its egress."""

from __future__ import annotations

from collections.abc import Mapping

from config.emit.common import Manifest
from config.models import Network as Declared
from config.models import Tenant, World
from config.names import keys
from config.status.egress import egress
from config.status.live import Live, Pod
from config.status.loadbalancer import Traffic, loadbalancer, speakers
from config.status.model import Finding, Findings, Gateway, Network


def network(
    world: World,
    tenant: Tenant,
    declared: Declared,
    live: Live,
    pods: tuple[Pod, ...],
    objects: Mapping[tuple[str, str, str], Manifest],
    wanted_nodes: Mapping[str, Mapping[str, str]],
    traffic: Traffic,
) -> tuple[Network, list[Finding]]:
    """The state of *declared* and what is wrong; *wanted_nodes*: node -> labels that the compiler gives it."""
    found = Findings("network")
    gateways = tuple(_gateway(world, tenant, declared, live, name, wanted_nodes) for name in declared.gateway_nodes)
    for gateway in gateways:
        if gateway.exists is None:
            continue
        if not gateway.exists:
            found.wrong(f"gateway node {gateway.name} of {declared.name} is not in the cluster")
        elif not gateway.ready:
            found.wrong(f"gateway node {gateway.name} of {declared.name} is not ready: {live.nodes[gateway.name].why}")
        if gateway.exists and gateway.lacks:
            found.wrong(f"gateway node {gateway.name} of {declared.name} lacks the label {', '.join(gateway.lacks)}")
    speakers(declared, live, found)
    leaving = Findings("egress")
    told = Network(
        name=declared.name,
        vlan=declared.vlan,
        interface=declared.interface,
        gateways=gateways,
        loadbalancer=loadbalancer(tenant, declared, live, pods, traffic, found) if declared.loadbalancer else None,
        egress=egress(world, tenant, declared, live, pods, objects, leaving) if declared.egress else None,
    )
    return told, [*found, *leaving]


def _gateway(
    world: World,
    tenant: Tenant,
    declared: Declared,
    live: Live,
    name: str,
    wanted_nodes: Mapping[str, Mapping[str, str]],
) -> Gateway:
    node, names = live.nodes.get(name), keys(world.site)
    due = {names.lb(tenant), names.lb(tenant, declared.name)} if declared.loadbalancer else set()
    due |= {names.eg(tenant), names.eg(tenant, declared.name)} if declared.egress else set()
    wanted = {key: value for key, value in wanted_nodes.get(name, {}).items() if key in due}
    carried = node.labels if node else {}
    return Gateway(
        name=name,
        exists=node is not None if live.knows_nodes else None,
        ready=node is not None and node.ready,
        lacks=tuple(key for key, value in sorted(wanted.items()) if carried.get(key) != value),
    )
