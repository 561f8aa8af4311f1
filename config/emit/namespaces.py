"""One Namespace a tenant: its label, Pod Security, where its Pods run, and what its members may ask for.

A quota cannot be summed over several namespaces, hence one. Members never have rights over Namespace objects, so what
stands here is the hub's word alone: walls, pools and admission rules read the tenant from the label and what it has
from the annotations. An annotation that is absent means none.

Where Pods run is decided by two admission plugins, which the API server has to be started with
(`--enable-admission-plugins=PodNodeSelector,PodTolerationRestriction`); without them the two annotations below say
nothing. Source: Kubernetes, "Admission Control in Kubernetes", sections PodNodeSelector and PodTolerationRestriction.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import collapse_addresses, summarize_address_range

from config.emit.common import NODE_SELECTOR, Manifest, metadata
from config.emit.places import worker_labels, worker_tolerations
from config.models import Site, Tenant, World
from config.names import CAPSULE_TENANT, Keys, keys, namespace

DEFAULT_TOLERATIONS = "scheduler.alpha.kubernetes.io/defaultTolerations"
"""What every Pod tolerates, as a JSON list (PodTolerationRestriction)."""

POD_SECURITY = {
    f"pod-security.kubernetes.io/{what}{suffix}": value
    for what in ("enforce", "audit", "warn")
    for suffix, value in (("", "restricted"), ("-version", "latest"))
}
"""Pod Security Standard `restricted` (Kyoto paper, 3.3.2). `latest`: an upgrade of the cluster tightens it too."""


def emit(world: World) -> Iterator[Manifest]:
    """A Namespace a tenant."""
    for tenant in world.tenants.values():
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": _metadata(world.site, tenant)}


def _metadata(site: Site, tenant: Tenant) -> Manifest:
    # With Capsule the label makes the namespace count as the Tenant's, as if Capsule had made it (FACTS: Capsule).
    capsule = {CAPSULE_TENANT: tenant.name} if site.addons.capsule else {}
    found = metadata(site, namespace(tenant), tenant=tenant, labels={**capsule, **POD_SECURITY})
    annotations = _annotations(tenant, keys(site))
    return {**found, **({"annotations": annotations} if annotations else {})}


def _annotations(tenant: Tenant, names: Keys) -> dict[str, str]:
    every = {
        NODE_SELECTOR: node_selector(tenant, names),
        DEFAULT_TOLERATIONS: tolerations(tenant, names),
        names.egress_networks: " ".join(network.name for network in tenant.networks if network.egress),
        names.loadbalancer_addresses: " ".join(loadbalancer_cidrs(tenant)),
    }
    return {name: value for name, value in every.items() if value}


def node_selector(tenant: Tenant, names: Keys) -> str:
    """The labels of the tenant's workers as PodNodeSelector reads them, "a=b,c=d"; "" where any node will do.

    Sorted as Capsule sorts them, by the whole text: lab-floor=3 before lab=physics. Otherwise the two never agree.
    """
    return ",".join(sorted(f"{name}={value}" for name, value in worker_labels(tenant, names).items()))


def tolerations(tenant: Tenant, names: Keys) -> str:
    """The toleration of the taint on the tenant's own workers as JSON; "" where there is none."""
    found = worker_tolerations(tenant, names)
    return json.dumps(found, separators=(",", ":")) if found else ""


def loadbalancer_cidrs(tenant: Tenant) -> list[str]:
    """All LoadBalancer addresses of the tenant as the fewest CIDRs, IPv4 first."""
    found: list[str] = []
    for version in (4, 6):
        ranges = [one for network in tenant.networks for one in network.loadbalancer if one.first.version == version]
        cidrs = [cidr for one in ranges for cidr in summarize_address_range(one.first, one.last)]
        if len(ranges) > 1:  # those of one range are the fewest already
            cidrs = list(collapse_addresses(cidrs))  # type: ignore[type-var]  # all of one version
        found += map(str, cidrs)
    return found
