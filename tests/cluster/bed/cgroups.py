"""The folders of a bed's nodes in the control group hierarchies, version 1 (one hierarchy a controller) and version 2.

kubelet gets /tenanthub-<bed>/<node> as its cgroupRoot, so that all pods of a bed lie below one folder of its own.
"""

from __future__ import annotations

import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bed.names import Bed, BedError, cgroup_folder


@dataclass(frozen=True)
class Hierarchy:
    """A mounted hierarchy."""

    place: Path
    version: int
    options: frozenset[str]
    """Of a version 1 hierarchy: its controllers, among other mount options."""


def hierarchies(mountinfo: str | None = None) -> list[Hierarchy]:
    """All of this machine, from proc_pid_mountinfo(5)."""
    text = Path("/proc/self/mountinfo").read_text(encoding="utf-8") if mountinfo is None else mountinfo
    found = {}
    for line in text.splitlines():
        before, after = line.split(" - ", 1)
        kind, _, options = after.split(" ", 2)
        place = before.split(" ")[4]
        if kind in ("cgroup", "cgroup2"):
            version = 1 if kind == "cgroup" else 2
            found[place] = Hierarchy(Path(place), version, frozenset(options.split(",")))
    return list(found.values())


def make(bed: Bed) -> None:
    """Make each node's folder in every hierarchy."""
    for hierarchy in hierarchies():
        top = hierarchy.place / bed.cgroup
        for folder in (top, *(top / node.name for node in bed.nodes)):
            folder.mkdir(exist_ok=True)
            if hierarchy.version == 2:
                _pass_on(folder.parent)
            elif "cpuset" in hierarchy.options:
                # A new cpuset is empty, and no process can join an empty one.
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (folder / file).write_text((folder.parent / file).read_text())


def _pass_on(folder: Path) -> None:
    """Version 2: let the folders below have every controller that this one has."""
    for controller in (folder / "cgroup.controllers").read_text().split():
        with suppress(OSError):  # some cannot be passed on (e.g. cpu with real-time processes about)
            (folder / "cgroup.subtree_control").write_text(f"+{controller}")


def members(name: str) -> set[int]:
    """Process numbers of everything in the bed's folders."""
    found: set[int] = set()
    for folder in _folders(name):
        for parent, _, files in os.walk(folder):
            if "cgroup.procs" in files:
                with suppress(OSError):
                    found.update(map(int, (Path(parent) / "cgroup.procs").read_text().split()))
    return found


def remove(name: str, patience_s: float = 10) -> None:
    """Remove the bed's folders; the kernel needs a moment after the last process has ended.

    Raises:
        BedError: One is still in use after *patience_s*.
    """
    deadline = time.monotonic() + patience_s
    for top in _folders(name):
        while top.exists():
            for folder in sorted((Path(parent) for parent, _, _ in os.walk(top)), reverse=True):
                with suppress(OSError):
                    folder.rmdir()
            if top.exists():
                if time.monotonic() > deadline:
                    raise BedError(f"the control group folder {top} is still in use")
                time.sleep(0.05)


def _folders(name: str) -> list[Path]:
    return [folder for hierarchy in hierarchies() if (folder := hierarchy.place / cgroup_folder(name)).is_dir()]
