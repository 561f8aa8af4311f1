"""The laboratories' networks: bridges that only some nodes join, and instruments, which know nothing of the cluster.

The kernel needs no 802.1q for it: a bridge is the VLAN, and a node's second veth into it bears the name that a VLAN
interface would have. The host itself is not on these networks: the bridges have no address of any kind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

from tests.cluster.bed import network, processes
from tests.cluster.bed.names import Bed, BedError, Vlan

Address = IPv4Address | IPv6Address | str


def start(bed: Bed) -> None:
    """Make each VLAN's bridge and join its nodes, whose network namespaces are there already.

    What is there stays as it is, so a second call does nothing.
    """
    there = {link["ifname"] for link in network.links()}
    for vlan in bed.vlans:
        if vlan.bridge not in there:
            _ip(bed, "", f"link add {vlan.bridge} type bridge mcast_snooping 0")
        _ip(
            bed,
            "",
            f"link set {vlan.bridge} alias {bed.alias}",
            f"link set {vlan.bridge} addrgenmode none",  # no link-local address: the host is no member
            f"link set {vlan.bridge} up",
        )
        for name in vlan.nodes:
            node = bed.node(name)
            if not any(link["ifname"] == vlan.interface for link in _links(bed, node.netns)):
                _join(bed, vlan, node.netns, f"{vlan.bridge}{name}", vlan.interface, *vlan.address(name))


@dataclass(frozen=True)
class Instrument:
    """A machine on a laboratory's network: a network namespace with one address of each family and no route further."""

    bed: Bed
    name: str
    vlan: Vlan
    ipv4: IPv4Address
    ipv6: IPv6Address

    @property
    def netns(self) -> str:
        return f"{self.bed.name}-{self.name}"

    def argv(self, argv: Sequence[str]) -> list[str]:
        """The command line that runs *argv* on it, for those who start it themselves."""
        return ["nsenter", f"--net={network.NETNS / self.netns}", "--", *argv]

    def run(self, argv: Sequence[str], *, given: str = "", timeout_s: float = 15) -> subprocess.CompletedProcess[str]:
        """Run a command on it to its end; a failure is the caller's to judge.

        Raises:
            BedError: It had not ended after *timeout_s*.
        """
        try:
            return subprocess.run(
                self.argv(argv),
                input=given,
                capture_output=True,
                text=True,
                env=processes.environment(self.bed.name),
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise BedError(f"`{' '.join(argv)}` on {self.name} had not ended after {timeout_s:.0f} s") from error

    def start(self, argv: Sequence[str]) -> subprocess.Popen[str]:
        """Start something lasting on it, e.g. a server; the caller ends it, and the bed's end does in any case."""
        return subprocess.Popen(
            self.argv(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=processes.environment(self.bed.name),
        )

    def look_for(self, address: Address) -> None:
        """Take an address for one of its own network, and so ask for it there, though it is from another range."""
        processes.run(self.bed.name, ["ip", "-netns", self.netns, "route", "replace", str(address), "dev", "eth0"])

    def neighbour(self, address: Address) -> str | None:
        """The hardware address that it has learnt for an address of its network: who answers for it there."""
        text = processes.run(self.bed.name, ["ip", "-netns", self.netns, "-json", "neigh", "show", "to", str(address)])
        return next((entry["lladdr"] for entry in json.loads(text or "[]") if "lladdr" in entry), None)

    def forget(self) -> None:
        """Forget all such, as after a while without traffic."""
        processes.run(self.bed.name, ["ip", "-netns", self.netns, "neigh", "flush", "all"])


@contextlib.contextmanager
def instrument(bed: Bed, vlan: str, name: str = "camera", number: int = 50) -> Iterator[Instrument]:
    """An instrument on the VLAN of that name, gone at the end of the `with`.

    Args:
        bed: A bed with nodes.
        vlan: `a` or `b`.
        name: 1 to 9 letters and digits, its own among the bed's instruments; no node's.
        number: The last part of its addresses, 20..199: 50 makes 192.0.2.50 and 2001:db8:120::50 on VLAN a.

    Raises:
        BedError: There is such an instrument already.
    """
    network_of = {each.name: each for each in bed.vlans}[vlan]
    ipv4, ipv6 = network_of.ipv4[number], network_of.ipv6[int(str(number), 16)]
    made = Instrument(bed, name, network_of, ipv4, ipv6)
    outer = f"{network_of.bridge}{number}"
    processes.run(bed.name, ["ip", "netns", "add", made.netns])
    try:
        _ip(bed, made.netns, "link set lo up")
        _join(bed, network_of, made.netns, outer, "eth0", ipv4, ipv6)
        _give_up_sooner(bed, made)
        yield made
    finally:
        # What still runs on it would keep it, with its veth, in being.
        for pid in processes.run(bed.name, ["ip", "netns", "pids", made.netns], check=False).split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        # The kernel clears a namespace away later; its veth has to be gone before the next instrument of this number.
        processes.run(bed.name, ["ip", "link", "delete", outer], check=False)
        processes.run(bed.name, ["ip", "netns", "delete", made.netns], check=False)


def _give_up_sooner(bed: Bed, made: Instrument) -> None:
    """After 1.5 s instead of 3 without an answer: what tests ask for and is not there, nobody has."""
    files = [f"/proc/sys/net/{family}/neigh/eth0/retrans_time_ms" for family in ("ipv4", "ipv6")]
    processes.run(bed.name, made.argv(["sh", "-ec", "\n".join(f"echo 500 >{file}" for file in files)]))


def hardware_address(bed: Bed, node: str, vlan: str) -> str:
    """The hardware address of a node's interface on a VLAN: what `Instrument.neighbour` gives while it announces."""
    interface = {each.name: each for each in bed.vlans}[vlan].interface
    return next(str(link["address"]) for link in _links(bed, bed.node(node).netns) if link["ifname"] == interface)


def _join(bed: Bed, vlan: Vlan, netns: str, outer: str, inner: str, ipv4: IPv4Address, ipv6: IPv6Address) -> None:
    """A veth pair from the VLAN's bridge into a network namespace. The names end up in 15 characters."""
    _ip(
        bed,
        "",
        f"link add {outer} type veth peer name {inner} netns {netns}",
        f"link set {outer} alias {bed.alias}",
        f"link set {outer} addrgenmode none",
        f"link set {outer} master {vlan.bridge} up",
    )
    _ip(
        bed,
        netns,
        f"link set {inner} up",
        f"addr add {ipv4}/{vlan.ipv4.prefixlen} dev {inner}",
        # nodad: an address is used at once, without the second or two of looking for another owner
        f"addr add {ipv6}/{vlan.ipv6.prefixlen} dev {inner} nodad",
    )


def _links(bed: Bed, netns: str) -> list[dict[str, object]]:
    return list(json.loads(processes.run(bed.name, ["ip", "-netns", netns, "-json", "link", "show"])))


def _ip(bed: Bed, netns: str, *lines: str) -> None:
    """Several `ip` commands as one process, in a network namespace or, with an empty name, on the host."""
    processes.run(bed.name, ["ip", *(["-netns", netns] if netns else []), "-batch", "-"], given="\n".join(lines) + "\n")
