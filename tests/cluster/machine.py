"""What a bed could leave on the machine: looked at before and after, apart from what other beds have there."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.cluster.bed import cgroups, network, slots
from tests.cluster.bed.binaries import CONTROL_PLANE, ensure
from tests.cluster.bed.names import DATA, MARK, RUN, cgroup_folder, link_alias

# Where the parts of a cluster write unless told otherwise.
USUAL = [
    *("/etc/cni", "/etc/containerd", "/etc/kubernetes", "/opt/cni", "/opt/containerd", "/run/containerd", "/run/netns"),
    *("/usr/libexec/kubernetes", "/var/lib/cni", "/var/lib/containerd", "/var/lib/etcd", "/var/lib/kubelet"),
    *("/var/log/containers", "/var/log/pods", "/var/run/kubernetes", "/run/xtables.lock"),
]
SETTINGS = [
    *("vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops", "kernel/hostname"),
    *("kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes", "net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"),
    *("net/netfilter/nf_conntrack_max", "net/bridge/bridge-nf-call-iptables"),
]
_OWN_NAMESPACES = ("net", "pid")  # not mnt: services of the host come and go with mounts of their own


def traces(ours: str) -> set[str]:
    """Everything that beds leave traces in, as one line each; without what belongs to other beds than *ours*."""
    others = {name for name in slots.known() if name != ours}
    found = {
        *(f"network namespace {name}" for name in _netns()),
        *_links(others),
        *_routes(others),
        *(f"mount {line}" for line in _mounts()),
        *_processes(others),
        *(f"cgroup {folder}" for folder in _cgroups()),
        *(f"packet filter: {line}" for line in _packet_filter()),
        *(f"file {path}" for path in _files()),
        *(f"setting {name} = {_setting(name)}" for name in SETTINGS),
    }
    return {line for line in found if not any(_is_of(line, other) for other in others)}


def _is_of(line: str, bed: str) -> bool:
    """Whether a line names another bed: its folder, control group or network namespaces."""
    return re.search(rf"(/|tenanthub-| ){bed}(-n\d|-[a-z]|/|$)", line) is not None


def _netns() -> list[str]:
    return [path.name for path in network.NETNS.iterdir()] if network.NETNS.is_dir() else []


def _links(others: Iterable[str]) -> Iterator[str]:
    aliases = {link_alias(name) for name in others}
    for link in network.links():
        if link.get("ifalias") not in aliases and not _device_of(link["ifname"], others):
            yield f"device {link['ifname']}"


def _device_of(device: str, others: Iterable[str]) -> bool:
    slot = re.fullmatch(r"th(\d+)[a-z].*", device)
    return slot is not None and slots.owner(int(slot[1])) in set(others)


def _routes(others: Iterable[str]) -> Iterator[str]:
    for family in ("-4", "-6"):
        text = subprocess.run(
            ["ip", "-json", family, "route", "show", "table", "all"], capture_output=True, text=True, check=True
        ).stdout
        for route in json.loads(text or "[]"):
            if not _device_of(route.get("dev", ""), others):
                yield f"route {route['dst']} dev {route.get('dev')}"


def _mounts() -> list[str]:
    return [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()]


def _processes(others: Iterable[str]) -> Iterator[str]:
    """Marked processes, and namespaces in use that are not the host's: so containers count, which carry no mark."""
    marks = {f"{MARK}={name}".encode() for name in others}
    foreign: set[str] = set()
    seen: dict[str, str] = {}
    for entry in (path for path in Path("/proc").iterdir() if path.name.isdigit()):
        try:
            environ = set((entry / "environ").read_bytes().split(b"\0"))
            spaces = {str((entry / "ns" / kind).readlink()) for kind in _OWN_NAMESPACES}
            groups = (entry / "cgroup").read_text(encoding="utf-8")
            what = (entry / "comm").read_text(encoding="utf-8").strip()
        except OSError:
            continue
        if marks & environ or any(f"/{cgroup_folder(name)}/" in groups for name in others):
            foreign |= spaces
            continue
        if mark := next((item for item in environ if item.startswith(f"{MARK}=".encode())), None):
            yield f"process {what} with {mark.decode()}"
        seen |= dict.fromkeys(spaces, what)
    host = {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in _OWN_NAMESPACES}
    yield from (f"namespace {space} of {what}" for space, what in seen.items() if space not in foreign | host)


def _cgroups() -> Iterator[Path]:
    for hierarchy in cgroups.hierarchies():
        yield from hierarchy.place.glob(cgroup_folder("*"))


def _packet_filter() -> list[str]:
    path = ensure(lambda _: None, CONTROL_PLANE).path
    done = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=True, env={"PATH": path})
    return done.stdout.splitlines()


def _files() -> Iterator[Path]:
    for folder in (RUN, DATA):
        yield from (path for path in folder.glob("*") if not path.name.startswith((".", "slot-")))
    yield from (path for place in USUAL if (path := Path(place)).exists())
    yield from (RUN / f"slot-{slot}" / name for slot in range(16) if (name := slots.owner(slot)) is not None)


def _setting(name: str) -> str:
    try:
        return (Path("/proc/sys") / name).read_text(encoding="utf-8").strip()
    except OSError:
        return "not there"
