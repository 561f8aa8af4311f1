"""What this machine lacks for a test bed: asked before anything is made, one line for each."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from tests.cluster.bed.names import BedError
from tests.cluster.bed.processes import PATH

TOOLS = {"ip": "iproute2", "nsenter": "util-linux", "unshare": "util-linux", "mount": "mount"}
GO = Path("/usr/local/go/bin/go")
FREE_MEMORY_MIB, FREE_DISK_MIB = 3000, 4000

# Tried in namespaces of its own, which end with it.
_TRIAL = """
ip link add trial type bridge || exit 10
ip link add trial0 type veth peer name trial1 || exit 11
ip link set trial0 master trial || exit 10
mount -t tmpfs tmpfs /mnt || exit 12
mkdir /mnt/lower /mnt/upper /mnt/work /mnt/all || exit 12
mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/upper,workdir=/mnt/work /mnt/all || exit 13
[ -e /proc/sys/net/ipv6/conf/all/forwarding ] || exit 14
exit 0
"""
_TRIAL_REASONS = {
    10: "the kernel cannot make network bridges (bridge)",
    11: "the kernel cannot make virtual Ethernet pairs (veth)",
    12: "mounting is not allowed here (a container without CAP_SYS_ADMIN?)",
    13: "the kernel cannot make overlay mounts (overlay)",
    14: "IPv6 is switched off in the kernel",
}


def missing(built: bool | None = None) -> list[str]:
    """Why a bed cannot be raised here; empty where it can.

    Args:
        built: Whether all binaries are in the cache, so that no Go and no Debian is needed; None asks the cache.
    """
    if not sys.platform.startswith("linux"):
        return ["a test bed needs Linux"]
    if os.geteuid() != 0:
        return ["a test bed needs root (network namespaces, mounts)"]
    found = [
        f"{tool} is not installed (Debian: apt install {package})"
        for tool, package in TOOLS.items()
        if not shutil.which(tool, path=PATH)
    ]
    return found or [*_kernel(), *_settings_and_room(), *_to_build(not unbuilt() if built is None else built)]


def unbuilt(parts: Collection[str] | None = None) -> list[str]:
    """One line if some of these parts of the build cache (None: all of a bed's) are not there yet; else empty."""
    from tests.cluster.bed import binaries, cache

    wanted = binaries.BED if parts is None else parts
    try:
        lacking = [
            each.name for each in binaries.artefacts() if each.name in wanted and not cache.folder_of(each).exists()
        ]
    except (RuntimeError, OSError, BedError) as error:
        return [f"the build cache cannot be asked: {error}"]
    return [f"not built yet: {', '.join(lacking)} (make cluster-build; about 15 minutes)"] if lacking else []


def _kernel(run: Callable[[Sequence[str]], int] | None = None) -> list[str]:
    argv = ["unshare", "--net", "--mount", "--uts", "--pid", "--fork", "sh", "-c", _TRIAL]
    code = (run or _quietly)(argv)
    if code == 0:
        return [] if cgroups_there() else ["no control groups are mounted below /sys/fs/cgroup"]
    return [_TRIAL_REASONS.get(code, "this machine lets us make no namespaces (unshare failed)")]


def cgroups_there() -> bool:
    """Whether there is a hierarchy that kubelet can use."""
    from tests.cluster.bed.cgroups import hierarchies

    return any(each.version == 2 or "memory" in each.options for each in hierarchies())


def _quietly(argv: Sequence[str]) -> int:
    return subprocess.run(list(argv), capture_output=True, env={"PATH": PATH}, check=False).returncode


def _settings_and_room() -> list[str]:
    found = []
    switch = Path("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    if switch.exists() and switch.read_text(encoding="ascii").strip() != "0":
        found.append("IPv6 is switched off on this machine (net.ipv6.conf.all.disable_ipv6)")
    memory = Path("/proc/meminfo").read_text(encoding="ascii")
    free = int(next(line.split()[1] for line in memory.splitlines() if line.startswith("MemAvailable:"))) // 1024
    if free < FREE_MEMORY_MIB:
        found.append(f"{free} MiB of memory are free, a bed wants {FREE_MEMORY_MIB}")
    disk = shutil.disk_usage("/var/lib").free // 2**20
    if disk < FREE_DISK_MIB:
        found.append(f"{disk} MiB are free below /var/lib, a bed wants {FREE_DISK_MIB}")
    return found


def _to_build(built: bool) -> list[str]:
    if built:
        return []
    found = []
    if not shutil.which("go") and not GO.exists():
        found.append("Go is not on the PATH, and Kubernetes is not in the build cache yet (go.dev, 1.26 or newer)")
    try:
        debian = platform.freedesktop_os_release().get("ID") == "debian"
    except OSError:
        debian = False
    if not debian or not shutil.which("apt-get", path=PATH):
        found.append(
            "this is not Debian with apt, which etcd and containerd are fetched from; they are not in the cache yet"
        )
    return found
