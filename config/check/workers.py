"""Worker nodes: a dedicated one is one tenant's."""

from __future__ import annotations

from collections.abc import Iterator

from config.check.common import claimed_twice, networks, repeated
from config.errors import Problem
from config.models import Tenant, World
from config.sources import Sources


def nodes_twice(world: World, sources: Sources) -> Iterator[Problem]:
    """A node that is dedicated to one tenant serves no other, neither as worker nor as gateway."""
    for tenant in world.tenants.values():
        for index, _ in repeated(tenant.workers.nodes):
            said = f"`{tenant.workers.nodes[index]}` is listed twice"
            yield sources.problem("tenants", tenant.name, ("workers", "nodes", index), said, "remove one")
    workers = [
        (tenant, index, node)
        for tenant in world.tenants.values()
        for index, node in enumerate(tenant.workers.nodes)
        if node not in tenant.workers.nodes[:index]
    ]
    # Those who dedicate come first: it is the other who hears that the node is taken.
    workers.sort(key=lambda one: not one[0].workers.dedicated)
    owners: dict[str, tuple[Tenant, int]] = {}
    for (tenant, index, node), (owner, first, _) in claimed_twice(workers, lambda one: one[2]):
        if owner.workers.dedicated:
            where = sources.place("tenants", owner.name, ("workers", "nodes", first))
            said = f"node `{node}` is dedicated to tenant `{owner.name}` ({where})"
            fix = "write another node, or dedicated: false in both"
            yield sources.problem("tenants", tenant.name, ("workers", "nodes", index), said, fix)
    for tenant, index, node in workers:
        if tenant.workers.dedicated:
            owners.setdefault(node, (tenant, index))
    yield from _gateways(world, sources, owners)


def _gateways(world: World, sources: Sources, owners: dict[str, tuple[Tenant, int]]) -> Iterator[Problem]:
    for tenant, index, network in networks(world):
        for number, node in enumerate(network.gateway_nodes):
            owner, first = owners.get(node, (tenant, 0))
            if owner.name != tenant.name:
                where = sources.place("tenants", owner.name, ("workers", "nodes", first))
                said = f"gateway node `{node}` is dedicated to tenant `{owner.name}` ({where})"
                path = ("networks", index, "gateway_nodes", number)
                yield sources.problem("tenants", tenant.name, path, said, "write a node that serves all, or one's own")


def selector_twice(world: World, sources: Sources) -> Iterator[Problem]:
    """The same selector finds the same nodes."""
    chosen = [tenant for tenant in world.tenants.values() if tenant.workers.selector]
    chosen.sort(key=lambda tenant: not tenant.workers.dedicated)
    for tenant, owner in claimed_twice(chosen, lambda one: frozenset(one.workers.selector.items())):
        if owner.workers.dedicated:
            where = sources.place("tenants", owner.name, ("workers", "selector"))
            said = f"these labels select the nodes that are dedicated to tenant `{owner.name}` ({where})"
            fix = "write labels of other nodes, or dedicated: false in both"
            yield sources.problem("tenants", tenant.name, ("workers", "selector"), said, fix)
