"""Whose an address is: one sorted list of every declared range, asked by bisection (500 tenants, 10,000 Services)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from config.models import Network, Tenant, World
from config.models.addresses import AddressRange, IPAddress

JSON_LARGEST = 2**53 - 1
"""The largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""


@dataclass(frozen=True)
class Place:
    """The tenant and network that an address was declared in."""

    tenant: str
    network: str


class Ranges:
    """The LoadBalancer ranges of all tenants. They do not overlap: `tenanthub check` refuses that."""

    def __init__(self, world: World) -> None:
        rows = sorted(
            (
                (addresses.first.version, int(addresses.first), int(addresses.last), Place(tenant.name, network.name))
                for tenant in world.tenants.values()
                for network in tenant.networks
                for addresses in network.loadbalancer
            ),
            key=lambda row: row[:3],
        )
        self._starts = [row[:2] for row in rows]
        self._rows = rows

    def of(self, address: str) -> Place | None:
        """Where *address* was declared; None for one that is nobody's, or that is no IP address."""
        parsed = parse(address)
        if parsed is None:
            return None
        at = bisect_right(self._starts, (parsed.version, int(parsed))) - 1
        if at < 0:
            return None
        version, _, last, place = self._rows[at]
        return place if version == parsed.version and int(parsed) <= last else None


def parse(address: str) -> IPAddress | None:
    """The address, or None for a text that is none."""
    try:
        return ip_address(address)
    except ValueError:
        return None


def size(ranges: Iterable[AddressRange]) -> int:
    """How many addresses lie in *ranges*."""
    return sum(int(item.last) - int(item.first) + 1 for item in ranges)


def within(address: str, ranges: Iterable[AddressRange]) -> bool:
    """Whether *address* lies in one of *ranges*."""
    parsed = parse(address)
    return parsed is not None and any(parsed in item for item in ranges)


def networks(tenant: Tenant) -> Iterable[Network]:
    """Networks with addresses of either sort."""
    return (network for network in tenant.networks if network.loadbalancer or network.egress)
