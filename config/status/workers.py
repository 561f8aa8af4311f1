"""Where a tenant's Pods may run and where they do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from config.models import Tenant, World
from config.names import Keys, keys
from config.status.live import Live, Node, Pod, Taint
from config.status.model import Finding, Findings, PodPlace, PodWaiting, WorkerNode, Workers

WAITING_SHOWN = 20
"""Pods that wait, at most; thousands may."""


@dataclass(frozen=True)
class Dedication:
    """Which tenants each node is dedicated to; made once for all tenants."""

    owners: Mapping[str, frozenset[str]]

    @classmethod
    def of(cls, world: World) -> Dedication:
        """From the declared workers."""
        owners: dict[str, set[str]] = {}
        for tenant in world.tenants.values():
            if tenant.workers.dedicated:
                for name in tenant.workers.nodes:
                    owners.setdefault(name, set()).add(tenant.name)
        return cls({name: frozenset(found) for name, found in owners.items()})

    def strangers(self, tenant: Tenant, node: str) -> frozenset[str]:
        """The tenants that *node* is dedicated to, where *tenant* is none of them."""
        owners = self.owners.get(node, frozenset())
        return frozenset() if tenant.name in owners else owners


def workers(
    world: World, tenant: Tenant, live: Live, pods: tuple[Pod, ...], dedication: Dedication
) -> tuple[Workers, list[Finding]]:
    """The tenant's workers and what is wrong with them; *pods*: those in the tenant's namespace."""
    names, declared = keys(world.site), tenant.workers
    allowed = _allowed(tenant, live)
    on: dict[str, int] = {}
    for pod in pods:
        if pod.node:
            on[pod.node] = on.get(pod.node, 0) + 1
    shown = sorted(allowed) if allowed is not None else sorted(on)
    nodes = tuple(_worker(names, tenant, name, live, on.get(name, 0)) for name in shown)
    elsewhere = tuple(
        PodPlace(f"{pod.namespace}/{pod.name}", pod.node)
        for pod in pods
        if pod.node and ((allowed is not None and pod.node not in allowed) or dedication.strangers(tenant, pod.node))
    )
    waiting = tuple(
        PodWaiting(f"{pod.namespace}/{pod.name}", pod.why) for pod in pods if pod.phase == "Pending" or pod.why
    )
    told = Workers(
        anywhere=allowed is None,
        nodes=nodes,
        pods=len(pods),
        elsewhere=elsewhere,
        waiting=waiting[:WAITING_SHOWN],
    )
    found = Findings("workers")
    for place in elsewhere:
        whose = ", ".join(sorted(dedication.strangers(tenant, place.node)))
        found.alarm(f"Pod {place.pod} runs on {place.node}, " + (f"a worker of {whose}" if whose else "not its worker"))
    if allowed is not None:
        _judge(names, tenant, nodes, live, found)
    if declared.selector and live.knows_nodes and not allowed:
        found.wrong(f"no node carries {_pairs(declared.selector)}: the tenant's Pods can run nowhere")
    _strays(names, tenant, allowed or frozenset(), live.nodes.values(), found)
    if waiting:
        found.note(f"{len(waiting)} Pod{'s' if len(waiting) > 1 else ''} not running: {_first(waiting)}")
    return told, found


def _allowed(tenant: Tenant, live: Live) -> frozenset[str] | None:
    """Nodes that the tenant's Pods may be on; None: the tenant declares none, so any that is not another's."""
    declared = tenant.workers
    if declared.nodes:
        return frozenset(declared.nodes)
    if declared.selector and live.knows_nodes:
        return frozenset(name for name, node in live.nodes.items() if _carries(node, declared.selector))
    return None


def _worker(names: Keys, tenant: Tenant, name: str, live: Live, pods: int) -> WorkerNode:
    declared, node = tenant.workers, live.nodes.get(name)
    labelled = node is not None and _carries(node, declared.selector)
    if name in declared.nodes:
        labelled = labelled and node is not None and node.labels.get(names.node(tenant)) == "true"
    taint = Taint(names.tenant, tenant.name, "NoSchedule")
    return WorkerNode(
        name=name,
        exists=node is not None if live.knows_nodes else None,
        ready=node is not None and node.ready,
        cordoned=node is not None and node.cordoned,
        labelled=labelled,
        tainted=(node is not None and taint in node.taints)
        if declared.dedicated and (declared.nodes or declared.selector)
        else None,
        pods=pods,
    )


def _judge(names: Keys, tenant: Tenant, nodes: Iterable[WorkerNode], live: Live, found: Findings) -> None:
    for node in nodes:
        if node.exists is None:
            continue
        if not node.exists:
            found.wrong(f"worker {node.name} is not in the cluster")
            continue
        if not node.ready:
            found.wrong(f"worker {node.name} is not ready: {live.nodes[node.name].why}")
        if node.cordoned:
            found.note(f"worker {node.name} is cordoned: no new Pod goes there")
        if not node.labelled:
            found.wrong(f"worker {node.name} lacks {_lacks(names, tenant, live.nodes[node.name])}: no Pod goes there")
        if node.tainted is False:
            found.wrong(f"worker {node.name} lacks the taint {names.tenant}={tenant.name}: others' Pods may go there")


def _lacks(names: Keys, tenant: Tenant, node: Node) -> str:
    wanted = dict(tenant.workers.selector)
    if node.name in tenant.workers.nodes:
        wanted[names.node(tenant)] = "true"
    return "the label " + _pairs({key: value for key, value in wanted.items() if node.labels.get(key) != value})


def _strays(names: Keys, tenant: Tenant, allowed: frozenset[str], nodes: Iterable[Node], found: Findings) -> None:
    """Nodes that carry the tenant's marks and are not declared: its Pods may go there, or others' may not."""
    for node in nodes:
        if node.name in allowed:
            if not tenant.workers.dedicated and _tainted(names, tenant, node):
                found.wrong(f"worker {node.name} carries the taint of {tenant.name}, whose workers are shared")
            continue
        if names.node(tenant) in node.labels:
            found.wrong(f"node {node.name} carries the label {names.node(tenant)} and is not declared as a worker")
        if _tainted(names, tenant, node):
            found.wrong(f"node {node.name} carries the taint of {tenant.name} and is not declared as a worker")


def _tainted(names: Keys, tenant: Tenant, node: Node) -> bool:
    return any(taint.key == names.tenant and taint.value == tenant.name for taint in node.taints)


def _carries(node: Node, labels: Mapping[str, str]) -> bool:
    return all(node.labels.get(key) == value for key, value in labels.items())


def _pairs(labels: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))


def _first(waiting: tuple[PodWaiting, ...]) -> str:
    told = next((pod for pod in waiting if pod.why), waiting[0])
    return f"{told.pod}: {told.why or 'nobody says why yet'}"
