"""Uploads by FTP into the same object store. An upload counts when its object is there, with its full size.

An engine may answer 226 before that: whoever then turns the instrument off, or deletes its copy, loses the file. So the
time runs until both are true, and how often 226 came too early is a figure of its own.
"""

from __future__ import annotations

import ftplib
import io
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench import engines
from tests.bench.contest import FAILURES, CannotRun, Contender, Turn, contest, reason
from tests.bench.engines import Engine
from tests.bench.lab import Lab, Options
from tests.bench.table import Measure, Result, Section
from tests.images.s3 import S3Server

NAME = "collector"
TITLE = "Instrument upload by FTP"
OURS = "TenantHub collector"
_BLOCK = 1 << 20
_WITHIN_S = 120
_EVERY_S = 0.002
_CONNECTIONS = 4
_PEERS = (
    ("rclone serve ftp, defaults", "bench-plain", ()),
    (
        "rclone serve ftp, cache `writes`, write-back 0",
        "bench-cache",
        ("--vfs-cache-mode", "writes", "--vfs-write-back", "0"),
    ),
)


def measures(options: Options) -> tuple[Measure, ...]:
    """Sizes are the run's own."""
    small = f"{options.small_files} files of {options.small_kib} KiB"
    return (
        Measure("large", f"one file of {options.large_mib} MiB", "MB/s", "more"),
        Measure("small_1", f"{small}, 1 connection", "files/s", "more"),
        Measure("small_n", f"{small}, {_CONNECTIONS} connections", "files/s", "more"),
        Measure("early", "answered 226 before the object was there, a round", "files"),
        Measure("late_s", "last 226 → the last object was there", "s"),
    )


def run(lab: Lab) -> Section:
    """Our collector beside rclone's own server, over one S3 server."""
    s3 = S3Server(lab.new_folder("s3"))
    lab.stack.callback(s3.stop)
    try:
        s3.start()
    except FAILURES as error:
        raise CannotRun(f"the object store: {reason(error)}") from None
    contenders = [Contender(OURS, lambda: _turns(lab, engines.collector(lab.new_folder("ours"), s3)), ours=True)]
    for name, bucket, flags in _PEERS:
        serve = partial(engines.rclone_ftp, s3=s3, bucket=bucket, flags=flags)
        contenders.append(Contender(name, partial(_peer, lab, bucket, serve)))
    results = contest(NAME, measures(lab.options), contenders, lab.options.rounds)
    return Section(NAME, TITLE, results, (*_early(results), "The store behind all of them is one `rclone serve s3`."))


def _peer(
    lab: Lab, folder: str, serve: Callable[[Path], AbstractContextManager[Engine]]
) -> AbstractContextManager[Turn]:
    return _turns(lab, serve(lab.new_folder(folder)))


def _early(results: tuple[Result, ...]) -> list[str]:
    """In words: who answered 226 too early."""
    counts = {r.contender: sum(r.values) for r in results if r.measure.key == "early" and r.values}
    early = [f"{name} ({count:.0f} times)" for name, count in counts.items() if count]
    fine = [name for name, count in counts.items() if not count]
    told = [f"226 came before the object existed: {'; '.join(early)}."] if early else []
    return told + ([f"226 never came before the object existed: {'; '.join(fine)}."] if fine else [])


@contextmanager
def _turns(lab: Lab, serving: AbstractContextManager[Engine]) -> Iterator[Turn]:
    options = lab.options
    large, small = options.large_mib << 20, options.small_kib << 10

    def turn(round_: int) -> dict[str, float]:
        one = _upload(engine, [f"large-{round_}.dat"], large, 1)
        names = [f"small-{round_}-{number}.dat" for number in range(options.small_files)]
        single = _upload(engine, [f"1-{name}" for name in names], small, 1)
        several = _upload(engine, [f"n-{name}" for name in names], small, _CONNECTIONS)
        return {
            "large": large / 1e6 / one.seconds,
            "small_1": len(names) / single.seconds,
            "small_n": len(names) / several.seconds,
            "early": one.early + single.early + several.early,
            "late_s": max(one.late_s, single.late_s, several.late_s),
        }

    with serving as engine:
        _upload(engine, [f"first-{number}.dat" for number in range(_CONNECTIONS)], small, _CONNECTIONS)
        yield turn


@dataclass(frozen=True)
class _Uploaded:
    seconds: float
    """From the first command until every file was answered and its object is there."""
    early: int
    """Files that were answered 226 before their object was there."""
    late_s: float
    """From the last 226 until the last object was there; 0 where all were."""


def _upload(engine: Engine, names: list[str], size: int, connections: int) -> _Uploaded:
    """Upload over *connections* connections at once; signing in is not counted. The objects are removed again."""
    clients = [engine.client() for _ in range(connections)]
    try:
        with ThreadPoolExecutor(connections) as pool:
            began = time.perf_counter()
            jobs = [
                pool.submit(_upload_each, engine, client, names[index::connections], size)
                for index, client in enumerate(clients)
            ]
            early = sum(job.result() for job in jobs)
        answered = time.perf_counter()
        _until_there(engine, names, size)
        there = time.perf_counter()
    finally:
        for client in clients:
            client.close()
    for name in names:
        (engine.objects / name).unlink()  # behind the store's back: its disk should not fill, and no name comes again
    return _Uploaded(there - began, early, there - answered if early else 0.0)


def _upload_each(engine: Engine, client: ftplib.FTP, names: list[str], size: int) -> int:
    """How many were answered before their object was there. CannotRun where one is answered otherwise than 226."""
    early = 0
    for name in names:
        reply = client.storbinary(f"STOR {name}", _Noise(size), _BLOCK)
        if not reply.startswith("226"):
            raise CannotRun(f"{name} was answered {reply}")
        early += not _is_there(engine, name, size)
    return early


def _until_there(engine: Engine, names: list[str], size: int) -> None:
    waiting, deadline = list(names), time.monotonic() + _WITHIN_S
    while waiting := [name for name in waiting if not _is_there(engine, name, size)]:
        if time.monotonic() > deadline:
            raise CannotRun(
                f"{len(waiting)} of {len(names)} files were not in the bucket {_WITHIN_S} s after their 226"
            )
        time.sleep(_EVERY_S)


def _is_there(engine: Engine, name: str, size: int) -> bool:
    """Looked up in the folder behind the store: a request would take part of the time that is measured."""
    try:
        return (engine.objects / name).stat().st_size == size
    except FileNotFoundError:
        return False


class _Noise(io.RawIOBase):
    """A file of *size* random bytes (the same mebibyte again and again), without a disk to read it from."""

    _block = secrets.token_bytes(_BLOCK)

    def __init__(self, size: int) -> None:
        self._left = size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken = min(self._left, len(self._block) if size < 0 else size)
        self._left -= taken
        return self._block[:taken]
