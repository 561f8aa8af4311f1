"""Is somebody's work still running under a shell? The question that an idle rule has to ask before it stops a server."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePath

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


def jobs_below(pid: int) -> list[str]:
    """The names of the programs that run below the shell *pid*, in the foreground or not; empty where there are none.

    Shells that wait for a person are not programs, nor is a stopped or dead process. A program that waits for its user
    (an editor, a Python prompt) does count: nobody can tell its silence from a computation's.
    """
    names = []
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []  # the shell has ended meanwhile
    for child in children:
        try:
            if child.status() not in _NOT_RUNNING and not is_waiting_shell(child.cmdline()):
                names.append(child.name())
        except psutil.Error:
            continue
    return names


def waiting_shells(root: int) -> Iterable[int]:
    """The process ids of the interactive shells below *root*, each with its own terminal."""
    try:
        children = psutil.Process(root).children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        try:
            if child.terminal() is not None and is_waiting_shell(child.cmdline()):
                yield child.pid
        except psutil.Error:
            continue
