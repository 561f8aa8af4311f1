"""Processes of this machine: started so that they outlive us, known again later, stopped with all that they started.

No import of the hub, of pydantic or of psutil (on Linux): the keeper, one per unattended workload, lives on this.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from spawners.local.identity import ProcessRef, look, members, same

__all__ = [
    "ProcessRef",
    "ProcessStartError",
    "ProgramMissingError",
    "alive",
    "end_fd",
    "ended",
    "exit_code",
    "reference",
    "start",
    "stop",
    "stop_now",
]

_own: dict[ProcessRef, subprocess.Popen[bytes]] = {}
"""What this process started. A Popen waits for its own pid alone, so asyncio's children keep their exit codes."""
_OWN_MOST = 1000
_KILL_WAIT_S = 5.0
_POLL_S = 0.05


class ProcessStartError(Exception):
    """A process could not be started; the text is one line for people."""


class ProgramMissingError(ProcessStartError):
    """The program is not there, or may not be run."""


def start(argv: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path, new_session: bool = True) -> ProcessRef:
    """Start *argv* detached: it survives the kill -9 of this process. *env* is its whole environment.

    Own session (unless told otherwise), stdin from /dev/null, stdout and stderr appended to *log* (made 0600).
    No descriptor of ours is passed on. Raises ProgramMissingError or ProcessStartError.
    """
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ProcessStartError(f"cannot write the log {log}: {error.strerror}") from error
    try:
        process = subprocess.Popen(
            list(argv),
            env=dict(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=new_session,
            close_fds=True,
        )
    except (FileNotFoundError, NotADirectoryError, PermissionError) as error:
        if not cwd.is_dir():
            raise ProcessStartError(f"the folder {cwd} is not there") from error
        raise ProgramMissingError(f"cannot run {argv[0]}: {error.strerror}") from error
    except (OSError, ValueError) as error:
        raise ProcessStartError(f"cannot run {argv[0]}: {getattr(error, 'strerror', None) or error}") from error
    finally:
        os.close(output)
    # Not yet waited for, so even a child that has ended already is still in the process table.
    ref = reference(process.pid) or ProcessRef(process.pid, time.time())
    _own[ref] = process
    _forget_old()
    return ref


def _forget_old() -> None:
    """Keep the table of own children small: a hub lives for months."""
    if len(_own) > _OWN_MOST:
        for ref in [ref for ref, process in _own.items() if process.poll() is not None][: _OWN_MOST // 2]:
            del _own[ref]


def reference(pid: int) -> ProcessRef | None:
    """The process that has the number *pid* now; None where there is none."""
    seen = look(pid)
    return seen.ref if seen else None


def alive(ref: ProcessRef) -> bool:
    """Whether this very process runs: number and start time agree, and it is no zombie. Reaps our own child."""
    own = _own.get(ref)
    if own is not None:
        return own.poll() is None
    seen = look(ref.pid)
    return seen is not None and not seen.zombie and same(ref, seen.ref)


def exit_code(ref: ProcessRef) -> int | None:
    """Exit code of a process that we started and that has ended (-N: by signal N); None in all other cases."""
    own = _own.get(ref)
    return own.poll() if own is not None else None


def end_fd(ref: ProcessRef) -> int | None:
    """A descriptor that becomes readable when the process ends; None where it has ended, or the system has none.

    The caller closes it.
    """
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        descriptor: int = os.pidfd_open(ref.pid)
    except OSError:
        return None
    # From here the descriptor pins the process; so a check now cannot be about a later one with the same number.
    if alive(ref):
        return descriptor
    os.close(descriptor)
    return None


async def ended(ref: ProcessRef, timeout_s: float | None) -> bool:
    """Wait until the process has ended, at most *timeout_s* seconds (None: for ever). Whether it has."""
    import asyncio  # 9 MB that the keeper, which has no event loop, does without

    descriptor = end_fd(ref)
    if descriptor is None:
        return await _poll_ended(ref, timeout_s)
    loop = asyncio.get_running_loop()
    event = asyncio.Event()
    loop.add_reader(descriptor, event.set)
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return not alive(ref)


async def _poll_ended(ref: ProcessRef, timeout_s: float | None) -> bool:
    import asyncio

    deadline = None if timeout_s is None else time.monotonic() + timeout_s
    while alive(ref):
        if deadline is not None and time.monotonic() >= deadline:
            return False
        await asyncio.sleep(_POLL_S)  # the system gives nothing to wait on
    return True


def _ended_now(ref: ProcessRef, timeout_s: float) -> bool:
    """The same, blocking."""
    descriptor = end_fd(ref)
    if descriptor is not None:
        try:
            select.select([descriptor], [], [], timeout_s)
        finally:
            os.close(descriptor)
        return not alive(ref)
    deadline = time.monotonic() + timeout_s
    while alive(ref) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    return not alive(ref)


async def stop(ref: ProcessRef, grace_s: float) -> None:
    """End the process and everything in its session: SIGTERM, up to *grace_s* seconds, then SIGKILL. Idempotent.

    What moved to a session of its own (a daemon, a Jupyter kernel) is its parent's to end. PermissionError where the
    process belongs to somebody else.
    """
    for waited, timeout_s in _stopping(ref, grace_s):
        await ended(waited, timeout_s)


def stop_now(ref: ProcessRef, grace_s: float = 0.0) -> None:
    """`stop` for callers without an event loop: blocks. Without a grace the process is killed at once."""
    for waited, timeout_s in _stopping(ref, grace_s):
        _ended_now(waited, timeout_s)


def _stopping(ref: ProcessRef, grace_s: float) -> Iterator[tuple[ProcessRef, float]]:
    """The steps of a stop; each yields a process and how long (seconds) to wait for its end."""
    if grace_s > 0:
        _send(ref, _living(ref), signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        # The leader often ends before its children have flushed; the grace is for all of them.
        while (left := _living(ref)) and (rest := deadline - time.monotonic()) > 0:
            yield left[0], rest
    deadline = time.monotonic() + _KILL_WAIT_S
    while (left := _living(ref)) and time.monotonic() < deadline:
        # Again and again, as something may fork while we kill. One in uninterruptible sleep (dead NFS) is given up.
        _send(ref, left, signal.SIGKILL)
        yield left[0], 0.5


def _living(ref: ProcessRef) -> list[ProcessRef]:
    alive(ref)  # reaps our own child, else it would stay a zombie for as long as we live
    return members(ref)


def _send(ref: ProcessRef, processes: list[ProcessRef], number: signal.Signals) -> None:
    """Signal a group at once where *ref* leads one (nobody can fork out of it in between), and the rest one by one."""
    if not processes:
        return
    grouped = _signal_group(ref.pid, number)
    for process in processes:
        if not (grouped and _group(process.pid) == ref.pid):
            _signal_one(process, number)


def _group(pid: int) -> int | None:
    try:
        return os.getpgid(pid)
    except ProcessLookupError:
        return None


def _signal_group(group: int, number: signal.Signals) -> bool:
    if group in (0, 1, os.getpgrp()):
        return False
    try:
        os.killpg(group, number)
        if number == signal.SIGTERM:
            os.killpg(group, signal.SIGCONT)  # a stopped process would never see the SIGTERM
    except ProcessLookupError:
        return False
    return True


def _signal_one(process: ProcessRef, number: signal.Signals) -> None:
    """Through a pidfd where there are some, so that a reused number is never hit."""
    descriptor = end_fd(process)
    try:
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
        elif alive(process):
            os.kill(process.pid, number)
    except ProcessLookupError:
        pass
    finally:
        if descriptor is not None:
            os.close(descriptor)
