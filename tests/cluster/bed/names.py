"""What a test bed is called and where it lives: everything global on the machine follows from its name and its slot.

Beds run side by side because each has a slot of its own, 0..15: bridges, networks and addresses are computed from it,
so that `down` can find them again with the slot number alone. Nothing here does I/O.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

SLOTS = range(16)
RUN = Path("/run/tenanthub-bed")
"""Running state: what a reboot may take away."""
DATA = Path("/var/lib/tenanthub-bed")
"""The nodes' bulk (images, snapshots): /run is a small tmpfs on an ordinary Debian."""
MARK = "TENANTHUB_BED"
"""Environment variable that every process of a bed carries, with the bed's name as its value."""
NAME = re.compile(r"[a-z0-9]{1,8}")
NODES = 3
API_PORT = 6443
REGISTRY_PORT = 5000


class BedError(Exception):
    """Why a bed could not be raised or used, in one line for the person who asked for it."""


@dataclass(frozen=True)
class Node:
    """One node: a network namespace with a kubelet, a containerd and a kube-proxy."""

    name: str
    """Its name in Kubernetes, the same in every bed, so that a tenant's file in the tests can name it."""
    netns: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    pods: tuple[IPv4Network, IPv6Network]


@dataclass(frozen=True)
class Vlan:
    """A laboratory's network: a bridge without an address on the host, which only some nodes join.

    Its addresses are the documentation ranges of RFC 5737 and RFC 3849, the same in every bed: beds cannot see each
    other's bridges, and a tenant's file in the tests can name them.
    """

    name: str
    bridge: str
    interface: str
    """What a node calls its way in, e.g. vlan120."""
    ipv4: IPv4Network
    ipv6: IPv6Network
    nodes: tuple[str, ...]
    """Names of the nodes that join it."""

    def address(self, node: str) -> tuple[IPv4Address, IPv6Address]:
        """The addresses of a node of the bed on this network: .11 for n1, and so on."""
        last = str(10 + int(node.removeprefix("n")))
        return self.ipv4[int(last)], self.ipv6[int(last, 16)]  # 192.0.2.11 and 2001:db8:120::11


@dataclass(frozen=True)
class Bed:
    """A test bed, whether it runs or not; `tests.cluster.bed.find` gives those that run."""

    name: str
    slot: int
    state: Path
    kubeconfig: Path
    nodes: tuple[Node, ...]
    vlans: tuple[Vlan, ...]
    registry: str | None
    """host:port of the OCI registry (plain HTTP), as nodes and the host reach it."""
    crds: str = "current"
    """Which add-ons' resource definitions it was raised with: current, paper or none."""

    @property
    def data(self) -> Path:
        return DATA / self.name

    @property
    def bridge(self) -> str:
        """The machine-room network: the host, the control plane and every node."""
        return f"th{self.slot}br"

    @property
    def room(self) -> tuple[IPv4Network, IPv6Network]:
        return IPv4Network(f"10.{99 + self.slot}.0.0/24"), IPv6Network(f"fd00:{99 + self.slot}::/64")

    @property
    def host(self) -> tuple[IPv4Address, IPv6Address]:
        """The host's addresses in the machine room; the control plane listens on the first."""
        return self.room[0][1], self.room[1][1]

    @property
    def pods(self) -> tuple[IPv4Network, IPv6Network]:
        return pod_networks(self.slot)

    @property
    def services(self) -> tuple[IPv4Network, IPv6Network]:
        return IPv4Network(f"10.{176 + self.slot}.0.0/16"), IPv6Network(f"fd00:{176 + self.slot}::/112")

    @property
    def dns(self) -> IPv4Address:
        """Address of the cluster's DNS Service, which kubelets write into each pod's resolv.conf."""
        return self.services[0][10]

    @property
    def loopback(self) -> IPv4Address:
        """Where parts listen that only the host may reach (etcd, health ports): out of reach of nodes and pods."""
        return IPv4Address(f"127.{99 + self.slot}.0.1")

    @property
    def api(self) -> str:
        return f"https://{self.host[0]}:{API_PORT}"

    @property
    def cgroup(self) -> str:
        """Name of its folder at the top of each cgroup hierarchy."""
        return cgroup_folder(self.name)

    @property
    def alias(self) -> str:
        """What its network devices carry as alias, so that they are known without any state."""
        return link_alias(self.name)

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    def node(self, name: str) -> Node:
        """The node of that name; KeyError where there is none."""
        return {node.name: node for node in self.nodes}[name]

    def node_state(self, name: str) -> Path:
        """Folder with what a node reads: its settings and its own credentials, nothing of the control plane's."""
        return self.state / "nodes" / name


def check_name(name: str) -> str:
    """The name, if a bed can have it: it becomes part of the names of network devices, which hold 15 characters.

    Raises:
        BedError: It is not 1 to 8 characters of a-z and 0-9.
    """
    if not NAME.fullmatch(name):
        raise BedError(f"a bed's name has 1 to 8 characters of a-z and 0-9, not {name!r}")
    return name


def pod_networks(slot: int) -> tuple[IPv4Network, IPv6Network]:
    """The networks of all pods of a slot's bed."""
    return IPv4Network(f"10.{144 + slot}.0.0/16"), IPv6Network(f"fd00:{144 + slot}::/56")


def cgroup_folder(name: str) -> str:
    """Name of a bed's folder in each cgroup hierarchy."""
    return f"tenanthub-{name}"


def link_alias(name: str) -> str:
    """The alias of a bed's network devices."""
    return f"tenanthub-bed:{name}"


def bridges(slot: int) -> tuple[str, str, str]:
    """The bridges of a slot: machine room, VLAN a, VLAN b."""
    return f"th{slot}br", f"th{slot}va", f"th{slot}vb"


def node_of(name: str, slot: int, number: int) -> Node:
    """Node *number* (1..3) of a bed."""
    ipv4, ipv6 = pod_networks(slot)
    return Node(
        name=f"n{number}",
        netns=f"{name}-n{number}",
        ipv4=IPv4Address(f"10.{99 + slot}.0.{10 + number}"),
        ipv6=IPv6Address(f"fd00:{99 + slot}::{10 + number}"),
        pods=(list(ipv4.subnets(new_prefix=24))[number], list(ipv6.subnets(new_prefix=64))[number]),
    )


def vlans_of(slot: int) -> tuple[Vlan, Vlan]:
    """The two laboratories' networks of a bed with nodes."""
    _, bridge_a, bridge_b = bridges(slot)
    return (
        Vlan("a", bridge_a, "vlan120", IPv4Network("192.0.2.0/24"), IPv6Network("2001:db8:120::/64"), ("n1", "n2")),
        Vlan("b", bridge_b, "vlan130", IPv4Network("198.51.100.0/24"), IPv6Network("2001:db8:130::/64"), ("n2", "n3")),
    )


def bed_of(name: str, slot: int, nodes: int = NODES, crds: str = "current") -> Bed:
    """The bed of that name in that slot; *nodes* is 0 (a control plane alone) or 3."""
    state = RUN / check_name(name)
    return Bed(
        name=name,
        slot=slot,
        state=state,
        kubeconfig=state / "kubeconfig.yaml",
        nodes=tuple(node_of(name, slot, number) for number in range(1, nodes + 1)),
        vlans=vlans_of(slot) if nodes else (),
        registry=f"10.{99 + slot}.0.1:{REGISTRY_PORT}" if nodes else None,
        crds=crds,
    )
