"""The files of a world: which ones count, and their bytes. Every surprise is a Problem; nothing is parsed."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from config.errors import Problem, WorldError

SITE_FILE = "site.yaml"
FOLDERS = ("profiles", "tenants")
MAX_BYTES = 2**20
"""Size of one file; a tenant takes about 2 KiB."""

_IGNORED = re.compile(
    r"^\."  # hidden, editors' locks (.#name), swap files, and a ConfigMap volume's ..data
    r"|~$|^#.*#$|\.(bak|orig|rej|old|swp|swo|tmp|dpkg-\w+|rpm\w+)$"  # back-ups
    r"|\.md$|^README"  # a word to the next operator
)


@dataclass(frozen=True)
class WorldFile:
    """A file that counts, with what tells whether it has changed."""

    name: str
    """Relative to the world's folder, e.g. tenants/physics.yaml."""
    path: Path
    size: int
    stamp: tuple[int, ...]
    """Modification and status change in nanoseconds, size, inode, device."""


def list_files(directory: Path) -> tuple[list[WorldFile], list[Problem]]:
    """The files that declare the world, by name, and a problem for each that looks as if it were meant to.

    WorldError where the folder itself cannot be used.
    """
    problems: list[Problem] = []
    files: list[WorldFile] = []
    top = str(directory)
    for entry in _entries(directory, top):
        if entry.name == SITE_FILE:
            files += _file(entry, SITE_FILE, problems)
        elif entry.name in FOLDERS:
            try:
                inside = _entries(Path(entry.path), entry.name)
            except WorldError as error:
                problems += error.problems
                continue
            for member in inside:
                files += _member(member, f"{entry.name}/{member.name}", problems)
        elif not _IGNORED.search(entry.name):
            problems += _near_miss(entry.name)
    if not files and not problems:
        fix = "declare site.yaml, profiles/*.yaml and tenants/*.yaml in it"
        raise WorldError([Problem(top, 0, "", "nothing is declared in this folder", fix)])
    return files, problems


def read(file: WorldFile) -> bytes | Problem:
    """The bytes of *file*, or why there are none."""
    if file.size > MAX_BYTES:
        said = f"the file is larger than {MAX_BYTES // 1024} KiB"
        return Problem(file.name, 0, "", said, "split it into one file a tenant or profile")
    try:
        with file.path.open("rb") as opened:
            # One more than allowed: the file may have grown since it was listed.
            raw = opened.read(MAX_BYTES + 1)
    except OSError as error:
        return Problem(file.name, 0, "", f"cannot be read: {_reason(error)}", "let the hub's account read it")
    return raw[:MAX_BYTES]


def _entries(directory: Path, shown: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return sorted(found, key=lambda entry: entry.name)
    except FileNotFoundError:
        problem = Problem(shown, 0, "", "there is no such folder", "name the folder that holds site.yaml and tenants/")
    except NotADirectoryError:
        problem = Problem(shown, 0, "", "this is not a folder", "name the folder that holds site.yaml and tenants/")
    except (OSError, ValueError) as error:
        problem = Problem(shown, 0, "", f"cannot be listed: {_reason(error)}", "let the hub's account read it")
    raise WorldError([problem])


def _member(entry: os.DirEntry[str], name: str, problems: list[Problem]) -> Iterator[WorldFile]:
    if _IGNORED.search(entry.name):
        return
    if entry.name.endswith(".yaml") or entry.is_dir():
        yield from _file(entry, name, problems)
    elif entry.name.lower().endswith((".yml", ".yaml")):
        right = Path(entry.name).stem + ".yaml"
        problems.append(Problem(name, 0, "", "only names that end in .yaml are read", f"rename it to {right}"))
    else:
        problems.append(Problem(name, 0, "", "this is no .yaml file", "move it away, or rename it to end in .yaml"))


def _file(entry: os.DirEntry[str], name: str, problems: list[Problem]) -> Iterator[WorldFile]:
    try:
        found = entry.stat()
    except OSError as error:
        fix = "remove the link, or create what it points to" if entry.is_symlink() else "let the hub's account read it"
        problems.append(Problem(name, 0, "", f"cannot be read: {_reason(error)}", fix))
        return
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "no regular file"
        problems.append(Problem(name, 0, "", f"this is {kind}", "put a plain file ending in .yaml here"))
        return
    stamp = (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino, found.st_dev)
    yield WorldFile(name, Path(entry.path), found.st_size, stamp)


def _near_miss(name: str) -> Iterable[Problem]:
    """Other files may lie beside the world; only a name that was surely meant for one of ours is said."""
    for right in difflib.get_close_matches(name.lower(), (SITE_FILE, *FOLDERS), n=1, cutoff=0.8):
        yield Problem(name, 0, "", "nothing reads this name", f"rename it to {right}")


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error)).lower()
