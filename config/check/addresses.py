"""LoadBalancer and egress addresses: in their subnets, usable, and nobody else's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address

from config.check.common import networks, of_tenant
from config.errors import Problem
from config.models import Network, World
from config.models.addresses import AddressRange, IPAddress
from config.sources import Sources
from config.yamltext import Path

HUB_ADDRESSES = tuple(map(ip_address, ("127.0.0.1", "::1")))
"""Where the embedded hub, its proxy and its object store listen."""


@dataclass(frozen=True)
class Claim:
    """Addresses that a network of a tenant takes for itself."""

    tenant: str
    path: Path
    network: Network
    range: AddressRange

    def problem(self, sources: Sources, message: str, fix: str) -> Problem:
        """A problem at the line that claims."""
        return sources.problem("tenants", self.tenant, self.path, f"{self.range} {message}", fix)


def claims(world: World) -> Iterator[Claim]:
    """Every range of addresses that a tenant declares as its own."""
    for tenant, index, network in networks(world):
        for field in ("loadbalancer", "egress"):
            for number, addresses in enumerate(getattr(network, field)):
                yield Claim(tenant.name, ("networks", index, field, number), network, addresses)


def addresses_overlap(world: World, sources: Sources) -> Iterator[Problem]:
    """No address is claimed twice, by whomever. One sweep over the sorted ranges: n log n for any number of tenants."""
    widest: Claim | None = None
    for claim in sorted(claims(world), key=_by_address):
        if widest is not None and claim.range.overlaps(widest.range):
            # Told at the one that stands later in the files, so that a new tenant hears it and not an old one.
            first, second = sorted((widest, claim), key=_in_files)
            where = sources.place("tenants", first.tenant, first.path)
            said = f"overlaps {first.range} of {of_tenant(second.tenant, first.tenant)} ({where})"
            yield second.problem(sources, said, "leave each address to one of the two")
        if widest is None or _by_end(claim) > _by_end(widest):
            widest = claim


def addresses_outside_subnets(world: World, sources: Sources) -> Iterator[Problem]:
    """Every range lies in one subnet of its network."""
    for claim in claims(world):
        if _subnet(claim) is None:
            subnets = ", ".join(map(str, claim.network.subnets))
            fix = f"write addresses in {subnets}, or add their subnet"
            yield claim.problem(sources, f"lies outside the subnets of the network ({subnets})", fix)


def subnet_ends_used(world: World, sources: Sources) -> Iterator[Problem]:
    """No range takes the network's own address, IPv4's broadcast, or IPv6's subnet-router anycast (RFC 4291, 2.6.1)."""
    for claim in claims(world):
        subnet = _subnet(claim)
        if subnet is None or subnet.prefixlen >= subnet.max_prefixlen - 1:
            continue  # outside is told elsewhere; /31, /32, /127 and /128 have no such ends (RFC 3021, RFC 6164)
        ends = {subnet.network_address: "network" if subnet.version == 4 else "anycast"}
        if subnet.version == 4:
            ends[subnet.broadcast_address] = "broadcast"
        for address, what in ends.items():
            if address in claim.range:
                usable = f"{subnet.network_address + 1}-{subnet.broadcast_address - (subnet.version == 4)}"
                said = f"takes {address}, the {what} address of {subnet}"
                yield claim.problem(sources, said, f"write addresses from {usable}")


def address_is_special(world: World, sources: Sources) -> Iterator[Problem]:
    """Multicast, link-local and the like reach nobody; loopback serves on one machine without a VLAN only."""
    for claim in claims(world):
        if said := _special(claim, world):
            yield claim.problem(sources, *said)


def addresses_in_cluster(world: World, sources: Sources) -> Iterator[Problem]:
    """What Pods, Services and nodes have is nobody's."""
    taken = [
        (field, index, network, AddressRange(network.network_address, network.broadcast_address))
        for field in ("pods", "services", "nodes")
        for index, network in enumerate(getattr(world.site.cluster, field))
    ]
    for claim in claims(world) if taken else ():
        for field, index, network, addresses in taken:
            if claim.range.overlaps(addresses):
                where = sources.place("site", "", ("cluster", field, index))
                said = f"lies in {network}, which the cluster has for its {field} ({where})"
                yield claim.problem(sources, said, "write addresses of the laboratory's own network")


def _special(claim: Claim, world: World) -> tuple[str, str] | None:
    first, last = claim.range.first, claim.range.last
    for address in (first, last):
        for kind in ("multicast", "link_local", "unspecified"):
            if getattr(address, f"is_{kind}"):
                return f"holds {kind.replace('_', '-')} addresses", "write unicast addresses that the laboratory routes"
    if not (first.is_loopback or last.is_loopback):
        return None
    if claim.network.vlan is not None:
        fix = "remove vlan (one machine), or write addresses of the VLAN"
        return f"is loopback, which no VLAN carries (vlan: {claim.network.vlan})", fix
    if world.site.cluster.pods or any(world.site.addons.model_dump().values()):
        fix = "write addresses that reach the cluster from outside"
        return "is loopback, but site.yaml declares a cluster, which nobody reaches that way", fix
    for address in HUB_ADDRESSES:
        if address in claim.range:
            fix = "write others, e.g. 127.20.0.2-127.20.0.20"
            return f"holds {address}, where the hub itself listens", fix
    return None


def _subnet(claim: Claim) -> IPv4Network | IPv6Network | None:
    for subnet in claim.network.subnets:
        if claim.range.first in subnet and claim.range.last in subnet:
            return subnet
    return None


def _by_address(claim: Claim) -> tuple[int, int, str, str]:
    return claim.range.first.version, int(claim.range.first), claim.tenant, str(claim.path)


def _in_files(claim: Claim) -> tuple[str, int, bool, str]:
    _, index, field, number = claim.path
    return claim.tenant, int(index), field == "egress", f"{number:>6}"


def _by_end(claim: Claim) -> tuple[int, int]:
    last: IPAddress = claim.range.last
    return last.version, int(last)
