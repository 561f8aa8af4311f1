"""Locks between processes of this machine, held by an open file: one that is killed lets go of its own."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.cluster.bed.names import RUN, BedError


@contextmanager
def locked(what: str, patience_s: float = 30) -> Iterator[None]:
    """Hold a lock of this machine by name.

    Raises:
        BedError: Another process has held it for all of *patience_s*.
    """
    path = RUN / f".{what}.lock"
    deadline = time.monotonic() + patience_s
    while True:
        RUN.mkdir(parents=True, exist_ok=True, mode=0o755)
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:  # the last one to leave has just removed the folder
            continue
        with suppress(BlockingIOError, FileNotFoundError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # A lock on a file that its last holder has unlinked meanwhile excludes nobody: take the new one.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                break
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise BedError(f"another process has been at work on {what!r} for {patience_s:.0f} s")
        time.sleep(0.05)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(descriptor)
        with suppress(OSError):  # not empty while there are beds
            RUN.rmdir()
