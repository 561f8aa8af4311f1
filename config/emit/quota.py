"""ResourceQuota and LimitRange: what a tenant's Pods may take together, and what one takes that does not say.

Source: Kubernetes, "Resource Quotas" and "Limit Ranges". Pods that have ended (a Job's) count for none of cpu, memory
and `pods`, only for `count/pods`. Memory is counted by limits (they are what a workload can really take), CPU by
requests: a burst above them takes only what nobody else wants.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.emit.common import Manifest, metadata
from config.models import Quota, Tenant, World, format_memory
from config.models.quantity import format_cpu
from config.names import namespace

NAME = "tenanthub"
"""Of the ResourceQuota and of the LimitRange in each namespace."""

COUNTS = {
    "pods": 10,
    "count/pods": 100,
    "services": 10,
    "persistentvolumeclaims": 10,
    "count/configmaps": 100,
    "count/secrets": 100,
    "count/deployments.apps": 10,
    "count/replicasets.apps": 110,
    "count/jobs.batch": 100,
    "count/cronjobs.batch": 10,
    "count/ingresses.networking.k8s.io": 10,
}
"""How many objects a workload of the quota stands for: wide enough that cpu and memory are what people meet.

They keep one tenant from filling the API server's store. A Deployment keeps ten old ReplicaSets; Jobs and Pods that
have ended stay until somebody or a TTL removes them; helm keeps a Secret a revision.
"""

_DEFAULT_CPU = 100
"""Thousandths of a CPU that a Burstable container asks for unless it says."""
_GUARANTEED_CPU = 500
"""The same where requests equal limits: more than it asks for, a container never gets there."""
_DEFAULT_MEMORY = 512 * 2**20
_SHARE = 4
"""At least so many containers that say nothing fit into the smallest quota."""


def emit(world: World) -> Iterator[Manifest]:
    """A ResourceQuota and a LimitRange a tenant."""
    for tenant in world.tenants.values():
        common = metadata(world.site, NAME, tenant=tenant, namespace=namespace(tenant))
        yield {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": common, "spec": {"hard": _hard(tenant)}}
        yield {"apiVersion": "v1", "kind": "LimitRange", "metadata": common, "spec": {"limits": [_limits(tenant)]}}


def _hard(tenant: Tenant) -> dict[str, str]:
    quota = tenant.quota
    counts = {name: each * quota.workloads for name, each in COUNTS.items()}
    return {
        "requests.cpu": format_cpu(quota.cpu),
        "requests.memory": memory_quantity(quota.memory),
        "limits.memory": memory_quantity(quota.memory),
        # A Service of type LoadBalancer takes node ports as well unless it says allocateLoadBalancerNodePorts: false.
        "services.nodeports": "0",
        "services.loadbalancers": str(min(_loadbalancer_addresses(tenant), counts["services"])),
        **{name: str(count) for name, count in counts.items()},
    }


def _loadbalancer_addresses(tenant: Tenant) -> int:
    ranges = (one for network in tenant.networks for one in network.loadbalancer)
    return sum(int(one.last) - int(one.first) + 1 for one in ranges)


def _limits(tenant: Tenant) -> dict[str, Any]:
    """For containers that do not say; memory is never requested below its limit, since nobody can give it back."""
    guaranteed = tenant.workers.qos == "Guaranteed"
    cpu = _default_cpu(tenant.quota, _GUARANTEED_CPU if guaranteed else _DEFAULT_CPU)
    memory = _default_memory(tenant.quota)
    limits: dict[str, Any] = {
        "type": "Container",
        "default": {**({"cpu": cpu} if guaranteed else {}), "memory": memory},
        "defaultRequest": {"cpu": cpu, "memory": memory},
    }
    # A ratio of 1 refuses what would not be Guaranteed (Kubernetes, "Pod Quality of Service Classes").
    return {**limits, "maxLimitRequestRatio": {"cpu": "1", "memory": "1"}} if guaranteed else limits


def _default_cpu(quota: Quota, millis: int) -> str:
    return format_cpu(max(1, min(millis, round(quota.cpu * 1000) // _SHARE)) / 1000)


def _default_memory(quota: Quota) -> str:
    share = quota.memory // _SHARE
    whole = share - share % 2**20 or share  # whole MiB, unless the quota is below 4 MiB
    return memory_quantity(min(_DEFAULT_MEMORY, whole))


def memory_quantity(amount: int) -> str:
    """Bytes in Kubernetes' canonical form, which the API server answers with: 2^31 -> "2Gi", 10^9 -> "1G".

    Any other would show as a difference in every plan.
    """
    if amount % 1024 == 0:
        return format_memory(amount)
    for suffix in ("", "k", "M", "G", "T", "P"):
        if amount % 1000:
            return f"{amount}{suffix}"
        amount //= 1000
    return f"{amount}E"
