"""Where a tenant is its workers and gateway nodes as labels and tolerations, one answer for every emitter.

Label names: Kyoto paper, table 2 (node_<tenant>, lb_<tenant>, eg_<tenant>).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from config.models import Network, Tenant
from config.names import Keys


def worker_labels(tenant: Tenant, names: Keys) -> dict[str, str]:
    """The labels of the nodes that its Pods run on, by key; none where any node will do."""
    named = {names.node(tenant): "true"} if tenant.workers.nodes else {}
    return dict(sorted({**tenant.workers.selector, **named}.items()))


def worker_tolerations(tenant: Tenant, names: Keys) -> list[dict[str, str]]:
    """The toleration of the taint on its own workers; none where they are shared or not declared.

    With a selector only, the operator taints the nodes (config.check.cluster says so), and Pods have to land there.
    """
    workers = tenant.workers
    if not workers.dedicated or not (workers.nodes or workers.selector):
        return []
    return [{"key": names.tenant, "operator": "Equal", "value": tenant.name, "effect": "NoSchedule"}]


def gateway_labels(
    tenant: Tenant, network: Network, served: Iterable[Network], label: Callable[..., str]
) -> dict[str, str]:
    """The labels of the gateway nodes of *network*, one of the tenant's networks *served* by the same add-on.

    *label* is `Keys.lb` or `Keys.eg`: the tenant's, and where others of the networks have further gateway nodes, the
    network's own besides.
    """
    every = {node for other in served for node in other.gateway_nodes}
    own = {label(tenant, network.name): "true"} if set(network.gateway_nodes) != every else {}
    return {label(tenant): "true", **own}
