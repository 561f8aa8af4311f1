"""From the spool into the object store: in order for each name, tried again while the store is down, never older
over newer.

Every name has a queue. What is at its head may write to the store, the rest wait for their turn: two sessions that
upload the same name are stored in the order in which they were received. An upload that failed leaves the queue and
waits (``_Name.waiting``, one at most for a name): the newest that was received is what the object must become, so a
newer upload of the name, stored or waiting itself, takes its place.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

from images.collector.ledger import Ledger, Outcome
from images.collector.spool import Spool, Upload
from images.collector.store import Store, StoreError

_log = logging.getLogger("collector")
_GIVE_UP_ROUND = 3  # failures in a row after which the store itself is taken to be down


@dataclass(frozen=True)
class Result:
    """How a publication ended, and the reason for people unless it is stored."""

    outcome: Literal["stored", "waiting", "incomplete"]
    reason: str | None = None


@dataclass
class _Name:
    queue: deque[object] = field(default_factory=deque)
    waiting: Upload | None = None
    recovered: bool = False  # whether the waiting one comes from an earlier run


class Publisher:
    """Stores what the spool holds. *retry_s*: first and longest pause between attempts, in seconds."""

    def __init__(
        self, store: Store, spool: Spool, ledger: Ledger, *, timeout_s: float, retry_s: tuple[float, float]
    ) -> None:
        self._store = store
        self._spool = spool
        self._ledger = ledger
        self._timeout_s = timeout_s
        self._retry_s = retry_s
        self._names: dict[str, _Name] = {}
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._now = False
        self._down = False
        self._last_round = 0.0
        self._thread = threading.Thread(target=self._retry_for_ever, name="retry", daemon=True)

    def start(self, recovered: tuple[Upload, ...]) -> None:
        """Begin to store what an earlier run left; of one name only the newest, which is the last in *recovered*."""
        for upload in recovered:
            name = self._names.setdefault(upload.path, _Name())
            if name.waiting is not None:
                self._supersede(name.waiting)
            name.waiting, name.recovered = upload, True
        if recovered:
            self._retry_now()
        self._thread.start()

    def stop(self) -> None:
        """Begin no further retry. What waits stays in the spool for the next start."""
        self._stopping.set()
        self._wake.set()

    def waiting(self) -> int:
        """How many uploads wait for the object store."""
        with self._changed:
            return sum(name.waiting is not None for name in self._names.values())

    def publish(self, upload: Upload, gone: Callable[[], str | None]) -> Result:
        """Store *upload*, just received; returns when that is done or has failed.

        *gone* is asked when its turn has come, right before the object may change: a reason there makes it incomplete.
        """
        with self.turn(upload.path):
            reason = gone()
            if reason is not None:
                self._spool.remove(upload, upload.size or 0)
                self._row(upload, "incomplete", reason)
                return Result("incomplete", reason)
            error = self._attempt(upload)
            older = self._take_waiting(upload.path)
            if error is None:
                self._done(upload, "stored")
            else:
                self._keep(upload, error)
            if older is not None:
                self._supersede(older)
        if error is None:
            # The store answers: what waits need not sit out its pause. Not more often than the first pause, or a single
            # file that the store will not have would be tried again after each other file.
            if self._down and time.monotonic() - self._last_round > self._retry_s[0]:
                self._retry_now()
            return Result("stored")
        return Result("waiting", error)

    @contextmanager
    def turn(self, *paths: str) -> Iterator[None]:
        """Hold the queues of *paths*: nothing else writes these names meanwhile. Taken in one order, so never a
        deadlock.
        """
        ticket = object()
        wanted = sorted(set(paths))
        with self._changed:
            for path in wanted:
                self._names.setdefault(path, _Name()).queue.append(ticket)
            # All tickets are put in together, under the lock: whoever came first is first in every queue they share.
            while any(self._names[path].queue[0] is not ticket for path in wanted):
                self._changed.wait()
        try:
            yield
        finally:
            with self._changed:
                for path in wanted:
                    name = self._names[path]
                    name.queue.popleft()
                    if not name.queue and name.waiting is None:
                        del self._names[path]
                self._changed.notify_all()

    def is_waiting(self, path: str) -> bool:
        """Whether an upload of *path* has been received and is not stored yet."""
        with self._changed:
            name = self._names.get(path)
            return name is not None and name.waiting is not None

    def drop_waiting(self, path: str) -> None:
        """Forget what waits under *path*, which something newer has replaced. The caller holds its turn."""
        older = self._take_waiting(path)
        if older is not None:
            self._supersede(older)

    def _attempt(self, upload: Upload) -> str | None:
        try:
            self._store.put(self._spool.file(upload), upload.path, self._timeout_s)
        except StoreError as error:
            return str(error)
        return None

    def _take_waiting(self, path: str) -> Upload | None:
        with self._changed:
            name = self._names[path]
            older, name.waiting = name.waiting, None
            return older

    def _keep(self, upload: Upload, reason: str) -> None:
        try:
            self._spool.sync(upload)
        except OSError as error:
            _log.error("spool: %s: not safe from a power failure: %s", upload.path, error.strerror)
        with self._changed:
            name = self._names[upload.path]
            name.waiting, name.recovered = upload, False
        self._row(upload, "waiting", reason)
        self._wake.set()  # the retry thread may be asleep for good

    def _done(self, upload: Upload, outcome: Outcome) -> None:
        reason = {"late": "the object store was not available before", "recovered": "received by an earlier run"}
        self._spool.remove(upload, upload.size or 0)
        self._row(upload, outcome, reason.get(outcome))

    def _supersede(self, upload: Upload) -> None:
        self._spool.remove(upload, upload.size or 0)
        self._row(upload, "superseded", "a newer upload of the same name came before it could be stored")

    def _row(self, upload: Upload, outcome: Outcome, reason: str | None) -> None:
        self._ledger.write(
            id=upload.id,
            path=upload.path,
            bytes=upload.size,
            source=upload.source,
            protocol=upload.protocol,
            outcome=outcome,
            reason=reason,
            seconds=time.time() - upload.started,
            sha256=upload.sha256,
        )

    def _retry_now(self) -> None:
        self._now = True
        self._wake.set()

    def _retry_for_ever(self) -> None:
        pause = self._retry_s[0]
        due: float | None = None
        while True:
            self._wake.wait(None if due is None else max(0.0, due - time.monotonic()))
            self._wake.clear()
            if self._stopping.is_set():
                return
            if self._now:
                self._now, due, pause = False, time.monotonic(), self._retry_s[0]
            if due is None:  # woken because something began to wait
                due, pause = time.monotonic() + self._retry_s[0], self._retry_s[0]
            if time.monotonic() < due:
                continue
            try:
                fine = self._retry_round()
            except Exception as error:
                _log.error("retry: %s: %s", type(error).__name__, error)
                fine = False
            self._down, self._last_round = not fine, time.monotonic()
            pause = self._retry_s[0] if fine else min(pause * 2, self._retry_s[1])
            due = time.monotonic() + pause if self.waiting() else None

    def _retry_round(self) -> bool:
        """Try everything that waits once; True where nothing failed. Ends early when the store seems to be down."""
        with self._changed:
            due = [(path, name.waiting) for path, name in self._names.items() if name.waiting is not None]
        failures, in_a_row = 0, 0
        for path, upload in due:
            if self._stopping.is_set() or in_a_row >= _GIVE_UP_ROUND:
                return False
            if upload is not None and not self._retry(path, upload):
                failures, in_a_row = failures + 1, in_a_row + 1
            else:
                in_a_row = 0
        return failures == 0

    def _retry(self, path: str, upload: Upload) -> bool:
        with self.turn(path):
            with self._changed:
                name = self._names[path]
                if name.waiting is not upload:
                    return True  # replaced while we waited for our turn
                recovered = name.recovered
            error = self._attempt(upload)
            if error is not None:
                _log.warning("%s still waits: %s", path, error)
                return False
            self._take_waiting(path)
            self._done(upload, "recovered" if recovered else "late")
            return True
