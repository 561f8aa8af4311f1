"""Wrong passwords: counted by address, and the address locked out after too many. Pure but for the clock it is
given.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_MAX_ADDRESSES = 10_000


class Defender:
    """Lock an address out for *lockout_s* seconds after *failures* wrong logins within the same time."""

    def __init__(self, failures: int, lockout_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = failures
        self._lockout_s = lockout_s
        self._clock = clock
        self._seen: dict[str, list[float]] = {}
        self._lock = threading.Lock()

    def failed(self, address: str) -> bool:
        """Count one wrong login from *address*; True when this one locks it out."""
        with self._lock:
            times = [*self._recent(address), self._clock()]
            self._seen.pop(address, None)
            if len(self._seen) >= _MAX_ADDRESSES:  # the oldest goes, so that a scan cannot fill the memory
                del self._seen[next(iter(self._seen))]
            self._seen[address] = times[-self._failures :]
            return len(times) == self._failures

    def succeeded(self, address: str) -> None:
        """A right login clears the count."""
        with self._lock:
            self._seen.pop(address, None)

    def locked(self, address: str) -> bool:
        """Whether *address* is locked out now."""
        with self._lock:
            return len(self._recent(address)) >= self._failures

    def _recent(self, address: str) -> list[float]:
        oldest = self._clock() - self._lockout_s
        return [when for when in self._seen.get(address, []) if when > oldest]
