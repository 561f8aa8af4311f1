"""What every emitter uses: the shape of a manifest and its metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_network
from typing import Any

from config.models import Site, Tenant, World
from config.names import keys

Manifest = dict[str, Any]
"""One Kubernetes object as JSON; nobody changes one after it was yielded."""
IPNetwork = IPv4Network | IPv6Network
Emitter = Callable[[World], Iterable[Manifest]]

HUB_ACCOUNT, PORTAL_ACCOUNT = "hub", "portal"
"""ServiceAccounts in the hub's namespace, made by the chart."""
NODE_SELECTOR = "scheduler.alpha.kubernetes.io/node-selector"
"""Annotation of a namespace: what every Pod's nodeSelector gets (PodNodeSelector); another value is refused."""
CLOUD_METADATA = tuple(
    map(
        ip_network,
        (
            "169.254.0.0/16",  # link-local: the metadata address of AWS, GCP, Azure and OpenStack is 169.254.169.254
            "fd00:ec2::254/128",  # AWS, "Instance metadata", IPv6 endpoint
            "fd20:ce::254/128",  # GCP, "About VM metadata", IPv6 endpoint
        ),
    )
)
"""Never reached from a tenant's Pod: what answers there hands out the node's credentials."""
API_SERVER_KINDS = ("coder",)
"""Kinds of workload that make Pods of their own (each by a Role in its tenant's namespace), and so need the API server.
All others do without it: the walls are closed to it."""
API_SERVER_PORTS = (443, 6443)
"""What the Service `kubernetes` listens on, and what kubeadm, k3s and RKE2 have behind it; not the node ports, nor the
kubelets, which are at the same addresses."""


def metadata(
    site: Site,
    name: str,
    *,
    tenant: Tenant | None = None,
    namespace: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """`metadata` of an object; one that belongs to a tenant carries the tenant's label."""
    every = {**({keys(site).tenant: tenant.name} if tenant else {}), **(labels or {})}
    return {
        "name": name,
        **({"namespace": namespace} if namespace else {}),
        **({"labels": every} if every else {}),
        **({"annotations": dict(annotations)} if annotations else {}),
    }


def needs_api_server(world: World, tenant: Tenant) -> tuple[str, ...]:
    """The kinds of API_SERVER_KINDS that *tenant* has a profile of, in order; empty: its walls stay closed to it."""
    profiles = (world.profiles[name] for name in tenant.profiles if name in world.profiles)
    had = {profile.kind for profile in profiles}
    return tuple(kind for kind in API_SERVER_KINDS if kind in had)


def collapsed(networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    """The same addresses as the fewest networks, IPv4 first, each version in order."""
    every = list(networks)
    four = collapse_addresses(one for one in every if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in every if isinstance(one, IPv6Network))
    return [*four, *six]
