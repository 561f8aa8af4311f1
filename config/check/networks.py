"""VLANs, subnets and the nodes that are in them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Network, IPv6Network

from config.check.common import claimed_twice, networks, of_tenant, repeated
from config.errors import Problem
from config.models import Network, Tenant, World
from config.sources import Sources

Place = tuple[Tenant, int, Network]
Subnet = tuple[IPv4Network | IPv6Network, Place, int]
"""A subnet, the network that declares it, and its index there."""


def network_names(world: World, sources: Sources) -> Iterator[Problem]:
    """Unique in the tenant."""
    for tenant in world.tenants.values():
        for index, first in repeated(network.name for network in tenant.networks):
            where = sources.place("tenants", tenant.name, ("networks", first, "name"))
            said = f"another network is called `{tenant.networks[index].name}` ({where})"
            path = ("networks", index, "name")
            yield sources.problem("tenants", tenant.name, path, said, "give one of them another name")


def vlan_twice(world: World, sources: Sources) -> Iterator[Problem]:
    """A VLAN is one network of one tenant: what is on it is that tenant's."""
    for (tenant, index, network), (owner, first, _) in claimed_twice(networks(world), lambda one: one[2].vlan):
        where = sources.place("tenants", owner.name, ("networks", first, "vlan"))
        said = f"VLAN {network.vlan} belongs to {of_tenant(tenant.name, owner.name)} already ({where})"
        fix = "write the id of the tenant's own VLAN"
        yield sources.problem("tenants", tenant.name, ("networks", index, "vlan"), said, fix)


def gateways(world: World, sources: Sources) -> Iterator[Problem]:
    """A VLAN needs nodes that are in it and the interface there; without a VLAN both mean nothing."""
    for tenant, index, network in networks(world):
        path = ("networks", index)
        if network.vlan is not None and not network.gateway_nodes:
            fix = "write gateway_nodes: [node, …]"
            said = f"VLAN {network.vlan} has no gateway nodes"
            yield sources.problem("tenants", tenant.name, (*path, "vlan"), said, fix)
        if network.vlan is not None and network.interface is None:
            fix = f"write interface: …, e.g. eth1.{network.vlan}"
            said = f"VLAN {network.vlan} has no interface on its gateway nodes"
            yield sources.problem("tenants", tenant.name, (*path, "vlan"), said, fix)
        for number, _ in repeated(network.gateway_nodes):
            said = f"`{network.gateway_nodes[number]}` is listed twice"
            yield sources.problem("tenants", tenant.name, (*path, "gateway_nodes", number), said, "remove one")


def interface_clash(world: World, sources: Sources) -> Iterator[Problem]:
    """One interface of one node is in one VLAN."""
    users = [
        (tenant, index, network, node)
        for tenant, index, network in networks(world)
        if network.vlan is not None and network.interface is not None
        for node in dict.fromkeys(network.gateway_nodes)
    ]
    for (tenant, index, network, node), (owner, first, other, _) in claimed_twice(
        users, lambda one: (one[3], one[2].interface)
    ):
        if network.vlan == other.vlan:
            continue  # told as a VLAN claimed twice
        where = sources.place("tenants", owner.name, ("networks", first, "interface"))
        said = f"{network.interface} of node `{node}` is in VLAN {other.vlan} already ({where})"
        fix = f"write the interface that is in VLAN {network.vlan}"
        yield sources.problem("tenants", tenant.name, ("networks", index, "interface"), said, fix)


def subnets_overlap(world: World, sources: Sources) -> Iterator[Problem]:
    """One subnet is in one VLAN, and once in a network. Networks without VLAN may share one: loopback on a laptop."""
    found = [(subnet, place, number) for place in networks(world) for number, subnet in enumerate(place[2].subnets)]
    widest: dict[bool, Subnet] = {}
    for item in sorted(found, key=lambda one: (one[0].version, int(one[0].network_address), one[0].prefixlen)):
        subnet, (tenant, index, network), _ = item
        has_vlan = network.vlan is not None
        for other_subnet, (owner, first, other), _ in list(widest.values()):
            same = (owner.name, first) == (tenant.name, index)
            if not _overlap(subnet, other_subnet) or (not same and network.vlan == other.vlan):
                continue  # the same VLAN is told by itself, none and none may share
            yield _shared(sources, *sorted((item, widest[other.vlan is not None]), key=_in_files))
        if has_vlan not in widest or _end(subnet) > _end(widest[has_vlan][0]):
            widest[has_vlan] = item


def _shared(sources: Sources, earlier: Subnet, later: Subnet) -> Problem:
    """Told at the one that stands later in the files, so that a new tenant hears it and not an old one."""
    (subnet, (owner, first, network), number), (own, (tenant, index, _), own_number) = earlier, later
    same = (owner.name, first) == (tenant.name, index)
    where = sources.place("tenants", owner.name, ("networks", first, "subnets", number))
    whose = "the same network" if same else f"network `{network.name}` of {of_tenant(tenant.name, owner.name)}"
    fix = "remove one of the two" if same else "write this network's own: a subnet lies in one VLAN"
    path = ("networks", index, "subnets", own_number)
    return sources.problem("tenants", tenant.name, path, f"{own} overlaps {subnet} of {whose} ({where})", fix)


def _in_files(item: Subnet) -> tuple[str, int, int]:
    _, (tenant, index, _), number = item
    return tenant.name, index, number


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _end(subnet: IPv4Network | IPv6Network) -> tuple[int, int]:
    return subnet.version, int(subnet.broadcast_address)
