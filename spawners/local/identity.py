"""Which process is which: by number and start, so that a reused number is never taken for the old process.

On Linux straight from /proc, without psutil: psutil counts create_time() from the boot time, which the kernel moves
when the wall clock is set (btime in /proc/stat), so one process would look like another after an NTP step; and psutil
costs 6 MB in each keeper.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_LINUX = sys.platform.startswith("linux")
_CREATED_TOLERANCE_S = 2.0


@dataclass(frozen=True)
class ProcessRef:
    """A process that cannot be mistaken for a later one with the same number."""

    pid: int
    created: float
    """Start time as psutil tells it, seconds since the epoch."""
    mark: str | None = None
    """Linux: boot id and start in clock ticks since that boot, which no change of the wall clock moves."""


@dataclass(frozen=True)
class Seen:
    """What the process table says of a number now."""

    ref: ProcessRef
    zombie: bool
    parent: int


def same(one: ProcessRef, other: ProcessRef) -> bool:
    """Whether both mean one process."""
    if one.pid != other.pid:
        return False
    if one.mark and other.mark:
        return one.mark == other.mark
    return abs(one.created - other.created) < _CREATED_TOLERANCE_S


def look(pid: int) -> Seen | None:
    """The process with this number, zombies included; None where there is none."""
    return _look_proc(pid) if _LINUX else _look_psutil(pid)


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def _boot_time() -> float:
    for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
        if line.startswith("btime "):
            return float(line.split()[1])
    return 0.0


def _look_proc(pid: int) -> Seen | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # proc_pid_stat(5): the name (field 2) is in brackets and may hold any character, so count from the last bracket:
    # state is field 3, start time in clock ticks since boot is field 22.
    fields = text[text.rindex(")") + 2 :].split()
    ticks = int(fields[19])
    created = round(_boot_time() + ticks / os.sysconf("SC_CLK_TCK"), 2)
    return Seen(ProcessRef(pid, created, f"{_boot()}:{ticks}"), zombie=fields[0] in "ZX", parent=int(fields[1]))


def _look_psutil(pid: int) -> Seen | None:
    import psutil

    try:
        process = psutil.Process(pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return Seen(ProcessRef(pid, process.create_time()), zombie=zombie, parent=process.ppid())
    except psutil.NoSuchProcess:
        return None


def _pids() -> Iterator[int]:
    if _LINUX:
        yield from (int(name) for name in os.listdir("/proc") if name.isdigit())  # noqa: PTH208
        return
    import psutil

    yield from psutil.pids()


def members(leader: ProcessRef) -> list[ProcessRef]:
    """The living processes of the session and group that *leader* leads or led, the leader first.

    A session keeps its number as long as one member lives, so members that outlived their leader are still found; but
    where the number belongs to another process by now, or the machine was started again since, there is none of ours.
    """
    seen = look(leader.pid)
    if seen is not None and not same(leader, seen.ref):
        return []
    if leader.mark and _LINUX and not leader.mark.startswith(f"{_boot()}:"):
        return []
    found = [seen.ref] if seen is not None and not seen.zombie else []
    for pid in _pids():
        try:
            belongs = pid != leader.pid and leader.pid in (os.getsid(pid), os.getpgid(pid))
        except (ProcessLookupError, PermissionError):
            continue
        if belongs and (other := look(pid)) is not None and not other.zombie:
            found.append(other.ref)
    return found


def with_environment(name: str, value: str) -> list[ProcessRef]:
    """Living session leaders of ours that were started with *name*=*value* in their environment.

    Without those whose parent has it, too: what they started themselves is theirs to end.
    """
    found = [
        seen for pid in _pids() if (seen := look(pid)) and not seen.zombie and _leads(pid) and _has(pid, name, value)
    ]
    return [seen.ref for seen in found if not _has(seen.parent, name, value)]


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except OSError:
        return False


def _has(pid: int, name: str, value: str) -> bool:
    """Whether the process has it in its environment; False where we may not look."""
    if _LINUX:
        try:
            return f"{name}={value}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
    import psutil

    try:
        return bool(psutil.Process(pid).environ().get(name) == value)
    except (psutil.Error, OSError):
        return False
