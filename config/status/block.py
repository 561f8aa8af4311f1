"""One tenant as a block of text."""

from __future__ import annotations

from collections.abc import Iterator

from config.status.model import Egress, Level, LoadBalancer, Network, Objects, Tenant, WorkerNode, Workers
from config.status.paint import WIDTH, Paint, wrap
from config.terminal import count

_SHOWN = 10
"""Lines of one sort, at most."""
_MANY = 10**6
_MAIN = ("pods", "requests.cpu", "requests.memory", "limits.memory", "services.loadbalancers")
"""Resources of the quota that people meet; of the others only those in use are shown."""


def block(tenant: Tenant, paint: Paint) -> Iterator[str]:
    """The tenant's lines."""
    title = f"  {tenant.title}" if tenant.title != tenant.name else ""
    yield paint.paint("head", tenant.name) + title
    yield f"  namespace {paint.mark(tenant.phase == 'Active')} {tenant.namespace}: {tenant.phase}"
    yield from _objects(tenant.objects, paint)
    yield from _workers(tenant.workers, paint)
    yield from _quota(tenant)
    for network in tenant.networks:
        yield from _network(network, paint)
    for service in tenant.waiting:
        asked = f" (asks for {', '.join(service.wanted)})" if service.wanted else ""
        yield from _marked(paint.mark(False), f"Service {service.service} has no address{asked}: {service.why}", 2)
    if tenant.findings:
        yield ""
    for finding in tenant.findings:
        yield from paint.finding(finding.level, finding.text)


def _objects(objects: Objects, paint: Paint) -> Iterator[str]:
    good = objects.as_declared == objects.declared and not objects.surplus
    parts = [f"{objects.as_declared} of {count(objects.declared, 'object')} as declared"]
    parts += [
        f"{len(items)} {word}"
        for items, word in (
            (objects.drifted, "drifted"),
            (objects.missing, "missing"),
            (objects.surplus, "declared no more"),
        )
        if items
    ]
    yield f"  objects   {paint.mark(good)} {', '.join(parts)}"
    rows = [f"drifted: {drift.object}: {', '.join(drift.fields)}" for drift in objects.drifted]
    rows += [f"missing: {name}" for name in objects.missing]
    rows += [f"declared no more: {name}" for name in objects.surplus]
    yield from _some(rows, 14)


def _workers(workers: Workers, paint: Paint) -> Iterator[str]:
    if workers.anywhere:
        yield f"  workers   {paint.mark(True)} any node that is not another tenant's; {count(workers.pods, 'Pod')}"
    elif not workers.nodes:
        yield f"  workers   {paint.mark(False)} none"
    for number, node in enumerate(workers.nodes[:_SHOWN] if not workers.anywhere else ()):
        yield f"  {'workers' if number == 0 else '':<9} {_worker(node, paint)}"
    if not workers.anywhere and len(workers.nodes) > _SHOWN:
        yield f"{' ' * 12}and {len(workers.nodes) - _SHOWN} more"
    if workers.elsewhere:
        yield f"  {paint.paint('alarm', 'ELSEWHERE')} {paint.paint('alarm', 'Pods run where they must not:')}"
        yield from _some([f"{place.pod} on {place.node}" for place in workers.elsewhere], 12)
    elif not workers.anywhere:
        yield f"{' ' * 12}{paint.mark(True)} no Pod of the tenant runs elsewhere"


def _worker(node: WorkerNode, paint: Paint) -> str:
    if node.exists is None:
        return f"{paint.level(Level.NOTE)} {node.name}: unknown, nodes cannot be read; {count(node.pods, 'Pod')}"
    if not node.exists:
        return f"{paint.mark(False)} {node.name}: not in the cluster"
    good = node.ready and node.labelled and node.tainted is not False
    words = ["ready" if node.ready else "NOT READY", "labelled" if node.labelled else "NOT LABELLED"]
    words += [] if node.tainted is None else ["tainted" if node.tainted else "NOT TAINTED"]
    words += ["cordoned"] if node.cordoned else []
    return f"{paint.mark(good)} {node.name}: {', '.join(words)}; {count(node.pods, 'Pod')}"


def _quota(tenant: Tenant) -> Iterator[str]:
    shown = [use for use in tenant.quota if use.resource in _MAIN or use.used != "0"]
    shown.sort(key=lambda use: (_MAIN.index(use.resource) if use.resource in _MAIN else len(_MAIN), use.resource))
    words = [f"{use.resource} {use.used}/{use.hard}{' FULL' if use.full else ''}" for use in shown]
    words += [f"nothing of {len(tenant.quota) - len(shown)} more"] if len(shown) < len(tenant.quota) else []
    lines = wrap(";  ".join(words) if words else "none counted", " " * 12)
    lines[0] = f"  quota     {lines[0].lstrip()}"
    yield from lines


def _network(network: Network, paint: Paint) -> Iterator[str]:
    where = " ".join(
        [
            *([f"VLAN {network.vlan}"] if network.vlan else []),
            *([f"on {network.interface}"] if network.interface else []),
        ]
    )
    yield f"  {paint.paint('head', network.name)}{f'  {where}' if where else ''}"
    for gateway in network.gateways:
        if gateway.exists is None:
            yield f"    {paint.level(Level.NOTE)} gateway node {gateway.name}: unknown, nodes cannot be read"
            continue
        good = gateway.exists and gateway.ready and not gateway.lacks
        state = "not in the cluster" if not gateway.exists else "ready" if gateway.ready else "NOT READY"
        lacks = f", lacks {', '.join(gateway.lacks)}" if gateway.exists and gateway.lacks else ""
        yield from _marked(paint.mark(good), f"gateway node {gateway.name}: {state}{lacks}", 4)
    if network.loadbalancer:
        yield from _pool(network.loadbalancer, paint)
    if network.egress:
        yield from _egress(network.egress, paint)


def _pool(pool: LoadBalancer, paint: Paint) -> Iterator[str]:
    free = str(pool.free) if pool.free < _MANY else "over a million"
    yield from wrap(f"pool {', '.join(pool.addresses)}: {pool.used} used, {free} free", " " * 4)
    for use in pool.services:
        current = [item for item in use.announced_by if item.current]
        stale = [item.node for item in use.announced_by if not item.current]
        if current:
            by = " and ".join(
                item.node + (f" ({', '.join(item.interfaces)})" if item.interfaces else "") for item in current
            )
            silent = [item.node for item in current if not item.node_ready]
            words = f"announced by {by}" + (", as it said before it became NOT READY" if silent else "")
        else:
            words = f"announced by nobody: {use.why}"
        # an older word of a node that died with it: said, because kubectl shows it beside the true one
        words += f"; no longer by {', '.join(stale)}, though its ServiceL2Status is still there" if stale else ""
        good = bool(current) and all(item.node_ready for item in current)
        yield from _marked(paint.mark(good), f"{use.service}  {', '.join(use.addresses)}  {words}", 4)


def _egress(egress: Egress, paint: Paint) -> Iterator[str]:
    yield from wrap(f"egress {', '.join(egress.addresses)}", " " * 4)
    if egress.why:
        yield from _marked(paint.mark(False), f"out of use: {egress.why}", 4)
    else:
        words = f"{', '.join(egress.policy_addresses)} on {egress.policy_node}"
        yield from _marked(paint.mark(True), f"{words}; {count(egress.pods, 'Pod')} with its label", 4)
    for node in egress.nodes:
        carries = f", carries {', '.join(node.addresses)}" if node.addresses else ""
        good = node.status == "Ready" and node.node_ready
        state = node.status if node.node_ready else f"NODE NOT READY (egressgateway says {node.status})"
        yield from _marked(paint.mark(good), f"egress node {node.name}: {state}{carries}", 4)


def _marked(mark: str, text: str, indent: int) -> Iterator[str]:
    first, *rest = wrap(text, " " * (indent + 2))
    yield f"{' ' * indent}{mark} {first.lstrip()}"
    yield from rest


def _some(rows: list[str], indent: int) -> Iterator[str]:
    for row in rows[:_SHOWN]:
        yield from wrap(row, " " * indent, WIDTH)
    if len(rows) > _SHOWN:
        yield f"{' ' * indent}and {len(rows) - _SHOWN} more"
