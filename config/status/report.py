"""From the declared world and what is there to the report: pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC

from config.emit.common import Manifest
from config.models import Tenant as Declared
from config.models import World
from config.names import Keys, keys, namespace
from config.status import walls as wall_checks
from config.status.addons import addons, unread
from config.status.egress import unknown_labels
from config.status.index import Index
from config.status.live import Live
from config.status.loadbalancer import waiting
from config.status.model import Finding, Findings, Report, Tenant
from config.status.networks import network
from config.status.objects import compare
from config.status.quota import quotas
from config.status.workers import workers


def report(world: World, wanted: Iterable[Manifest], live: Live, only: str | None = None) -> Report:
    """The whole site's report, or that of one tenant (KeyError where *only* is none); *wanted*: the compiled world."""
    wanted = tuple(wanted)
    index = Index.of(world, wanted, live)
    shown = [world.tenants[only]] if only else list(world.tenants.values())
    known, found = addons(world, live)
    shared, more = compare(index.wanted.get("", {}), () if only else index.orphans(world), live)
    tested = world.tenants.get(live.tested)
    place = index.namespaces.get(namespace(tested)) if tested else None
    tried = wall_checks.judge(tested, place, live.answers)
    return Report(
        at=live.at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        site=world.site.title,
        server=live.server,
        version=live.version,
        addons=known,
        walls=tried,
        shared=shared,
        tenants=tuple(_tenant(world, tenant, live, index) for tenant in shown),
        findings=(*found, *more, *wall_checks.findings(tried), *unread(live)),
    )


def to_try(world: World, only: str | None, namespaces: Iterable[str]) -> Declared | None:
    """The tenant in whose namespace the walls are tried: *only*, else the first one whose namespace is there."""
    there = set(namespaces)
    shown = [world.tenants[only]] if only else world.tenants.values()
    placed = [tenant for tenant in shown if namespace(tenant) in there]
    # one with workers shows more: whether their node selector and toleration really get onto Pods
    return next((tenant for tenant in placed if tenant.workers.nodes), placed[0] if placed else None)


def _tenant(world: World, tenant: Declared, live: Live, index: Index) -> Tenant:
    room, names = namespace(tenant), keys(world.site)
    pods = index.pods.get(room, ())
    phase, found = _phase(room, index.objects.get(("Namespace", "", room)), live)
    objects, more = compare(index.wanted.get(tenant.name, {}), index.surplus.get(tenant.name, ()), live)
    working, at_work = workers(world, tenant, live, pods, index.dedication)
    uses, full = quotas(index.quotas.get(room, ()))
    told = [
        network(world, tenant, declared, live, pods, index.objects, index.nodes, index.traffic)
        for declared in tenant.networks
    ]
    lines = Findings("network")
    unknown_labels(world, tenant, pods, lines)
    without = waiting(world, tenant, index.traffic, lines)
    lines += _strays(names, tenant, live)
    return Tenant(
        name=tenant.name,
        title=tenant.title or tenant.name,
        namespace=room,
        phase=phase,
        objects=objects,
        workers=working,
        quota=uses,
        networks=tuple(state for state, _ in told),
        waiting=without,
        findings=_worst_first(
            [*found, *more, *at_work, *full, *(item for _, items in told for item in items), *lines]
        ),
    )  # fmt: skip


def _phase(room: str, found: Manifest | None, live: Live) -> tuple[str, list[Finding]]:
    told = Findings("namespace")
    if found is None:
        if "namespaces" in live.unread:
            return "unknown", list(told)
        told.wrong(f"namespace {room} is missing")
        return "missing", list(told)
    phase = (found.get("status") or {}).get("phase") or "Active"
    if phase != "Active":
        told.wrong(f"namespace {room} is {phase}")
    return phase, list(told)


def _strays(names: Keys, tenant: Declared, live: Live) -> Findings:
    """Nodes that announce or carry egress for the tenant by their label, and are not declared to."""
    found = Findings("network")
    for prefix, what, due in (
        (names.lb(tenant), "LoadBalancer", [net for net in tenant.networks if net.loadbalancer]),
        (names.eg(tenant), "egress", [net for net in tenant.networks if net.egress]),
    ):
        declared = {node for net in due for node in net.gateway_nodes}
        for node in live.nodes.values():
            if prefix in node.labels and node.name not in declared:
                found.wrong(f"node {node.name} carries {prefix} and is no gateway node for {what} addresses")
    return found


def _worst_first(found: list[Finding]) -> tuple[Finding, ...]:
    order = ("alarm", "wrong", "note")
    return tuple(sorted(dict.fromkeys(found), key=lambda finding: order.index(finding.level)))
