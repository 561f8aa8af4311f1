"""The machine room: one bridge on the host, and a network namespace for each node, joined by a veth pair.

Every device carries the bed's alias, so that `down` finds it without any state. The host keeps its own settings: it
forwards and translates nothing, and its only new routes are those over the bed's bridge, which go with the bridge.
"""

from __future__ import annotations

import json
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from tests.cluster.bed import processes
from tests.cluster.bed.locks import locked
from tests.cluster.bed.names import Bed, Node

NETNS = Path("/run/netns")


def raise_room(bed: Bed) -> None:
    """The bridge with the host's addresses; it takes the bed's pod networks as routes once nodes are there."""
    _ip(bed, "", f"link add {bed.bridge} type bridge mcast_snooping 0", f"link set {bed.bridge} alias {bed.alias}")
    ipv4, ipv6 = bed.host
    _ip(
        bed,
        "",
        f"addr add {ipv4}/24 dev {bed.bridge}",
        f"link set {bed.bridge} up",
        # nodad: an address is used at once, without the second or two of looking for another owner
        f"addr add {ipv6}/64 dev {bed.bridge} nodad",
    )


def raise_node(bed: Bed, node: Node) -> None:
    """A node's network namespace, on the bridge, and every route to its pods and the others'."""
    outer, inner = f"th{bed.slot}{node.name}", "eth0"
    with locked("netns-"):  # `down` of another bed may be about to remove an empty /run/netns
        processes.run(bed.name, ["ip", "netns", "add", node.netns])
    _ip(
        bed,
        "",
        f"link add {outer} type veth peer name {inner} netns {node.netns}",
        f"link set {outer} alias {bed.alias}",
        f"link set {outer} master {bed.bridge} up",
    )
    processes.run(bed.name, ["nsenter", f"--net={NETNS / node.netns}", "sh", "-ec", _SETTINGS])
    ipv4, ipv6 = bed.host
    routes = [
        f"route add {network} via {gateway} dev {inner}"
        for other in bed.nodes
        if other != node
        for network, gateway in zip(other.pods, (other.ipv4, other.ipv6), strict=True)
    ]
    _ip(
        bed,
        node.netns,
        "link set lo up",
        f"link set {inner} up",
        f"addr add {node.ipv4}/24 dev {inner}",
        f"addr add {node.ipv6}/64 dev {inner} nodad",
        f"route add default via {ipv4}",
        f"route add default via {ipv6} dev {inner}",
        *routes,
    )
    _ip(
        bed,
        "",
        f"route add {node.pods[0]} via {node.ipv4} dev {bed.bridge}",
        f"route add {node.pods[1]} via {node.ipv6} dev {bed.bridge}",
    )


# A node forwards for its pods. conntrack's loose mode and the bridge hooks are what kube-proxy expects of a node.
_SETTINGS = """
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
echo 0 > /proc/sys/net/ipv6/conf/default/accept_dad
"""


def links(kind: str = "") -> list[dict[str, Any]]:
    """The network devices of the host as `ip -json link` tells them (ifname, ifalias)."""
    text = processes.run("-", ["ip", "-json", "link", "show", *(["type", kind] if kind else [])])
    # a filtered list has an empty object for each device that was left out
    return [link for link in json.loads(text or "[]") if link.get("ifname")]


def foreign_networks() -> list[IPv4Network | IPv6Network]:
    """The networks that the host has routes to: a slot whose own overlap with one of them is not for us."""
    found = []
    for family in ("-4", "-6"):
        for route in json.loads(processes.run("-", ["ip", "-json", family, "route", "show", "table", "all"]) or "[]"):
            # `local` and the like are addresses of networks that have a route of their own
            if route.get("dst", "default") != "default" and route.get("type", "unicast") == "unicast":
                found.append(ip_network(route["dst"], strict=False))
    return found


def overlaps(bed: Bed, networks: list[IPv4Network | IPv6Network]) -> bool:
    """Whether a network of the bed's slot is in use already."""
    own = (*bed.room, *bed.pods, *bed.services)
    return any(mine.version == theirs.version and mine.overlaps(theirs) for mine in own for theirs in networks)


def _ip(bed: Bed, netns: str, *lines: str) -> None:
    """Several `ip` commands as one process, in a network namespace or, with an empty name, on the host."""
    processes.run(bed.name, ["ip", *(["-netns", netns] if netns else []), "-batch", "-"], given="\n".join(lines) + "\n")
