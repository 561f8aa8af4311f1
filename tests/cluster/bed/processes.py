"""The bed's processes: started apart from whoever raises the bed, known by name, and found again without any state.

Each one carries TENANTHUB_BED=<bed> in its environment, leads a session of its own, writes to logs/<name>.log, and is
recorded in pids/<name> by number and start, so that a number used again is never taken for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.cluster.bed.names import MARK, Bed, BedError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
POLL_S = 0.05

_given_up: set[str] = set()
_children: dict[int, subprocess.Popen[bytes]] = {}
"""Those this very process started: it has to collect them when they end, else they stay as zombies."""


def environment(bed: str, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """What a process of the bed gets: nothing of the caller's, so that no proxy setting or token slips in."""
    return {"PATH": PATH, "HOME": "/nonexistent", MARK: bed, **(more or {})}


def give_up(bed: str, whether: bool = True) -> None:
    """From now on (or no longer) refuse to run, start and wait for anything of that bed in this very process.

    An `up` that fails has threads at work on other parts; they end at their next step, before clearing begins.
    """
    (_given_up.add if whether else _given_up.discard)(bed)


def _refuse_given_up(bed: str) -> None:
    if bed in _given_up:
        raise BedError(f"{bed} has been given up")


def run(bed: str, argv: Sequence[str], *, given: str | None = None, check: bool = True, timeout_s: float = 60) -> str:
    """Run a short command of the bed and give back its output.

    Args:
        bed: The bed's name; the command carries it, so that `down` also ends one whose starter was killed.
        argv: The command; no shell is used.
        given: Text for its standard input.
        check: Raise when it fails.
        timeout_s: After this many seconds it is killed.

    Raises:
        BedError: It failed; with its first line of complaint.
    """
    _refuse_given_up(bed)
    try:
        done = subprocess.run(
            list(argv), input=given or "", capture_output=True, text=True, env=environment(bed), timeout=timeout_s
        )
    except FileNotFoundError as error:
        raise BedError(f"{argv[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise BedError(f"`{' '.join(argv)}` had not ended after {timeout_s:.0f} s") from error
    if check and done.returncode:
        complaint = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise BedError(f"`{' '.join(argv)}` failed: {complaint[0]}")
    return done.stdout


def start(
    bed: Bed,
    name: str,
    argv: Sequence[str],
    netns: str | None = None,
    env: Mapping[str, str] | None = None,
    *,
    inside: int | None = None,
) -> int:
    """Start a lasting process, or leave it alone if it runs.

    Args:
        bed: Whose process it is.
        name: What it is called in logs/ and pids/, e.g. `etcd` or `n1-kubelet`.
        argv: The program and its arguments.
        netns: The network namespace to start it in, by name.
        env: More environment than `environment` gives.
        inside: Process number of a node's init: start it in that node's mount, UTS, PID and network namespaces.

    Returns:
        Its process number as the host sees it (with *inside*: of the nsenter that waits for it).
    """
    _refuse_given_up(bed.name)
    if (old := pid_of(bed, name)) is not None:
        return old
    if inside is not None:
        argv = ["nsenter", f"--target={inside}", "--mount", "--uts", "--pid", "--net", "--", *argv]
    elif netns is not None:
        # Not `ip netns exec`: that mounts a fresh /sys, which hides the cgroups.
        argv = ["nsenter", f"--net=/run/netns/{netns}", "--", *argv]
    for folder in (bed.logs, bed.state / "pids"):
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(bed.logs / f"{name}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        child = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
            env=environment(bed.name, env),
            start_new_session=True,
            # whatever the caller's: pods run as other users, and enter folders that these processes make
            umask=0o022,
        )
    except FileNotFoundError as error:
        raise BedError(f"cannot start {name}: {error.filename} is not there") from error
    finally:
        os.close(descriptor)
    _children[child.pid] = child
    # A kill -9 before the next line leaves a process without a record: down finds it by its environment.
    record = bed.state / "pids" / f"{name}.new"
    record.write_text(identity(child.pid), encoding="ascii")
    record.rename(bed.state / "pids" / name)
    return child.pid


def pid_of(bed: Bed, name: str) -> int | None:
    """Process number of a running process of the bed; None when it does not run."""
    try:
        text = (bed.state / "pids" / name).read_text(encoding="ascii").strip()
        number = int(text.split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return number if text == identity(number) else None


def identity(pid: int) -> str:
    """Number and start of a process: what no later process with the same number has. No start: it has ended."""
    return f"{pid} {started(pid)}"


def names(bed: Bed) -> list[str]:
    """The names of all processes that were started for the bed and not stopped since, running or not."""
    folder = bed.state / "pids"
    return sorted(path.name for path in folder.iterdir() if not path.suffix) if folder.is_dir() else []


def stop(bed: Bed, name: str, *, hard: bool = False, patience_s: float = 10) -> None:
    """End one process (not what outlives it by design, as containers outlive containerd).

    Args:
        bed: Whose process it is.
        name: The name that `start` was given.
        hard: SIGKILL at once, and its record stays: a crash, after which the bed ails. `start` starts it anew.
        patience_s: After SIGTERM and this many seconds, SIGKILL.
    """
    if (pid := pid_of(bed, name)) is not None:
        # An nsenter into a PID namespace waits for the program, its child, and passes no signal on.
        targets = [*children(pid), pid] if _is_nsenter(pid) else [pid]
        for target in targets[:1]:
            _signal(target, signal.SIGKILL if hard else signal.SIGTERM)
        deadline = time.monotonic() + patience_s
        while any(map(started, targets)):
            if time.monotonic() > deadline:
                for target in targets:
                    _signal(target, signal.SIGKILL)
            time.sleep(POLL_S)
    if not hard:
        (bed.state / "pids" / name).unlink(missing_ok=True)


def tail(bed: Bed, name: str, lines: int = 20) -> list[str]:
    """The last lines that a process wrote."""
    try:
        with (bed.logs / f"{name}.log").open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 400 * lines))
            return file.read().decode(errors="replace").splitlines()[-lines:]
    except OSError:
        return []


def wait(
    bed: Bed, what: str, probe: Callable[[], object], *, watch: Sequence[str] = (), patience_s: float = 60
) -> None:
    """Poll until *probe* gives something true.

    Args:
        bed: Whose processes are watched.
        what: What is waited for, for the message.
        probe: Asked about twenty times a second; an OSError or a BedError counts as "not yet".
        watch: Processes that it depends on: when one of them ends, there is nothing to wait for any more.
        patience_s: How long at most.

    Raises:
        BedError: The time is over, or one of *watch* has ended; with the last lines of their logs.
    """
    deadline = time.monotonic() + patience_s
    last = ""
    while True:
        _refuse_given_up(bed.name)
        try:
            if probe():
                return
        except (OSError, BedError) as error:
            last = f" ({error})"
        for name in watch:
            if pid_of(bed, name) is None:
                end = " | ".join(tail(bed, name, 3)) or "it wrote nothing"
                raise BedError(
                    f"{name} has ended while {what} was waited for: {end} (all of it: {bed.logs}/{name}.log)"
                )
        if time.monotonic() > deadline:
            ends = "; ".join(f"{name}: {(tail(bed, name, 1) or ['nothing'])[0]}" for name in watch)
            raise BedError(f"{what} did not come within {patience_s:.0f} s{last}; {ends} (logs: {bed.logs})")
        time.sleep(POLL_S)


def marked(bed: str) -> Iterator[int]:
    """Process numbers of everything that runs and carries the bed's name in its environment."""
    wanted = f"{MARK}={bed}".encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                yield int(entry.name)
        except OSError:  # it has ended meanwhile
            continue


def family() -> set[int]:
    """This process and those it descends from: what a bed never ends, whatever environment it has."""
    found, pid = set(), os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        fields = _stat(pid)
        pid = int(fields[1]) if fields else 0
    return found


def children(pid: int) -> list[int]:
    """The processes that *pid* started and that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))) and int(fields[1]) == pid:
            found.append(int(entry.name))
    return sorted(found)


def started(pid: int) -> str:
    """When a process started, as the kernel counts it (clock ticks since boot); empty for one that has ended."""
    if (child := _children.get(pid)) is not None and child.poll() is not None:
        del _children[pid]
        return ""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _stat(pid: int) -> list[str]:
    """proc_pid_stat(5) from field 3 (state) on: 0 is the state, 1 the parent, 19 the start."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text[text.rindex(")") + 2 :].split()  # the name in brackets may itself hold brackets


def _is_nsenter(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8").strip() == "nsenter"
    except OSError:
        return False


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
