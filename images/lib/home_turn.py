"""Whose turn it is to save into a home that several servers have: one object a server, seen by all in one listing.

Who wants to save puts its object there and lists. Alone, it may; else it takes its object away and tries again later.
A store whose listing shows what was written before (S3, Swift with one proxy, sftp, WebDAV) lets two never think that
they are alone. What a killed server has left counts for nothing once it was seen unchanged for STALE_S.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
import uuid
from pathlib import Path

from images.lib.home_plan import Kept
from images.lib.home_store import Store, StoreError

log = logging.getLogger("tenanthub.home")
TURNS = "turns/"
STALE_S = 120.0
_PATIENCE_S = 15.0
"""Then the round does without saving, and the next one tries again."""


class Turn:
    """One server's turn."""

    def __init__(self, store: Store, own: Path) -> None:
        """*own*: our own folder in the home. The name is kept in it: after a kill it is still the same one's turn."""
        self._store, self._file = store, own / "turn"
        self._first_seen: dict[tuple[str, str], float] = {}

    def _name(self) -> str:
        if not self._file.exists():
            self._file.write_text(uuid.uuid4().hex, encoding="ascii")
        return TURNS + self._file.read_text(encoding="ascii").strip()

    def take(self) -> dict[str, Kept] | None:
        """Take it: the store's listing of the moment at which we had it; None where others did not let go of it.

        StoreError, OSError.
        """
        name = self._name()
        until = time.monotonic() + _PATIENCE_S
        while True:
            self._store.put(self._file, name)
            listing = self._store.listing()
            if name in listing and not self._others(listing, name):
                return listing
            self.leave()
            if time.monotonic() > until:
                return None
            time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - two that meet must not meet again

    def refresh(self) -> None:
        """Still at it: others see that it is no leftover."""
        with contextlib.suppress(StoreError, OSError):
            self._store.put(self._file, self._name())

    def leave(self) -> None:
        """Let others."""
        with contextlib.suppress(StoreError, OSError):
            self._store.remove(self._name())

    def _others(self, listing: dict[str, Kept], name: str) -> list[str]:
        now = time.monotonic()
        there = {(path, kept.modified) for path, kept in listing.items() if path.startswith(TURNS) and path != name}
        self._first_seen = {one: self._first_seen.get(one, now) for one in there}
        return [path for (path, _), since in self._first_seen.items() if now - since < STALE_S]
