"""MetalLB in layer 2: a pool and an advertisement for each network of a tenant that has LoadBalancer addresses.

Read in MetalLB's source, 0.14.9 and 0.16.1 alike (internal/allocator/allocator.go, internal/config/config.go):

- `serviceAllocation.namespaces` and the namespaces that match any of `namespaceSelectors` are united. Where the union
  is empty any namespace may ask for the pool by name or address (isPoolCompatibleWithService), so the tenant's
  namespace is written out: a name counts before the namespace exists and after its label is gone.
- A Service that asks for nothing gets an address from the pools of its namespace, those with the lowest `priority`
  first, 0 last. The tenant's networks are numbered as declared, so the first one is the default here too. What is full
  or has not the Service's families is passed over, and at last come the site's pools without serviceAllocation.
- All addresses of a Service come from one pool (poolFor), so one pool has both families.
- `addresses` knows no single address, only first-last and CIDR (ParseCIDR). Two pools that overlap make MetalLB refuse
  its whole configuration, everybody's: a pool that gives addresses away has to change before the one that gets them.
- An L2Advertisement without ipAddressPools announces all pools; one without nodeSelectors does it from all nodes, one
  without interfaces on all of them (setL2AdvertisementsToPools, l2AdvertisementFromCR).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.emit.common import Manifest, metadata
from config.emit.places import gateway_labels
from config.models import Network, Site, Tenant, World
from config.models.addresses import AddressRange
from config.names import keys, namespace, network_object

_VERSION = "metallb.io/v1beta1"


def emit(world: World) -> Iterator[Manifest]:
    """IPAddressPool and L2Advertisement of each network; nothing where the site has no MetalLB."""
    if not world.site.addons.metallb:
        return
    for tenant in world.tenants.values():
        for priority, network in enumerate(_with_addresses(tenant), start=1):
            yield _object(world.site, tenant, network, "IPAddressPool", _pool(world.site, tenant, network, priority))
            yield _object(world.site, tenant, network, "L2Advertisement", _advertisement(world.site, tenant, network))


def _with_addresses(tenant: Tenant) -> list[Network]:
    return [network for network in tenant.networks if network.loadbalancer]


def _object(site: Site, tenant: Tenant, network: Network, kind: str, spec: dict[str, Any]) -> Manifest:
    name = network_object(tenant, network.name)
    place = site.cluster.metallb_namespace  # MetalLB reads its objects nowhere else
    return {
        "apiVersion": _VERSION,
        "kind": kind,
        "metadata": metadata(site, name, tenant=tenant, namespace=place),
        "spec": spec,
    }


def _pool(site: Site, tenant: Tenant, network: Network, priority: int) -> dict[str, Any]:
    # Defaults are written out too, so that a hand edit of one of them shows as drift.
    return {
        "addresses": [addresses(one) for one in network.loadbalancer],
        "autoAssign": True,
        # True would drop addresses that end in .0 and .255 although they are declared and, in a /23, right.
        "avoidBuggyIPs": False,
        "serviceAllocation": {
            "priority": priority,
            "namespaces": [namespace(tenant)],
            "namespaceSelectors": [{"matchLabels": {keys(site).tenant: tenant.name}}],
        },
    }


def addresses(one: AddressRange) -> str:
    """*one* as a pool takes it: first-last, and a single address as a CIDR."""
    return f"{one.first}/{one.first.max_prefixlen}" if one.first == one.last else f"{one.first}-{one.last}"


def _advertisement(site: Site, tenant: Tenant, network: Network) -> dict[str, Any]:
    return {
        "ipAddressPools": [network_object(tenant, network.name)],
        **({"nodeSelectors": [{"matchLabels": _nodes(site, tenant, network)}]} if network.gateway_nodes else {}),
        **({"interfaces": [network.interface]} if network.interface else {}),
    }


def _nodes(site: Site, tenant: Tenant, network: Network) -> dict[str, str]:
    return gateway_labels(tenant, network, _with_addresses(tenant), keys(site).lb)
