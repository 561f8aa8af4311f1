"""egressgateway: a gateway and a policy for each network of a tenant that has egress addresses.

A Pod with the label egress-policy=<network> (Kyoto paper, table 2) leaves the cluster from the network's first egress
address of each family; without it, from its node as ever. Read in egressgateway's source, 0.6.0 and 0.6.9
(pkg/egressgateway/egress_gateway_webhook.go, pkg/controller/webhook/validate.go, pkg/utils/ip/ip.go):

- A policy's gateway and address never change (config.order: immutable). A gateway's pool may grow, but no address in
  use leaves it, and it gains no family. The address in use is the pool's default one, so that a change of the default
  tells that gateway and policy have to be made anew: policy deleted, gateway deleted, gateway made, policy made. The
  deletes are done when the controller has noted them, a moment later; until then the webhook refuses what comes next.
- Without a default address the webhook draws one by lot; with two, a policy may use them only together.
- Where a pool has both families they must be equal in number: the first addresses of each, as many as the shorter has.
- Every address of every pool is held in memory one by one, and all pools are gone through at each change: a /64 would
  end the controller. So a pool has at most POOL addresses of a family. One is used, hence nothing is lost.
- A CIDR loses its first and last address there (CidrToIPs), a range does not: ranges are written.
- Up to 0.6.6 policies that share a name across namespaces are mixed up; ours are cluster-scoped, and their names are
  unique (config.names.network_object).
- No destSubnet: all traffic that leaves the cluster, but for the CIDRs that EgressClusterInfo calls internal. With one,
  whatever a Pod sends elsewhere would leave from its node, with the node's address.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.emit.common import Manifest, metadata
from config.emit.places import gateway_labels
from config.models import Network, Site, Tenant, World
from config.models.addresses import AddressRange
from config.names import keys, network_object

POOL = 256
"""How many addresses of a family a gateway's pool has at most."""
_VERSION = "egressgateway.spidernet.io/v1beta1"


def emit(world: World) -> Iterator[Manifest]:
    """EgressGateway and EgressClusterPolicy of each network; nothing where the site has no egressgateway.

    A network without gateway nodes has none either: no node is in its VLAN to send from.
    """
    if not world.site.addons.egressgateway:
        return
    for tenant in world.tenants.values():
        for network in _with_egress(tenant):
            site, pools = world.site, _pools(network)
            yield _object(site, tenant, network, "EgressGateway", _gateway(site, tenant, network, pools))
            yield _object(site, tenant, network, "EgressClusterPolicy", _policy(site, tenant, network, pools))


def _with_egress(tenant: Tenant) -> list[Network]:
    return [network for network in tenant.networks if network.egress and network.gateway_nodes]


def _object(site: Site, tenant: Tenant, network: Network, kind: str, spec: dict[str, Any]) -> Manifest:
    name = network_object(tenant, network.name)
    return {"apiVersion": _VERSION, "kind": kind, "metadata": metadata(site, name, tenant=tenant), "spec": spec}


def _gateway(site: Site, tenant: Tenant, network: Network, pools: dict[int, list[AddressRange]]) -> dict[str, Any]:
    ippools: dict[str, Any] = {}
    for version, ranges in pools.items():
        ippools[f"ipv{version}"] = [str(one) for one in ranges]
        ippools[f"ipv{version}DefaultEIP"] = str(ranges[0].first)
    return {
        "clusterDefault": False,  # the default gateway is for policies that name none: everybody's
        "ippools": ippools,
        "nodeSelector": {"selector": {"matchLabels": _nodes(site, tenant, network)}},
    }


def _policy(site: Site, tenant: Tenant, network: Network, pools: dict[int, list[AddressRange]]) -> dict[str, Any]:
    names = keys(site)
    return {
        "egressGatewayName": network_object(tenant, network.name),
        # Whole, with the CRD's defaults, so that wanted and live can be compared with ==.
        "egressIP": {
            "allocatorPolicy": "default",
            "useNodeIP": False,
            **{f"ipv{version}": str(ranges[0].first) for version, ranges in pools.items()},
        },
        "appliedTo": {
            "podSelector": {"matchLabels": {names.egress_policy: network.name}},
            "namespaceSelector": {"matchLabels": {names.tenant: tenant.name}},
        },
    }


def _pools(network: Network) -> dict[int, list[AddressRange]]:
    """The gateway's ranges by IP version: as many addresses of each family, at most POOL."""
    found = {
        version: [one for one in network.egress if one.first.version == version]
        for version in (4, 6)
        if any(one.first.version == version for one in network.egress)
    }
    count = min(POOL, *(sum(map(_size, ranges)) for ranges in found.values()))
    return {version: _first(ranges, count) for version, ranges in found.items()}


def _size(one: AddressRange) -> int:
    return int(one.last) - int(one.first) + 1


def _first(ranges: list[AddressRange], count: int) -> list[AddressRange]:
    """The first *count* addresses of *ranges*, which do not overlap (config.check: addresses_overlap)."""
    taken: list[AddressRange] = []
    for one in ranges:
        if count <= 0:
            break
        last = min(int(one.last), int(one.first) + count - 1)
        taken.append(AddressRange(one.first, type(one.first)(last)))
        count -= _size(one)
    return taken


def _nodes(site: Site, tenant: Tenant, network: Network) -> dict[str, str]:
    return gateway_labels(tenant, network, [other for other in tenant.networks if other.egress], keys(site).eg)
