"""Which egress addresses are really in use, and on which node.

Two objects tell: EgressGateway `status.nodeList` (per node: status, addresses, policies) and EgressClusterPolicy
`status` (address, node); both are written by egressgateway's controller (0.6.0 to 0.6.9 alike). Where they differ, or
name a node that is not ready, that is said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.emit.common import Manifest
from config.models import Network, Tenant, World
from config.names import keys, network_object
from config.status.addresses import within
from config.status.live import Live, Pod
from config.status.model import Egress, EgressNode, Findings

GATEWAYS = ("egressgateway.spidernet.io/v1beta1", "egressgateways")
_READY = "Ready"


def egress(
    world: World,
    tenant: Tenant,
    network: Network,
    live: Live,
    pods: tuple[Pod, ...],
    objects: Mapping[tuple[str, str, str], Manifest],
    found: Findings,
) -> Egress:
    """The egress side of *network*; *objects* by kind, namespace and name."""
    name, label = network_object(tenant, network.name), keys(world.site).egress_policy
    gateway = objects.get(("EgressGateway", "", name))
    policy = objects.get(("EgressClusterPolicy", "", name))
    nodes = tuple(_node(live, item) for item in _status(gateway).get("nodeList") or ())
    given, place = _given(policy)
    why = _why(world, live, gateway, policy, nodes, given, place)
    users = sum(1 for pod in pods if pod.labels.get(label) == network.name)
    if why:
        leaving = f"; {users} Pod{'s' if users != 1 else ''} would leave by it" if users else ""
        say = found.wrong if world.site.addons.egressgateway else found.note
        say(f"egress of {network.name} does not work: {why}{leaving}")
    _judge(network, nodes, given, place, found)
    return Egress(
        gateway=name,
        addresses=tuple(map(str, network.egress)),
        nodes=nodes,
        policy=name,
        policy_addresses=given,
        policy_node=place,
        pods=users,
        why=why,
    )


def unknown_labels(world: World, tenant: Tenant, pods: tuple[Pod, ...], found: Findings) -> None:
    """Pods that ask for the egress of a network that has none: admission refuses them, so they are older than it."""
    label = keys(world.site).egress_policy
    known = {network.name for network in tenant.networks if network.egress}
    for pod in pods:
        if label in pod.labels and pod.labels[label] not in known:
            found.wrong(f"Pod {pod.namespace}/{pod.name} asks for the egress {pod.labels[label]!r}, which is not there")


def _node(live: Live, raw: Mapping[str, Any]) -> EgressNode:
    return EgressNode(
        name=raw.get("name") or "",
        node_ready=live.ready(raw.get("name") or ""),
        status=raw.get("status") or "Pending",
        addresses=tuple(
            eip[family] for eip in raw.get("eips") or () for family in ("ipv4", "ipv6") if eip.get(family)
        ),
    )  # fmt: skip


def _given(policy: Manifest | None) -> tuple[tuple[str, ...], str]:
    status = _status(policy)
    eip = status.get("eip") or {}
    return tuple(eip[family] for family in ("ipv4", "ipv6") if eip.get(family)), status.get("node") or ""


def _status(manifest: Manifest | None) -> Mapping[str, Any]:
    return (manifest or {}).get("status") or {}


def _why(
    world: World,
    live: Live,
    gateway: Manifest | None,
    policy: Manifest | None,
    nodes: tuple[EgressNode, ...],
    given: tuple[str, ...],
    place: str,
) -> str:
    """Why no traffic leaves from the declared addresses; empty where it does, as far as the API tells."""
    if not world.site.addons.egressgateway:
        return "site.yaml names no egressgateway"
    if GATEWAYS not in live.served:
        return "the API server knows no EgressGateway: egressgateway is not installed"
    if gateway is None or policy is None:
        kind = "EgressGateway" if gateway is None else "EgressClusterPolicy"
        return f"its {kind} is missing"
    if not nodes:
        return "egressgateway has not reported on it: does its controller run, and do nodes carry the label?"
    if not any(node.status == _READY for node in nodes):
        return "no gateway node is ready: " + ", ".join(f"{node.name} is {node.status}" for node in nodes)
    if not given or not place:
        return "no address has been given to its policy yet"
    if not live.ready(place):
        return f"{', '.join(given)} is said to be on {place}, which is not ready"
    if (tunnel := live.tunnels.get(place, _READY)) != _READY:
        return f"{', '.join(given)} is said to be on {place}, whose tunnel is {tunnel}"
    return ""


def _judge(
    network: Network,
    nodes: tuple[EgressNode, ...],
    given: tuple[str, ...],
    place: str,
    found: Findings,
) -> None:
    for address in dict.fromkeys([*given, *(address for node in nodes for address in node.addresses)]):
        if not within(address, network.egress):
            found.alarm(f"{address} is used for the egress of {network.name} and is not among its addresses")
    for node in nodes:
        if node.addresses and network.gateway_nodes and node.name not in network.gateway_nodes:
            found.alarm(f"{', '.join(node.addresses)} is on {node.name}, which is no gateway node of {network.name}")
    carriers = {node.name for node in nodes if set(given) & set(node.addresses)}
    if place and given and carriers and place not in carriers:
        found.wrong(f"the policy says that {', '.join(given)} is on {place}, the gateway {', '.join(sorted(carriers))}")
