"""Checks on the text of the repository's files: how long they are, and what must not stand in them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

from tools.places import ROOT

LONGEST = 400  # lines; a file that needs more holds more than one thing
CODE = frozenset({".py", ".html", ".css", ".js", ".sh"})
CODE_NAMES = frozenset({"Makefile", "run"})

# Where this project happens to be worked on and fetched from concerns nobody who clones it: a lock file with a host in
# it binds everyone to that host. In pieces, so that this file doesn't hold what it looks for.
_HOSTS = (("py", "pi.org"), ("files.python", "hosted.org"), ("registry.", "npmjs"), ("registry.", "yarnpkg"))
_FOLDERS = (r"/wo", r"rk/(main|shared|\.)"), (r"/tm", r"p/(brief|bash_jobs)"), (r"/ro", r"ot/")
# `target=` is a folder inside of an image that is being built, not of this machine.
FORBIDDEN: tuple[tuple[re.Pattern[str], str], ...] = (
    *((re.compile(re.escape("".join(parts))), "the host of a package registry") for parts in _HOSTS),
    *(
        (re.compile(rf"(?<![\w.])(?<!target=){''.join(parts)}"), "a folder of one developer's machine")
        for parts in _FOLDERS
    ),
    (re.compile(r'^\s*"resolved": "http', re.MULTILINE), "a download address in a lock file (.npmrc keeps them out)"),
    (re.compile(r"^--(extra-)?index-url", re.MULTILINE), "an index address in a lock file"),
)


def tracked(root: Path = ROOT) -> list[Path]:
    """The files of the repository, new ones included, as paths relative to it; ignored ones are left out.

    Raises RuntimeError where git doesn't answer: a check of no files at all would find nothing wrong.
    """
    argv = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listing = subprocess.run(argv, check=True, cwd=root, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise RuntimeError("make lint needs git, and a checkout made by it") from error
    return sorted({Path(name) for name in listing.split("\0") if name and (root / name).is_file()})


def too_long(files: Iterable[Path], root: Path = ROOT) -> list[str]:
    """A line for each file of code that is longer than LONGEST lines."""
    found = []
    for file in files:
        if file.suffix in CODE or file.name in CODE_NAMES:
            lines = (root / file).read_bytes().count(b"\n")
            if lines > LONGEST:
                found.append(f"{file}: {lines} lines, {LONGEST} is the limit; split it by what its parts are for")
    return found


def forbidden(files: Iterable[Path], root: Path = ROOT) -> list[str]:
    """A line for each place that names a registry host or a folder of one machine; binary files are passed over."""
    found = []
    for file in files:
        content = (root / file).read_bytes()
        if b"\0" in content[:8000]:
            continue
        text = content.decode(errors="replace")
        for pattern, what in FORBIDDEN:
            for match in pattern.finditer(text):
                line = text.count("\n", 0, match.start()) + 1
                found.append(f"{file}:{line}: {what}: {match[0].strip()}")
    return found
