"""What a world must say, or had better say, before objects are made of it for a cluster.

Not part of CHECKS: on a laptop none of it is needed. Every command that compiles a world asks here first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Network, IPv6Network

from config.check.common import networks
from config.errors import Problem
from config.models import Network, Tenant, World
from config.names import keys, namespace
from config.sources import Sources

Rule = Callable[[World, Sources], Iterable[Problem]]

NOWHERE = Sources({}, {})
"""Sources of a world that came from no files."""

_RANGES = {
    "pods": ("Pods", "10.244.0.0/16"),
    "services": ("Services", "10.96.0.0/12"),
    "nodes": ("nodes", "192.0.2.0/24"),
}
_LABEL_KEY = re.compile(
    r"(?=.{1,317}$)([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
)
"""A label's key: DNS subdomain of up to 253 characters, /, up to 63 (Kubernetes, "Labels and Selectors")."""


def ready_for_cluster(world: World, sources: Sources = NOWHERE) -> list[Problem]:
    """Why nothing may be applied: the wall would have a hole, or something declared could never work."""
    return [problem for rule in _ERRORS for problem in rule(world, sources)]


def doubts(world: World, sources: Sources = NOWHERE) -> list[Problem]:
    """What an operator has to know and may have meant so: said, and the command goes on."""
    return [problem for rule in _DOUBTS for problem in rule(world, sources)]


def _ranges(world: World, sources: Sources) -> Iterator[Problem]:
    """The wall between tenants is made of the cluster's own ranges."""
    for field, (what, example) in _RANGES.items():
        if not getattr(world.site.cluster, field):
            said = f"the cluster's {what} are not declared; the wall between tenants would let everybody reach them"
            fix = f"write the ranges that the cluster was made with, e.g. {field}: [{example}]"
            yield sources.problem("site", "", ("cluster", field), said, fix)


def _families(world: World, sources: Sources) -> Iterator[Problem]:
    """A family that Pods speak and whose node addresses nobody declared is a hole of the same sort."""
    cluster = world.site.cluster
    have = {field: {one.version for one in getattr(cluster, field)} for field in _RANGES}
    for version in sorted(have["pods"] - have["nodes"]) if have["nodes"] else ():
        said = f"Pods have IPv{version} addresses, but no IPv{version} range of the nodes is declared"
        yield sources.problem("site", "", ("cluster", "nodes"), said, f"add the IPv{version} network of the nodes")
    for tenant, index, network in networks(world):
        for field, needed in (("loadbalancer", "services"), ("egress", "pods")):
            for number, one in enumerate(getattr(network, field)):
                if have[needed] and one.first.version not in have[needed]:
                    what = f"IPv{one.first.version}"
                    said = f"{one} is {what}, but site.yaml declares no {what} range of the cluster's {needed}"
                    fix = f"add it to cluster.{needed}, or remove the address if the cluster has no {what}"
                    yield sources.problem("tenants", tenant.name, ("networks", index, field, number), said, fix)


def _gateways(world: World, sources: Sources) -> Iterator[Problem]:
    """Addresses need a node that answers for them."""
    addons = world.site.addons
    for tenant, index, network in networks(world):
        for field, present, does in (
            ("loadbalancer", addons.metallb, "announces"),
            ("egress", addons.egressgateway, "sends from"),
        ):
            if present and getattr(network, field) and not network.gateway_nodes:
                said = f"no node {does} these addresses: the network has no gateway_nodes"
                fix = "write gateway_nodes: [node, …], those that are in the laboratory's network"
                yield sources.problem("tenants", tenant.name, ("networks", index, field), said, fix)


def _subnets(world: World, sources: Sources) -> Iterator[Problem]:
    """The wall closes the cluster's own ranges: such a network could neither be reached nor reach anything."""
    ranges = [(field, index, one) for field in _RANGES for index, one in enumerate(getattr(world.site.cluster, field))]
    for tenant, index, network in networks(world):
        for number, subnet in enumerate(network.subnets):
            for field, place, one in ranges:
                if subnet.version == one.version and subnet.subnet_of(one):
                    where = sources.place("site", "", ("cluster", field, place))
                    said = (
                        f"{subnet} lies wholly in {one} of the cluster's {field} ({where}), which tenants cannot reach"
                    )
                    path = ("networks", index, "subnets", number)
                    fix = "write the laboratory's own network, or narrower ranges in site.yaml"
                    yield sources.problem("tenants", tenant.name, path, said, fix)


def _laboratories(world: World, sources: Sources) -> Iterator[Problem]:
    """What keeps tenants off each other's networks is one range for all of them, not a list of everybody's.

    Cilium has a policy for all tenants, which takes the networks from their files.
    """
    if world.site.addons.cilium:
        return
    ranges = world.site.cluster.laboratories
    for tenant, index, network in networks(world):
        for number, subnet in enumerate(network.subnets):
            if not any(subnet.network_address in one and subnet.prefixlen >= one.prefixlen for one in ranges):
                said = f"{subnet} lies in none of site.yaml's cluster.laboratories; other tenants' Pods could reach it"
                fix = f"add it there, or a range around it, e.g. laboratories: [{_around(subnet)}]"
                path = ("networks", index, "subnets", number)
                yield sources.problem("tenants", tenant.name, path, said, fix)


def _around(subnet: IPv4Network | IPv6Network) -> IPv4Network | IPv6Network:
    """A range that leaves room for more, where there is one that is common."""
    usual = map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))
    return next((one for one in usual if isinstance(subnet, IPv4Network) and subnet.subnet_of(one)), subnet)


def _selectors(world: World, sources: Sources) -> Iterator[Problem]:
    """PodNodeSelector splits its annotation at commas and equals signs; a wrong key would select other nodes."""
    for tenant in world.tenants.values():
        for key in tenant.workers.selector:
            if not _LABEL_KEY.fullmatch(key):
                said = f"{key!r} is not the key of a label"
                fix = "write a key as `kubectl get nodes --show-labels` shows it"
                yield sources.problem("tenants", tenant.name, ("workers", "selector", key), said, fix)


def _namespaces(world: World, sources: Sources) -> Iterator[Problem]:
    """The site's own namespaces are let through every wall; a tenant's must not be one of them."""
    taken = {namespace(name): name for name in world.tenants}
    cluster = world.site.cluster
    named = [(("cluster", field), getattr(cluster, field)) for field in ("hub_namespace", "metallb_namespace")]
    places = [
        *named,
        *((("cluster", "ingress_namespaces", n), one) for n, one in enumerate(cluster.ingress_namespaces)),
    ]
    for path, name in places:
        if name in taken:
            said = f"`{name}` is the namespace of tenant `{taken[name]}`"
            yield sources.problem("site", "", path, said, "write the namespace that the site's own program runs in")


def _dedicated(world: World, sources: Sources) -> Iterator[Problem]:
    """Taints are set on nodes that are known by name."""
    for tenant in world.tenants.values():
        workers = tenant.workers
        if workers.nodes or not workers.dedicated or "dedicated" not in workers.model_fields_set | _meant(tenant):
            continue
        if workers.selector:
            taint = f"{keys(world.site).tenant}={tenant.name}:NoSchedule"
            said = "dedicated, but the nodes are known by their labels only, so nobody taints them"
            fix = f"name them in workers.nodes, taint them yourself ({taint}), or write dedicated: false"
        else:
            said = "dedicated, but the tenant has no workers of its own: its Pods run on any node without a taint"
            fix = "write workers.nodes: [node, …], or dedicated: false"
        yield sources.problem("tenants", tenant.name, ("workers", "dedicated"), said, fix)


def _meant(tenant: Tenant) -> set[str]:
    """`dedicated` is the default; it is a promise where somebody wrote it or says which nodes they are."""
    return {"dedicated"} if tenant.workers.selector else set()


def _nobody_serves(world: World, sources: Sources) -> Iterator[Problem]:
    """One line a missing add-on, not one a tenant."""
    for addon, field, what, happens in (
        ("metallb", "loadbalancer", "LoadBalancer", "nothing announces what is declared"),
        ("egressgateway", "egress", "egress", "nothing leaves from what is declared"),
    ):
        declared = dict.fromkeys(tenant.name for tenant, _, network in networks(world) if getattr(network, field))
        if declared and not getattr(world.site.addons, addon):
            said = f"without {addon} {happens}: the {what} addresses of {_some(list(declared))}"
            yield sources.problem("site", "", ("addons", addon), said, f"write {addon}: true where the cluster has it")


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _interfaces(world: World, sources: Sources) -> Iterator[Problem]:
    """MetalLB announces on every interface of a node unless one is named (L2Advertisement, spec.interfaces)."""
    for tenant, index, network in networks(world):
        if world.site.addons.metallb and _announced_everywhere(network):
            said = "its LoadBalancer addresses are announced on every network interface of the gateway nodes"
            fix = "write interface: …, the one that is in the laboratory's network"
            yield sources.problem("tenants", tenant.name, ("networks", index), said, fix)


def _announced_everywhere(network: Network) -> bool:
    return bool(network.loadbalancer and network.gateway_nodes and network.interface is None)


_ERRORS: tuple[Rule, ...] = (_ranges, _families, _gateways, _subnets, _laboratories, _selectors, _namespaces)
_DOUBTS: tuple[Rule, ...] = (_dedicated, _nobody_serves, _interfaces)
