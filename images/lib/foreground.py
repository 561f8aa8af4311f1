"""Is somebody's work still running on a terminal? An idle rule has to ask before it stops a server."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path, PurePath

import psutil

SHELLS = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "tcsh", "csh", "ash"})
# What does not run: a job stopped with Ctrl-Z, and a dead process that nobody has collected yet.
_NOT_RUNNING = frozenset({psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD, psutil.STATUS_TRACING_STOP})


def is_waiting_shell(argv: list[str]) -> bool:
    """Whether *argv* is that of an interactive shell (no script, no -c): by itself it only waits for a person. Pure."""
    if not argv or PurePath(argv[0]).name.lstrip("-") not in SHELLS:
        return False
    rest = argv[1:]
    while rest and rest[0] in ("--init-file", "--rcfile"):  # VS Code starts its shells with one
        rest = rest[2:]
    # Only options are left, and none of them is a command: "-c", or "c" among short ones ("-lc").
    return all(word.startswith("-") and ("c" not in word or word.startswith("--")) for word in rest)


def _running(process: psutil.Process) -> bool:
    return process.status() not in _NOT_RUNNING and not is_waiting_shell(process.cmdline())


def jobs_below(pid: int) -> list[str]:
    """The names of the programs that run below the shell *pid*, in the foreground or not; empty where there are none.

    Shells that wait for a person are not programs, nor is a stopped or dead process. A program that waits for its user
    (an editor, a Python prompt) does count: nobody can tell its silence from a computation's.
    """
    return _names(pid, on_terminal=False)


def jobs_on_terminals(root: int) -> list[str]:
    """The names of the programs below *root* that have a terminal. For an editor whose own processes have none (it was
    started in a session of its own) these are what its users run in its terminals and as its tasks."""
    return _names(root, on_terminal=True)


def _names(root: int, *, on_terminal: bool) -> list[str]:
    names = []
    try:
        children = psutil.Process(root).children(recursive=True)
    except psutil.Error:
        return []  # it has ended meanwhile
    for child in children:
        try:
            if (not on_terminal or _terminal(child) is not None) and _running(child):
                names.append(child.name())
        except psutil.Error:
            continue
    return names


def last_typed(root: int) -> float:
    """When something was last typed into a terminal of the processes below *root*: seconds since the epoch, 0 if never.

    The kernel notes a terminal's last input as its device's access time (to 8 s), as `w` shows it.
    """
    newest = 0.0
    try:
        children = psutil.Process(root).children(recursive=True)
    except psutil.Error:
        return newest
    for child in children:
        with contextlib.suppress(OSError, psutil.Error):
            terminal = _terminal(child)
            if terminal is None:
                continue
            newest = max(newest, Path(str(terminal)).stat().st_atime)
    return newest


def pts(tty_nr: int) -> str | None:
    """The device of a controlling terminal, as /proc/PID/stat numbers it (man proc, field 7), if a pseudo one. Pure."""
    major, minor = tty_nr >> 8 & 0xFFF, tty_nr & 0xFF | tty_nr >> 12 & 0xFFF00
    return f"/dev/pts/{(major - 136) * 256 + minor}" if 136 <= major <= 143 else None


def _terminal(process: psutil.Process) -> str | None:
    # Not psutil's terminal() on Linux: it remembers the terminals of its first call, and knows no later one.
    if sys.platform != "linux":
        return process.terminal()
    try:
        stat = Path(f"/proc/{process.pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return pts(int(stat.rpartition(")")[2].split()[4]))
