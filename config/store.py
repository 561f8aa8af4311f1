"""The world as it is declared now: read again when its files change, the last good one kept while they are wrong."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from config.errors import Problem, WorldError
from config.files import list_files
from config.load import Cache, ExtraCheck, load_sources
from config.models import World

log = logging.getLogger(__name__)

_SETTLED_S = 2.0
"""A file touched fewer seconds than this before it was read may change again within the clock's tick, unseen."""

Fingerprint = tuple[tuple[str, tuple[int, ...]], ...]


class WorldStore:
    """One per process; any thread may call it.

    Races: the fingerprint is taken before the files are read, so what changes during the reading differs at the next
    look. Two looks never overlap; a thread that comes while another reads gets the world as it was, unless there is
    none yet.
    """

    def __init__(
        self,
        directory: Path,
        *,
        interval_s: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
        extra_check: ExtraCheck | None = None,
    ) -> None:
        """Nothing is read yet. *interval_s*: the least seconds of *clock* between two looks at the files."""
        self.directory = directory
        self._interval_s = interval_s
        self._clock = clock
        self._extra_check = extra_check
        self._lock = threading.Lock()
        self._cache: Cache = {}
        self._looked_at: float | None = None
        self._fingerprint: Fingerprint | None = None
        self._contents: dict[str, bytes] | None = None
        self._world: World | None = None
        self._problems: tuple[Problem, ...] = ()
        self._version = 0

    def current(self) -> World:
        """The newest good world. WorldError where there has never been one."""
        if self._lock.acquire(blocking=self._world is None):
            try:
                if self._due():
                    self._look()
            finally:
                self._lock.release()
        if self._world is None:
            raise WorldError(self._problems)
        return self._world

    def reload(self) -> World:
        """Look at the files now, whatever the interval says; otherwise as `current`."""
        with self._lock:
            self._look()
        return self.current()

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files as they were last read; empty while they are right."""
        return self._problems

    @property
    def version(self) -> int:
        """Grows by one with each good reading of files that say something new; 0 before the first."""
        return self._version

    def _due(self) -> bool:
        return self._looked_at is None or self._clock() - self._looked_at >= self._interval_s

    def _look(self) -> None:
        self._looked_at = self._clock()
        started = time.time()
        try:
            fingerprint = self._stamps()
            if fingerprint == self._fingerprint:
                return
            world, _ = load_sources(self.directory, self._extra_check, self._cache)
        except WorldError as error:
            self._fingerprint = None
            self._failed(error.problems)
            return
        newest = max((stamp[0] for _, stamp in fingerprint), default=0)
        self._fingerprint = fingerprint if newest < (started - _SETTLED_S) * 1e9 else None
        contents = {name: raw for name, (raw, _) in self._cache.items()}
        if contents != self._contents:
            self._contents = contents
            self._world = world
            self._version += 1
        self._problems = ()

    def _failed(self, problems: tuple[Problem, ...]) -> None:
        if problems != self._problems and self._world is not None:
            log.warning("The world in %s is wrong, the one before stays: %s", self.directory, problems[0])
        self._problems = problems

    def _stamps(self) -> Fingerprint:
        files, problems = list_files(self.directory)
        if problems:
            raise WorldError(problems)
        return tuple((file.name, file.stamp) for file in files)
