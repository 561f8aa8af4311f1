"""Take a bed down: by what its state says, and by what can be found without it.

Each step looks at the machine and not at a list of what was made, so that it also clears what an `up` left that was
killed at any moment, and can itself be killed and run again. The slot is given back last.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.cluster.bed import cgroups, names, network, processes, slots
from tests.cluster.bed.locks import locked
from tests.cluster.bed.names import DATA, RUN, BedError, check_name, link_alias

Say = Callable[[str], None]
PATIENCE_S = 20
LOCK_PATIENCE_S = 30


def down(name: str, say: Say = print) -> None:
    """Leave nothing behind of the bed: no process, mount, namespace, device, route, control group or file.

    Raises:
        BedError: Something cannot be removed, or another process is raising this very bed.
    """
    check_name(name)
    with locked(name, LOCK_PATIENCE_S):
        there = exists(name)
        started = time.monotonic()
        clear(name)
    say(f"{name} is down ({time.monotonic() - started:.1f} s)" if there else f"there is no bed {name!r}: nothing to do")


def exists(name: str) -> bool:
    """Whether anything of the bed is on this machine."""
    return bool(
        (RUN / name).exists()
        or (DATA / name).exists()
        or slots.of(name)
        or _netns(name)
        or _links(name)
        or _victims(name)
        or cgroups.members(name)
    )


def clear(name: str) -> None:
    """What `down` does, for a caller that holds the bed's lock."""
    _end_processes(name)
    for device in _links(name):
        # a veth goes with its other end, a VLAN's or node's may be gone by now
        processes.run("", ["ip", "link", "delete", device], check=False)
    for netns in _netns(name):
        processes.run("", ["ip", "netns", "delete", netns])
    _drop_empty_netns_folder()
    cgroups.remove(name, PATIENCE_S)
    for folder in (RUN / name, DATA / name):
        _unmount_below(folder)
        if folder.exists():
            shutil.rmtree(folder)
    with suppress(OSError):  # other beds
        DATA.rmdir()
    if left := [*_links(name), *_netns(name)]:
        raise BedError(f"could not remove {', '.join(left)}")
    slots.give_back(name)


def _end_processes(name: str) -> None:
    """SIGKILL for everything, again and again until a look finds nothing: what is being forked right now is found next.

    A node's init takes all of its PID namespace along, so containers end, too, though their environment is their own.
    """
    deadline = time.monotonic() + PATIENCE_S
    while victims := _victims(name):
        for pid in victims:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if time.monotonic() > deadline:
            raise BedError(f"{len(victims)} processes do not end: {', '.join(map(str, sorted(victims)))}")
        time.sleep(0.02)


def _victims(name: str) -> set[int]:
    inodes = set()
    for netns in _netns(name):
        with suppress(OSError):
            inodes.add((network.NETNS / netns).stat().st_ino)
    found = set(processes.marked(name)) | cgroups.members(name) | _inside(inodes)
    return {pid for pid in found - processes.family() if processes.started(pid)}


def _inside(inodes: set[int]) -> set[int]:
    """The processes in these network namespaces, e.g. a shell that somebody opened in an instrument."""
    found = set()
    for entry in Path("/proc").iterdir() if inodes else ():
        if entry.name.isdigit():
            with suppress(OSError):
                if (entry / "ns" / "net").stat().st_ino in inodes:
                    found.add(int(entry.name))
    return found


def _netns(name: str) -> list[str]:
    """The bed's network namespaces: nodes and instruments are all called <bed>-<something>."""
    if not network.NETNS.is_dir():
        return []
    return sorted(path.name for path in network.NETNS.iterdir() if path.name.startswith(f"{name}-"))


def _links(name: str) -> list[str]:
    """The bed's devices on the host: by alias, and by its slot where a kill came before the alias was set."""
    own = slots.of(name)
    found = []
    for link in network.links():
        device, alias = link["ifname"], link.get("ifalias", "")
        slot = re.fullmatch(r"th(\d+)[a-z].*", device)
        if alias == link_alias(name) or (not alias and slot and int(slot[1]) in own):
            found.append(device)
    return found


def _unmount_below(folder: Path) -> None:
    """Unmount what is mounted at or below a folder on the host; a bed's own mounts end with its nodes."""
    for line in reversed(Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()):
        place = Path(line.split(" ")[4])
        if place == folder or folder in place.parents:
            processes.run("", ["umount", "--lazy", str(place)], check=False)


def _drop_empty_netns_folder() -> None:
    """The first `ip netns add` of a machine makes /run/netns a mount; it goes with the last namespace."""
    with locked("netns-"):
        if network.NETNS.is_dir() and not any(network.NETNS.iterdir()):
            _unmount_below(network.NETNS)
            with suppress(OSError):
                network.NETNS.rmdir()


def everything() -> list[str]:
    """The names of all beds of which something is on this machine, state or not."""
    found = set(slots.known())
    found |= {path.name for path in DATA.iterdir()} if DATA.is_dir() else set()
    found |= {
        link["ifalias"].split(":", 1)[1]
        for link in network.links()
        if link.get("ifalias", "").startswith(link_alias(""))
    }
    return sorted(name for name in found if names.NAME.fullmatch(name))
