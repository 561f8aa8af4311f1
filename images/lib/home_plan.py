"""What one round of keeping a home does: local files, kept files and what both were at the last round, compared. Pure.

A path is relative to the home, with /. A symbolic link is the path with `.rclonelink` at its end, as rclone's --links
names the small file that it makes of one.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

LINK = ".rclonelink"
OWN = ".tenanthub-home"
"""Our own folder in the home: never kept, nor taken from the store."""
NOTICE = "HOME-NOT-SAVED.txt"
"""Stands in the home as long as saving fails, where people see it."""
IGNORED = (
    OWN,
    NOTICE,
    ".cache",
    "__pycache__",
    "lost+found",
    ".nfs*",
    "*.swp",
    ".local/share/Trash",
    ".local/share/jupyter/runtime",
    ".npm/_cacache",
    ".local/share/code-server/logs",
    ".local/share/code-server/coder-logs",
    ".local/share/code-server/Crashpad",
    ".local/share/code-server/CachedProfilesData",
    ".local/share/code-server/CachedExtensionVSIXs",
)
"""Made again by whatever made it, or of use to one running server alone (a runtime folder holds its kernels' keys)."""
BOOKS = (
    ".ipython/profile_*/history.sqlite*",
    ".local/share/jupyter/notebook_secret",
    ".local/share/jupyter/nbsignatures.db*",
    ".jupyter/lab/workspaces",
)
"""What Jupyter writes of itself, with each cell that is run: kept as all else, but nothing that a person waits for."""
MISSES = 2
"""In so many rounds running a kept file must be gone before the local one goes too: a listing may lag behind."""


class Local(NamedTuple):
    """A local file as it was seen: bytes, and nanoseconds since the epoch. ctime, as a copy may keep the mtime."""

    size: int
    mtime_ns: int
    ctime_ns: int


class Kept(NamedTuple):
    """A kept file as the store's listing tells it: bytes and a time, which is only ever compared for being the same."""

    size: int
    modified: str


class Known(NamedTuple):
    """Both sides of one file at the last round in which they were the same."""

    local: Local | None
    """None: the local one differs, and is to be saved."""
    kept: Kept
    after: str = ""
    """Saved only once this path is: the other version that it would else overwrite."""
    misses: int = 0


Base = dict[str, Known]


@dataclass(frozen=True)
class Plan:
    """Paths by what is to be done with them."""

    upload: tuple[str, ...] = ()
    download: tuple[str, ...] = ()
    compare: tuple[str, ...] = ()
    """Both have it, and it is not known to be the same: fetched and compared; where it differs, both stay."""
    delete_kept: tuple[str, ...] = ()
    delete_local: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()


@dataclass
class _Lists:
    upload: list[str] = field(default_factory=list)
    download: list[str] = field(default_factory=list)
    compare: list[str] = field(default_factory=list)
    delete_kept: list[str] = field(default_factory=list)
    delete_local: list[str] = field(default_factory=list)
    missed: list[str] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)


def plan(
    local: Mapping[str, Local], kept: Mapping[str, Kept], base: Mapping[str, Known], blind: Callable[[str], bool]
) -> Plan:
    """What a round does. *blind*: whether a path is one that was not looked at (ignored, or below a folder that cannot
    be read): nothing is concluded from its absence, and nothing is done with it.

    Only what is known to have been the same on both sides is ever deleted on one of them; a change wins over a
    deletion; two changes both stay.
    """
    lists = _Lists()
    for path in sorted({*local, *kept, *base}):
        if not blind(path):
            into = _decide(path, local.get(path), kept.get(path), base.get(path), local, base)
            if into:
                getattr(lists, into).append(path)
    return Plan(**{name: tuple(paths) for name, paths in vars(lists).items()})


def _decide(
    path: str,
    here: Local | None,
    there: Kept | None,
    known: Known | None,
    local: Mapping[str, Local],
    base: Mapping[str, Known],
) -> str:
    """The name of the list that *path* belongs on; "" where nothing is to be done."""
    if known is None:
        return "compare" if here and there else "upload" if here else "download"
    if here is None:
        return "forget" if there is None else "delete_kept" if there == known.kept else "download"
    if there is None:
        if here != known.local:
            return "upload"
        return "delete_local" if known.misses + 1 >= MISSES else "missed"
    if there == known.kept:
        held = known.after and known.after in local and known.after not in base
        return "" if here == known.local or held else "upload"
    return "download" if here == known.local else "compare"


def unsaved(local: Mapping[str, Local], base: Mapping[str, Known], blind: Callable[[str], bool]) -> list[str]:
    """Paths whose present state is not in the store: new, changed, or deleted since."""
    changed = [path for path, here in local.items() if path not in base or base[path].local != here]
    gone = [path for path in base if path not in local and not blind(path)]
    return changed + gone


class Ignore:
    """What is not kept. A pattern without / fits any part of a path (as `.cache`), one with / the path's beginning."""

    def __init__(self, patterns: Iterable[str]) -> None:
        every = [pattern.strip("/") for pattern in patterns]
        single = [pattern for pattern in every if "/" not in pattern]
        self._names = frozenset(pattern for pattern in single if not set(pattern) & set("*?["))
        globs = [fnmatch.translate(pattern) for pattern in single if pattern not in self._names]
        self._globs = re.compile("|".join(globs)) if globs else None
        self._paths = [pattern.split("/") for pattern in every if "/" in pattern]

    def name(self, name: str) -> bool:
        """Whether this part of a path alone makes it one that is not kept."""
        return name in self._names or (self._globs is not None and self._globs.match(name) is not None)

    def entry(self, path: str, name: str) -> bool:
        """Whether *path*, whose last part is *name* and whose folder is kept, is not."""
        return self.name(name) or (bool(self._paths) and self._begins(path.split("/")))

    def path(self, path: str) -> bool:
        """Whether *path* is not kept."""
        parts = path.split("/")
        return any(map(self.name, parts)) or self._begins(parts)

    def _begins(self, parts: Sequence[str]) -> bool:
        return any(len(wanted) <= len(parts) and all(map(fnmatch.fnmatchcase, parts, wanted)) for wanted in self._paths)


def is_plain(path: str) -> bool:
    """Whether *path*, out of a store's listing, stays within the home and can be asked for."""
    parts = path.split("/")
    return all(part not in ("", ".", "..") for part in parts) and not set(path) & {"\n", "\r", "\0"}


def patterns_of(text: str) -> tuple[str, ...]:
    """The patterns of a person's own list: one a line, # begins a comment."""
    lines = (line.strip() for line in text.splitlines())
    return tuple(line.rstrip("/") for line in lines if line.rstrip("/") and not line.startswith("#"))


def other_name(path: str, moment: datetime, taken: Callable[[str], bool]) -> str:
    """Where the other version of *path* is put: beside it, under a name that *taken* says is free.

    >>> other_name("lab/run.ipynb", datetime(2026, 11, 21, 17, 5, 9), lambda name: False)
    'lab/run (other version 2026-11-21 170509).ipynb'
    """
    plain, link = (path[: -len(LINK)], LINK) if path.endswith(LINK) else (path, "")
    folder, slash, name = plain.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem:  # no dot, or only the first character: .bashrc
        stem, dot, suffix = name, "", ""
    # A name has at most 255 bytes; the stem gives way.
    stem = stem.encode()[: 200 - len(suffix.encode())].decode(errors="ignore")
    number = 1
    while True:
        again = f" {number}" if number > 1 else ""
        found = f"{folder}{slash}{stem} (other version {moment:%Y-%m-%d %H%M%S}{again}){dot}{suffix}{link}"
        if not taken(found):
            return found
        number += 1


def merge(here: Mapping[str, Any], there: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Modes and folders of both sides: what changed on one side since *before* counts, on both: the local one."""
    merged = {}
    for key in {*here, *there, *before}:
        ours = here.get(key)
        value = there.get(key) if ours == before.get(key) else ours
        if value is not None:
            merged[key] = value
    return merged


def chunks(paths: Iterable[str], size_of: Callable[[str], int], most: int, most_bytes: int) -> list[list[str]]:
    """*paths*, the smallest first, in lists of at most *most* paths and (but for a single one) *most_bytes* bytes."""
    found: list[list[str]] = []
    total = 0
    for path in sorted(paths, key=lambda path: (size_of(path), path)):
        if not found or len(found[-1]) >= most or total + size_of(path) > most_bytes:
            found.append([])
            total = 0
        found[-1].append(path)
        total += size_of(path)
    return found
