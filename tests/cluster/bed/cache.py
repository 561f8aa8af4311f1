"""The build cache: what takes minutes is made once, by one builder at a time, and appears whole or not at all."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Say = Callable[[str], None]

KEPT_SECONDS = 14 * 24 * 3600.0  # an older edition of an artefact goes when nothing has asked for it for so long


@dataclass(frozen=True)
class Artefact:
    """One folder of the cache: a name, what it is made from, and how.

    `make` gets an empty folder and the builder's lock, an open file descriptor: a child process that inherits it keeps
    the next builder waiting, should this one be killed. It raises BedError, one line, when it cannot.
    """

    name: str
    key: str  # of its inputs, see `key_of`
    make: Callable[[Path, int], None]
    about: str = "some seconds"  # how long that takes on two cores, for whoever waits


def root(environ: Mapping[str, str] = os.environ) -> Path:
    """The cache's folder: $TENANTHUB_CACHE, else the user's cache folder as the XDG base directories have it."""
    if named := environ.get("TENANTHUB_CACHE"):
        return Path(named).absolute() / "cluster"
    base = environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache"
    return Path(base) / "tenanthub" / "cluster"


def key_of(parts: Iterable[str | bytes]) -> str:
    """16 hexadecimal digits of SHA-256 over the parts; each goes in with its length, so that no two lists agree."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def folder_of(artefact: Artefact) -> Path:
    """Where an artefact is, once it is made."""
    return root() / artefact.name / artefact.key


@contextmanager
def readable() -> Iterator[None]:
    """What is made meanwhile, others may read, whatever the caller's umask: pods run as other users."""
    before = os.umask(0o022)
    try:
        yield
    finally:
        os.umask(before)


def obtain(artefacts: Iterable[Artefact], say: Say) -> None:
    """Make those artefacts that are not there yet, with a line before and after each.

    Raises BedError when one cannot be made; what was made before it stays.
    """
    wanted = list(artefacts)
    if not all(folder_of(artefact).exists() for artefact in wanted):
        with readable(), _one_builder(root(), say) as lock:
            # asked again under the lock: another builder may have made it while we waited
            missing = [artefact for artefact in wanted if not folder_of(artefact).exists()]
            for number, artefact in enumerate(missing, 1):
                _make(artefact, folder_of(artefact), lock, f"{number} of {len(missing)}", say)
    for artefact in wanted:
        os.utime(folder_of(artefact))  # what says below that it is in use


def _make(artefact: Artefact, folder: Path, lock: int, which: str, say: Say) -> None:
    say(f"build {which}: {artefact.name} ({artefact.about})")
    started = time.monotonic()
    folder.parent.mkdir(parents=True, exist_ok=True)
    for old in folder.parent.iterdir():
        # No other builder is at work (the lock), so a temporary folder here is what a killed one left.
        if old.name.startswith(".") or time.time() - old.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    temporary = folder.parent / f".{folder.name}.{os.getpid()}"
    temporary.mkdir()
    try:
        artefact.make(temporary, lock)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    say(f"build {which}: {artefact.name} done, {time.monotonic() - started:.0f} s, {_mebibytes(folder)} MiB")


def _mebibytes(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*")) // 2**20


@contextmanager
def _one_builder(cache: Path, say: Say) -> Iterator[int]:
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("build: waiting for another builder of the same cache")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
