"""Which LoadBalancer address a workload gets: the first free one of its network, of each family that it has. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from ipaddress import ip_address

from config.models import Network, Tenant
from config.models.addresses import IPAddress
from spawners.refusal import Refusal

_FAMILIES = (4, 6)


def allot(tenant: Tenant, network: Network | None, taken: Collection[str], kept: Iterable[str] = ()) -> tuple[str, ...]:
    """Addresses for a new Service, IPv4 first: one of each family that *network* has LoadBalancer addresses of.

    *taken* are all that the tenant's other Services have or ask for, stopped ones included: an instrument is told an
    address once. *kept* are those that this workload had before; it gets them again as long as they are the network's.
    Refusal (reason place) where there are none, or none is left. Two hubs that ask at once may choose the same: MetalLB
    gives an address to one Service alone (no allow-shared-ip), and the other one is told.
    """
    if network is None or not network.loadbalancer:
        what = f"its network {network.name} has no LoadBalancer addresses" if network else "it has no networks"
        raise Refusal.of("place", f"{tenant.name} has no address for it: {what}")
    used = {ip_address(one) for one in taken}
    before = {ip_address(one) for one in kept} - used
    found = (_first(tenant, network, version, used, before) for version in _FAMILIES)
    return tuple(str(one) for one in found if one is not None)


def _first(
    tenant: Tenant, network: Network, version: int, used: set[IPAddress], before: set[IPAddress]
) -> IPAddress | None:
    """None where the network has no addresses of the family."""
    ranges = [one for one in network.loadbalancer if one.first.version == version]
    if not ranges:
        return None
    for one in sorted(before, key=int):
        if any(one in addresses for addresses in ranges):
            return one
    # Lazily: an IPv6 range can be huge, and as many as are taken are looked at at most.
    for addresses in ranges:
        for address in addresses.each():
            if address not in used:
                return address
    count = sum(int(one.last) - int(one.first) + 1 for one in ranges)
    every = f"the only IPv{version} address" if count == 1 else f"all {count} IPv{version} addresses"
    raise Refusal.of("place", f"{every} of network {network.name} of {tenant.name} are in use: remove a workload")
