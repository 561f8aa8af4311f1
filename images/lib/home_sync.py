"""One round of keeping a home: look, compare, fetch, save, note. Killed at any point, the next one goes on from there.

The order is what makes that true. What is fetched is put in place whole. A file is noted as saved only after the
store's listing has shown it. Where a round was killed in between, both sides have the file and nobody noted that they
are the same: they are compared then, byte for byte. Nothing is deleted before everything new is saved, so a file that
was moved is never gone on both sides.
"""

from __future__ import annotations

import fcntl
import logging
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images.lib.files import replace_json
from images.lib.home_files import LOCK, META, HomeFolder, Noted, PlaceError, Seen, look
from images.lib.home_plan import (
    LINK,
    Base,
    Kept,
    Known,
    Local,
    Plan,
    chunks,
    is_plain,
    merge,
    other_name,
    plan,
    unsaved,
)
from images.lib.home_store import FILES, OutOfTimeError, Store
from images.lib.home_store import META as KEPT_META
from images.lib.home_turn import Turn

log = logging.getLogger("tenanthub.home")
_CHUNK_FILES, _CHUNK_BYTES = 4000, 2**30


@dataclass(frozen=True)
class Conflict:
    """Both sides had changed *path*; the version of the store lies at *other*."""

    path: str
    other: str
    when: str


@dataclass
class Round:
    """What one round did."""

    saved: int = 0
    fetched: int = 0
    deleted: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    wrong: dict[str, str] = field(default_factory=dict)
    """Why, by path, something could not be done."""
    to_fetch: int = 0
    """Files that are still to be fetched, where the time was over."""


def _files(listing: Mapping[str, Kept]) -> dict[str, Kept]:
    """The kept files of a listing, without names that no file of a home has."""
    found = {path[len(FILES) :]: one for path, one in listing.items() if path.startswith(FILES)}
    return {path: one for path, one in found.items() if is_plain(path)}


class Home:
    """A home folder and where it is kept. Not safe for threads; `hold` keeps other processes out."""

    def __init__(self, folder: HomeFolder, store: Store, mask: int, said: Callable[[str], None]) -> None:
        """*mask*: the process's umask. *said* gets a line of what is being done."""
        self.folder, self.store = folder, store
        self._mask, self._say = mask, said
        self._lock = -1
        self._turn = Turn(store, folder.own)
        self.base: Base = {}
        self.meta: dict[str, Any] = {}
        self._meta_kept: Kept | None = None
        """The store's object with *meta* in it, as its listing tells it."""
        self.known = False
        """Whether a round has ever gone through for this folder: else it may be an empty one of a kept home."""

    def hold(self) -> bool:
        """Be the one that keeps this folder; False while another process does (two servers of one machine)."""
        if self._lock < 0:
            self._lock = os.open(self.folder.own / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def look(self) -> Seen:
        """The home as it is now. OSError."""
        return look(self.folder.home, self._mask)

    def recall(self) -> None:
        """Read what the last round noted. Whoever wiped the home has wiped the note too: then nothing counts as
        deleted, and everything is fetched anew."""
        found = self.folder.read_base() or Noted({}, {}, None, whole=False)
        self.base, self.meta, self.known = found.files, found.meta, found.whole
        self._meta_kept = found.meta_kept

    def unsaved(self, seen: Seen) -> list[str]:
        """Paths whose present state is not in the store."""
        return unsaved(seen.files, self.base, seen.is_blind)

    def round(self, fetch_until: float | None = None, *, last: bool = False) -> Round:
        """Go through it once; again where two versions were put side by side, so that both are saved.

        *fetch_until* (time.monotonic): nothing more is begun to be fetched after it. *last*: nothing is fetched but
        what has to be compared, since nobody will see it any more. StoreError, OSError.
        """
        done = Round()
        self._once(done, fetch_until, last)
        if done.conflicts:
            self._once(done, fetch_until, last)  # the other version is saved: now over what it was, the local one
        return done

    def _once(self, done: Round, fetch_until: float | None, last: bool) -> None:
        self.folder.make()
        self.recall()
        todo, seen = self._get(self.store.listing(), done, fetch_until, last)
        if todo.upload or todo.delete_kept or done.conflicts or seen.meta() != self.meta or self._meta_kept is None:
            self._put(done)
        self.known = self.known or not done.to_fetch
        self._note()

    def _get(
        self, listing: Mapping[str, Kept], done: Round, fetch_until: float | None, last: bool
    ) -> tuple[Plan, Seen]:
        """The first half of a round: what others have changed."""
        if self.base and KEPT_META not in listing:
            # The folder in the store is gone as a whole (emptied, another bucket): nobody deleted every single file.
            log.warning("Nothing of this home is at %s any more: all of it is saved anew", self.store.remote)
            self.base, self.meta, self._meta_kept = {}, {}, None
        seen = self.look()
        kept = _files(listing)
        todo = plan(seen.files, kept, self.base, seen.is_blind)
        self._note_misses(todo, kept)
        wanted = self._merged(listing, seen)
        names = todo.compare if last else (*todo.download, *todo.compare)
        done.to_fetch = self._fetch(names, frozenset(todo.compare), seen, kept, wanted, fetch_until, done)
        self._remove_here(todo.delete_local, done)
        done.wrong.update(self.folder.apply_meta(wanted, seen, self._mask))
        return todo, seen

    def _merged(self, listing: Mapping[str, Kept], seen: Seen) -> dict[str, Any]:
        """Modes and folders of both sides. What the store has is read only where it is another one than before."""
        there: Mapping[str, Any] = self.meta
        if KEPT_META in listing and listing[KEPT_META] != self._meta_kept:
            there = self.folder.read_meta(self.store.read_meta())
        return merge(seen.meta(), there, self.meta)

    def _put(self, done: Round) -> None:
        """The second half: what was changed here. Decided on a listing of the moment at which nobody else saves, since
        the first half may have taken minutes."""
        listing = self._turn.take()
        if listing is None:
            done.wrong[""] = "another server with this home is saving just now"
            return
        try:
            seen = self.look()
            todo = plan(seen.files, _files(listing), self.base, seen.is_blind)
            wanted = self._merged(listing, seen)
            if KEPT_META not in listing:
                self._write_meta(wanted)  # first of all: from here on it is a home
            after = self._save(todo.upload, seen, done) if todo.upload else listing
            self._delete_there(todo.delete_kept, done)
            if wanted != self.meta or KEPT_META not in listing:
                self._write_meta(wanted)
                self.meta = wanted
                after = self.store.listing()
            self._meta_kept = after.get(KEPT_META)
        finally:
            self._turn.leave()

    def _note_misses(self, todo: Plan, kept: Mapping[str, Kept]) -> None:
        for path, known in self.base.items():
            if known.misses and path in kept:
                self.base[path] = known._replace(misses=0)
        for path in todo.missed:
            self.base[path] = self.base[path]._replace(misses=self.base[path].misses + 1)
        for path in todo.forget:
            del self.base[path]

    def _note(self) -> None:
        self.folder.write_base(Noted(self.base, self.meta, self._meta_kept, self.known))

    def _write_meta(self, meta: Mapping[str, Any]) -> None:
        path = self.folder.own / META
        saved = datetime.now(UTC).isoformat(timespec="seconds")
        replace_json(path, {"version": 1, "saved": saved, "meta": dict(meta)})
        self.store.put(path, KEPT_META)

    # -- from the store ------------------------------------------------------------------------------------------------

    def _fetch(
        self,
        names: Sequence[str],
        compared: frozenset[str],
        seen: Seen,
        kept: Mapping[str, Kept],
        wanted: Mapping[str, Any],
        until: float | None,
        done: Round,
    ) -> int:
        """Fetch *names* and put them in place; how many are left, where the time was over."""
        lists = chunks(names, lambda name: kept[name].size, _CHUNK_FILES, _CHUNK_BYTES)
        left = len(names)
        for number, some in enumerate(lists):
            if until is not None and time.monotonic() > until:
                return left
            self._say(f"fetching {left} file{'s' if left > 1 else ''}")
            over = False
            try:
                wrong = self.store.download(self.folder.incoming, some, sum(kept[name].size for name in some))
            except OutOfTimeError:
                wrong, over = {}, True
            done.wrong.update(wrong)
            for name in some:
                if self.folder.fetched(name) is not None:
                    self._take(name, seen, kept[name], wanted, name in compared, done)
                    left -= 1
                elif not over:
                    done.wrong.setdefault(name, "could not be fetched")
                    left -= 1
            self.folder.clear_incoming()
            if over or "" in wrong:
                return left
            if number < len(lists) - 1:
                self._note()  # a killed restore goes on here
        return left

    def _take(
        self, name: str, seen: Seen, kept: Kept, wanted: Mapping[str, Any], is_compared: bool, done: Round
    ) -> None:
        fetched = self.folder.fetched(name)
        if fetched is None:
            return
        expected = seen.files.get(name)
        mode = wanted.get(f"file {name}")
        try:
            if not is_compared:
                placed = self.folder.place(name, expected, fetched, mode)
                if placed is not None:
                    self.base[name] = Known(placed, kept)
                    done.fetched += 1
                return
            if self.folder.same(name):
                now = self.folder.seen(name)
                if now == expected:
                    self.base[name] = Known(now, kept)
                return
            self._put_beside(name, kept, fetched, mode, done)
        except PlaceError as error:
            done.wrong[name] = str(error)

    def _put_beside(self, name: str, kept: Kept, fetched: Path, mode: int | None, done: Round) -> None:
        """The local version keeps its name, since somebody has it open; the store's lies beside it. It is a new file,
        and only once it is saved as such, the local one is saved over the store's."""
        other = other_name(name, datetime.now(UTC), lambda path: os.path.lexists(self.folder.path(path)))
        if self.folder.place(other, None, fetched, mode) is None:
            return
        self.base[name] = Known(None, kept, other)
        self._note()
        path, beside = name.removesuffix(LINK), other.removesuffix(LINK)
        done.conflicts.append(Conflict(path, beside, datetime.now(UTC).isoformat(timespec="seconds")))
        log.warning("%s was changed here and elsewhere: the version from elsewhere is %s", path, beside)

    def _remove_here(self, names: Iterable[str], done: Round) -> None:
        for name in names:
            known = self.base[name]
            try:
                if known.local is not None and self.folder.remove(name, known.local):
                    del self.base[name]
                    done.deleted += 1
            except PlaceError as error:
                done.wrong[name] = str(error)

    # -- to the store --------------------------------------------------------------------------------------------------

    def _save(self, names: Sequence[str], seen: Seen, done: Round) -> dict[str, Kept]:
        """Save *names*; the listing in which they were seen afterwards."""
        sizes: Mapping[str, Local] = seen.files
        tried: list[str] = []
        wrong: dict[str, str] = {}
        for some in chunks(names, lambda name: sizes[name].size, _CHUNK_FILES, _CHUNK_BYTES):
            left = len(names) - len(tried)
            self._say(f"saving {left} file{'s' if left > 1 else ''}")
            tried += some
            try:
                wrong.update(self.store.upload(self.folder.home, some, sum(sizes[name].size for name in some)))
            except OutOfTimeError as error:
                wrong[""] = str(error)
                break
            if "" in wrong:
                break
            if len(tried) < len(names):
                self._turn.refresh()
        listing = self.store.listing()
        for name in tried:
            kept = listing.get(FILES + name)
            before = self.base.get(name)
            # Without a word of what is wrong, only a version that was put there now counts as ours.
            if name in wrong or kept is None or kept.size != sizes[name].size:
                continue
            if "" in wrong and before is not None and kept == before.kept:
                continue
            self.base[name] = Known(sizes[name], kept)
            done.saved += 1
        done.wrong.update(wrong)
        return listing

    def _delete_there(self, names: Sequence[str], done: Round) -> None:
        # One that has come back meanwhile (an editor that writes anew and renames) is no deletion.
        gone = [name for name in names if self.folder.seen(name) is None]
        if not gone:
            return
        self._note()
        self._say(f"deleting {len(gone)} of what was deleted here")
        wrong = self.store.delete(gone)
        done.wrong.update(wrong)
        if "" in wrong:
            return
        for name in gone:
            if name not in wrong:
                del self.base[name]
                done.deleted += 1
