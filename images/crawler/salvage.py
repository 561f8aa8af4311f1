"""Brings in what earlier runs left behind: killed before their end, or with an object store that was down.

A run's folder holds `run.json` (what it was), `lock` (held while its process lives) and `files/` (what is to be
uploaded, gone once it was). So a folder with `files/` and a free lock is one to salvage.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from images.crawler.archive import ERRORS, PAGES, utc_text
from images.crawler.manifest import FORMAT, list_files, read_rows, statuses
from images.crawler.settings import CrawlSettings, remote_folder
from images.crawler.upload import MANIFEST, Uploader, UploadError
from images.lib.files import read_json, replace_json

log = logging.getLogger("crawler")

FILES, RUN, LOCK, RESULT = "files", "run.json", "lock", "result.json"
_CHUNK = 64 * 1024


@contextlib.contextmanager
def locked(run_dir: Path) -> Iterator[bool]:
    """Hold the lock of *run_dir* for the block; False where another process has it. Any death frees it."""
    descriptor = os.open(run_dir / LOCK, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)


def salvage_all(settings: CrawlSettings, uploader: Uploader) -> list[Path]:
    """Upload what the folders in salvage_dirs hold; gives those that still wait. One try each, nothing is raised."""
    waiting = []
    for run_dir in settings.salvage_dirs:
        if uploader.stopping():
            waiting.append(run_dir)
            continue
        try:
            salvage(run_dir, settings, uploader)
        except (UploadError, OSError, ValueError) as error:
            log.warning("the run in %s is still not uploaded: %s", run_dir.name, error)
            waiting.append(run_dir)
    return waiting


def salvage(run_dir: Path, settings: CrawlSettings, uploader: Uploader) -> bool:
    """Upload the files of the run in *run_dir*, if it has any and no longer lives; True if it did.

    They go to the folder of that run under the destination of *settings* (the earlier one may have been what was
    wrong). UploadError, OSError; ValueError where run.json is unreadable.
    """
    files = run_dir / FILES
    if not files.is_dir() or run_dir.resolve() == settings.run_dir.resolve():
        return False
    with locked(run_dir) as ours:
        if not ours:
            log.info("the run in %s is still going on", run_dir.name)
            return False
        run = _read_run(run_dir)
        if not (files / MANIFEST).exists():
            repair(files)
            replace_json(files / MANIFEST, _manifest_of_killed(files, run))
        destination = remote_folder(settings.destination, run["run_id"])
        uploader.upload(files, destination, patient=False)
        _note_upload(run_dir, destination, settings.run_id)
        shutil.rmtree(files)
    log.info("uploaded the earlier run %s", run["run_id"])
    return True


def _read_run(run_dir: Path) -> dict[str, Any]:
    run = read_json(run_dir / RUN)
    if isinstance(run, dict) and isinstance(run.get("run_id"), str):
        return run
    raise ValueError(f"{RUN} can't be read")


def repair(files: Path) -> None:
    """Cut what a killed process left half written: the last WARC record and the last line. OSError."""
    for leftover in files.glob(".*"):
        leftover.unlink()
    sizes = {}
    for warc in sorted(files.glob("*.warc.gz")):
        cut = trim_warc(warc)
        if cut:
            log.info("%s: %d bytes of an unfinished record cut off", warc.name, cut)
        sizes[warc.name] = warc.stat().st_size
        if not sizes[warc.name]:
            warc.unlink()
    for name in (PAGES, ERRORS):
        if (files / name).exists():
            _keep_whole_lines(files / name, sizes)


def trim_warc(path: Path) -> int:
    """Cut the file back to its last whole record; gives how many bytes went. OSError.

    Each record is one gzip member, whose checksum tells whether it is whole.
    """
    with path.open("r+b") as stream:
        end = whole_members(stream)
        size = stream.seek(0, os.SEEK_END)
        if end < size:
            stream.truncate(end)
            os.fsync(stream.fileno())
    return size - end


def whole_members(stream: BinaryIO) -> int:
    """Where the last whole gzip member of *stream* ends, in bytes from its beginning."""
    end = position = 0
    member = zlib.decompressobj(16 + zlib.MAX_WBITS)
    while data := stream.read(_CHUNK):
        while data:
            try:
                member.decompress(data)
            except zlib.error:
                return end
            rest = member.unused_data if member.eof else b""
            position += len(data) - len(rest)
            if member.eof:
                end = position
                member = zlib.decompressobj(16 + zlib.MAX_WBITS)
            data = rest
    return end


def _keep_whole_lines(path: Path, warc_sizes: dict[str, int]) -> None:
    """Drop lines that are not JSON, and pages whose record is not in the WARC files any more."""
    kept = path.with_name(f".{path.name}")
    with path.open("rb") as old, kept.open("wb") as new:
        for line in old:
            try:
                row = json.loads(line)
            except ValueError:
                continue
            place = row.get("warc")
            if place is None or row["offset"] + row["length"] <= warc_sizes.get(place, 0):
                new.write(line)
    kept.chmod(0o600)
    kept.replace(path)


def _manifest_of_killed(files: Path, run: dict[str, Any]) -> dict[str, Any]:
    rows = list(read_rows(files))
    good = [row for row in rows if 200 <= row["status"] < 300]
    ended = max((path.stat().st_mtime for path in files.iterdir()), default=files.stat().st_mtime)
    return {
        "format": FORMAT,
        **run,
        "ended": utc_text(datetime.fromtimestamp(ended, UTC)),
        "outcome": "interrupted",
        "reason": "interrupted",
        "message": "The process was killed before the crawl had ended; this is what it had written.",
        "counts": {
            "pages": sum(row["kind"] == "page" for row in good),
            "resources": sum(row["kind"] != "page" for row in good),
            "bytes": sum(row["bytes"] for row in rows),
        },
        "statuses": statuses(iter(rows)),
        "files": list_files(files),
    }


def _note_upload(run_dir: Path, destination: str, by: str) -> None:
    """Say in that run's result.json, if it got to write one, that its files have arrived."""
    result = read_json(run_dir / RESULT)
    if isinstance(result, dict):
        replace_json(run_dir / RESULT, result | {"destination": destination, "uploaded": True, "uploaded_by": by})
