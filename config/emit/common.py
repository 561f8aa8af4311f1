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


def collapsed(networks: Iterable[IPNetwork]) -> list[IPNetwork]:
    """The same addresses as the fewest networks, IPv4 first, each version in order."""
    every = list(networks)
    four = collapse_addresses(one for one in every if isinstance(one, IPv4Network))
    six = collapse_addresses(one for one in every if isinstance(one, IPv6Network))
    return [*four, *six]
