"""Do the ranges that site.yaml declares hold what is really in the cluster? A wall is as good as its list of them.

Seen are the addresses of nodes, of the Service `kubernetes` and of the DNS Pods: every cluster has them, and each is an
address of the CNI's own making, which a Node's podCIDRs need not be (Cilium's cluster-pool leaves them unused).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from config.emit.common import Manifest
from config.models.site import ClusterNetworks

Address = IPv4Address | IPv6Address
Stranger = tuple[str, str, Address]
"""Field of `cluster` in site.yaml, what has the address, and the address that lies in none of the field's ranges."""


def outside(declared: ClusterNetworks, seen: Iterable[Manifest]) -> tuple[Stranger, ...]:
    """The first stranger of each field and family. *seen*: Nodes, Services and Pods; others say nothing.

    A family that the declared Pods do not speak reaches nothing, so it is left out.
    """
    spoken = {one.version for one in declared.pods}
    found: dict[tuple[str, int], Stranger] = {}
    for manifest in seen:
        for field, address in _addresses(manifest):
            known = any(address in one for one in getattr(declared, field))
            if address.version in spoken and not known:
                who = f"{manifest['kind']} {manifest['metadata']['name']}"
                found.setdefault((field, address.version), (field, who, address))
    return tuple(found.values())


def _addresses(manifest: Manifest) -> Iterator[tuple[str, Address]]:
    spec: Mapping[str, Any] = manifest.get("spec") or {}
    status: Mapping[str, Any] = manifest.get("status") or {}
    if manifest["kind"] == "Node":
        every = [one["address"] for one in status.get("addresses") or () if one["type"] == "InternalIP"]
        yield from (("nodes", ip_address(one)) for one in every)
    elif manifest["kind"] == "Service":
        yield from (("services", ip_address(one)) for one in spec.get("clusterIPs") or () if one != "None")
    elif manifest["kind"] == "Pod" and not spec.get("hostNetwork"):
        yield from (("pods", ip_address(one["ip"])) for one in status.get("podIPs") or ())
