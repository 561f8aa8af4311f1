"""What wakes the keeper: a signal, the end of its child, or the time. And the clock, so that tests can turn it."""

from __future__ import annotations

import os
import select
import signal
import time
from datetime import UTC, datetime

from spawners.local.process import ProcessRef, alive, end_fd

_POLL_S = 0.5
"""How often to look after a child where the system gives no pidfd."""


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The wall clock, in UTC; it may jump."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never jump, and stand still while the machine sleeps."""
        return time.monotonic()


class Events:
    """Signals as flags, and one wait for all.

    A handler only sets its flag; the wake-up descriptor (set before the first wait) makes sure that a signal just
    before the wait ends it, too.
    """

    def __init__(self) -> None:
        self.stop = False
        self.reload = False
        self._read, self._write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC) if hasattr(os, "pipe2") else _pipe()

    def install(self) -> None:
        """Take over the signals. Main thread only."""
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        signal.signal(signal.SIGTERM, self._on_stop)
        signal.signal(signal.SIGINT, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reload)
        signal.signal(signal.SIGUSR1, lambda *_: None)  # the file run-now tells the rest
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _on_stop(self, *_: object) -> None:
        self.stop = True

    def _on_reload(self, *_: object) -> None:
        self.reload = True

    def wake(self) -> None:
        """End the present wait, or the next one."""
        os.write(self._write, b"\0")

    def wait(self, child: ProcessRef | None, timeout_s: float | None) -> None:
        """Sleep until a signal comes, *child* ends or *timeout_s* seconds are over."""
        descriptor = end_fd(child) if child is not None else None
        if child is not None and descriptor is None:
            if not alive(child):
                return
            timeout_s = _POLL_S if timeout_s is None else min(timeout_s, _POLL_S)
        readers = [self._read] if descriptor is None else [self._read, descriptor]
        try:
            ready, _, _ = select.select(readers, [], [], timeout_s)
        finally:
            if descriptor is not None:
                os.close(descriptor)
        if self._read in ready:
            os.read(self._read, 4096)


def _pipe() -> tuple[int, int]:
    """macOS has no pipe2; os.pipe is close-on-exec by itself (PEP 446)."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    return read, write
