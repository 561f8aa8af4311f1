"""The local side of a kept home: what is there, and putting in place what was fetched, never half of a file."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from images.lib.files import read_json, replace_json
from images.lib.home_plan import IGNORED, LINK, OWN, Base, Ignore, Kept, Known, Local, patterns_of

NOSAVE = ".nosave"
"""A person's own list of what is not to be kept."""
INCOMING, REPLACED, BASE, META, LOCK = "incoming", "replaced", "base.json", "meta.json", "lock"
_EXAMPLES = 20
_DEFAULT_FILE, _DEFAULT_FOLDER = 0o666, 0o777
_PERMISSIONS = 0o777
"""Without the set-group bit: a volume with fsGroup gives it to every folder."""


class PlaceError(Exception):
    """A fetched file cannot be put where it belongs; the text says why."""


@dataclass
class Seen:
    """One look at the home."""

    files: dict[str, Local] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    """Permissions of files that are not as new ones are."""
    folders: dict[str, int] = field(default_factory=dict)
    """Empty folders, and those whose permissions are not as new ones' are: a store of objects knows neither."""
    blind: list[str] = field(default_factory=list)
    """Folders that could not be read."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Some of the files that cannot be kept, with the reason."""
    bytes: int = 0
    ignore: Ignore = field(default_factory=lambda: Ignore(IGNORED))

    def is_blind(self, path: str) -> bool:
        """Whether *path* was not looked at."""
        if self.ignore.path(path.removesuffix(LINK)) or path in self.skipped:
            return True
        return any(not folder or path.startswith(f"{folder}/") for folder in self.blind)

    def meta(self) -> dict[str, Any]:
        """What is kept beside the files: by path, prefixed with the sort of it."""
        found = {f"file {path}": mode for path, mode in self.modes.items()}
        return found | {f"folder {path}": mode for path, mode in self.folders.items()}


def umask() -> int:
    """The mask of this process (which can only be read by setting it: at the start, before there are threads)."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def look(home: Path, mask: int) -> Seen:
    """Walk the home; links are not followed, sockets, pipes and devices not seen. OSError where *home* is gone."""
    try:
        own = patterns_of((home / NOSAVE).read_text(encoding="utf-8", errors="replace"))
    except OSError:
        own = ()
    seen = Seen(ignore=Ignore((*IGNORED, *own)))
    home.lstat()
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            entries = list(os.scandir(home / folder))
        except FileNotFoundError:
            continue  # deleted while we looked
        except OSError as error:
            seen.blind.append(folder)
            _skip(seen, folder, error.strerror or str(error))
            continue
        for entry in entries:
            _note(entry, f"{folder}/{entry.name}" if folder else entry.name, seen, waiting, mask)
        if folder:
            _note_folder(home, folder, empty=not entries, seen=seen, mask=mask)
    return seen


def _note(entry: os.DirEntry[str], path: str, seen: Seen, waiting: list[str], mask: int) -> None:
    if seen.ignore.entry(path, entry.name):
        return
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        if not _sayable(path):
            seen.blind.append(path)
            _skip(seen, path, "its name holds a line break or is no UTF-8")
        else:
            waiting.append(path)
        return
    is_link = stat.S_ISLNK(found.st_mode)
    if not is_link and not stat.S_ISREG(found.st_mode):
        return
    if not _sayable(path) or path.endswith(LINK):
        _skip(seen, path, f"its name ends with {LINK}" if _sayable(path) else "its name cannot be stored")
        return
    seen.files[path + LINK if is_link else path] = Local(found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    seen.bytes += found.st_size
    mode = found.st_mode & _PERMISSIONS
    if not is_link and mode != _DEFAULT_FILE & ~mask:
        seen.modes[path] = mode


def _note_folder(home: Path, folder: str, *, empty: bool, seen: Seen, mask: int) -> None:
    try:
        mode = (home / folder).lstat().st_mode & _PERMISSIONS
    except OSError:
        return
    if empty or mode != _DEFAULT_FOLDER & ~mask:
        seen.folders[folder] = mode


def _sayable(path: str) -> bool:
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return "\n" not in path and "\r" not in path


def _skip(seen: Seen, path: str, why: str) -> None:
    if len(seen.skipped) < _EXAMPLES:
        seen.skipped[path.encode(errors="replace").decode()] = why


@dataclass
class Noted:
    """What both sides were the same in at the last round."""

    files: Base
    meta: dict[str, Any]
    meta_kept: Kept | None
    whole: bool
    """Whether a round ever went through for this folder: else it may be an empty one of a kept home."""


class HomeFolder:
    """The home and our folder in it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.own = home / OWN
        self.incoming = self.own / INCOMING
        self.replaced = self.own / REPLACED

    def make(self) -> None:
        """Make what must be there, and clear what a killed round has left. OSError."""
        self.home.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.own.mkdir(exist_ok=True, mode=0o700)
        self.clear_incoming()

    def clear_incoming(self) -> None:
        """Nothing of an earlier round is ever put in place."""
        shutil.rmtree(self.incoming, ignore_errors=True)
        self.incoming.mkdir(parents=True, exist_ok=True, mode=0o700)

    def path(self, name: str) -> Path:
        """The local file of *name*."""
        return self.home / name.removesuffix(LINK)

    def seen(self, name: str) -> Local | None:
        """It as it is now; None where it is not there, or is of another sort (a folder, a link for a file)."""
        try:
            found = self.path(name).lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        is_right = stat.S_ISLNK(found.st_mode) if name.endswith(LINK) else stat.S_ISREG(found.st_mode)
        return Local(found.st_size, found.st_mtime_ns, found.st_ctime_ns) if is_right else None

    def fetched(self, name: str) -> Path | None:
        """Where *name* lies after it was fetched; None where it was not."""
        path = self.incoming / name.removesuffix(LINK)
        return path if os.path.lexists(path) and path.is_symlink() == name.endswith(LINK) else None

    def same(self, name: str) -> bool:
        """Whether the fetched version and the local one are byte for byte the same."""
        here, there = self.path(name), self.incoming / name.removesuffix(LINK)
        try:
            if name.endswith(LINK):
                return here.readlink() == there.readlink()
            return filecmp.cmp(here, there, shallow=False)
        except OSError:
            return False

    def place(self, name: str, expected: Local | None, fetched: Path, mode: int | None) -> Local | None:
        """Put the *fetched* file in the place of *name*, if that is still as *expected*; how it is then.

        In one step, so that no reader sees half of it. What it replaces is kept in our own folder until the next
        start. None where somebody has changed it meanwhile: the next round sees that. PlaceError.
        """
        target = self.path(name)
        self._make_parents(target)
        if self.seen(name) != expected or (expected is None and os.path.lexists(target)):
            if expected is None and os.path.lexists(target) and self.seen(name) is None:
                raise PlaceError("a folder or a link of that name is in the way")
            return None
        try:
            if mode is not None and not name.endswith(LINK):
                fetched.chmod(mode)
            if expected is not None:
                os.link(target, self._aside(name), follow_symlinks=False)
            fetched.replace(target)
        except OSError as error:
            raise PlaceError(error.strerror or str(error)) from None
        return self.seen(name)

    def remove(self, name: str, expected: Local) -> bool:
        """Take *name* away, if it is still as *expected*, into our own folder; whether it is gone. PlaceError."""
        try:
            if self.seen(name) == expected:
                self.path(name).replace(self._aside(name))
            self._prune(self.path(name).parent)
        except OSError as error:
            raise PlaceError(error.strerror or str(error)) from None
        return self.seen(name) is None

    def _make_parents(self, target: Path) -> None:
        """Never through a link: what is kept could else be written outside of the home. PlaceError."""
        folder = self.home
        for part in target.parent.relative_to(self.home).parts:
            if part == "..":
                raise PlaceError("its path leaves the home")
            folder = folder / part
            try:
                folder.mkdir()
            except FileExistsError:
                if folder.is_symlink() or not folder.is_dir():
                    raise PlaceError(f"{folder.name} is no folder") from None
            except OSError as error:
                raise PlaceError(error.strerror or str(error)) from None

    def _aside(self, name: str) -> Path:
        path = self.replaced / name.removesuffix(LINK)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = 1
        while os.path.lexists(path):
            path = path.with_name(f"{Path(name).name[:200]}.{number}")
            number += 1
        return path

    def _prune(self, folder: Path) -> None:
        """Folders that became empty by a removal."""
        while folder != self.home and self.home in folder.parents:
            try:
                folder.rmdir()
            except OSError:
                return
            folder = folder.parent

    def apply_meta(self, wanted: Mapping[str, Any], seen: Seen, mask: int) -> dict[str, str]:
        """Permissions and empty folders as *wanted*, where they were others when *seen*; why not, by path. The deepest
        first, since a folder that nobody may write to must be filled before."""
        have = seen.meta()
        wrong = {}
        for key in sorted({*wanted, *have}, reverse=True):
            if wanted.get(key) == have.get(key):
                continue
            sort, _, path = key.partition(" ")
            if seen.is_blind(path) or ".." in Path(path).parts:
                continue
            try:
                self._apply(sort, path, wanted.get(key), mask)
            except (OSError, PlaceError) as error:
                wrong[path] = getattr(error, "strerror", None) or str(error)
        return wrong

    def _apply(self, sort: str, path: str, mode: Any, mask: int) -> None:
        target = self.home / path
        usual = (_DEFAULT_FOLDER if sort == "folder" else _DEFAULT_FILE) & ~mask
        if sort == "folder" and isinstance(mode, int):
            self._make_parents(target / "x")
        elif sort == "folder" and target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
            target.rmdir()
        value = mode & _PERMISSIONS if isinstance(mode, int) else usual
        if target.is_symlink() or not target.exists():
            return
        now = stat.S_IMODE(target.lstat().st_mode)
        if now & _PERMISSIONS != value:  # else its ctime would say that it was changed
            target.chmod(now & ~_PERMISSIONS | value)

    # -- what both sides were the same in --------------------------------------------------------------------------

    def read_base(self) -> Noted | None:
        """What the last round has noted; None where there was none, or its note is gone."""
        raw: Any = read_json(self.own / BASE)
        try:
            files = {
                path: Known(Local(*row[0]) if row[0] else None, Kept(*row[1]), row[2], row[3])
                for path, row in raw["files"].items()
            }
            meta_kept = Kept(*raw["meta_kept"]) if raw["meta_kept"] else None
            return Noted(files, dict(raw["meta"]), meta_kept, bool(raw["whole"]))
        except (TypeError, KeyError, IndexError, AttributeError):
            return None

    def write_base(self, noted: Noted) -> None:
        """Note it, whole or not at all. It lies in the home, so that a home that was wiped has none. OSError."""
        replace_json(self.own / BASE, {one.name: getattr(noted, one.name) for one in fields(noted)})

    def read_meta(self, text: str) -> dict[str, Any]:
        """What was kept beside the files; {} where it cannot be read."""
        try:
            found = json.loads(text)
            return {str(key): int(value) & 0o777 for key, value in found["meta"].items()}
        except (ValueError, TypeError, KeyError, AttributeError):
            return {}

    def write_notice(self, name: str, text: str | None) -> None:
        """Let the file *name* stand in the home with *text*, or not at all (None)."""
        path = self.home / name
        try:
            if text is None:
                path.unlink(missing_ok=True)
            elif not path.is_symlink():
                path.write_text(text, encoding="utf-8")
        except OSError:
            return
