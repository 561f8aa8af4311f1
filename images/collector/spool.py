"""What has been received and is not in the object store yet, and the journal that outlives kill -9.

One file for each upload, named by its id, and one journal of lines: ``begin`` (who sends what), ``received``
(complete: this many bytes), ``synced`` (also safe from a power failure), ``end`` (no longer ours). A killed process
loses nothing that it wrote, so neither the files nor the journal are synced on the fast way to the object store:
until it has its 226 a client has been promised nothing. Only an upload that must wait is synced. After a power
failure (the boot id differs) a file that was not synced may have lost its end, and counts as broken off.
"""

from __future__ import annotations

import json
import logging
import os
import secrets
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

_COMPACT_BYTES = 4_000_000
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_log = logging.getLogger("collector")


@dataclass(frozen=True)
class Upload:
    """One upload: *path* relative to the destination, *started* in seconds since 1970, *size* None until received."""

    id: str
    path: str
    source: str
    protocol: str
    started: float
    size: int | None = None
    sha256: str | None = None
    received: float | None = None


@dataclass(frozen=True)
class Left:
    """What an earlier run left behind: *complete* in the order of reception, *broken* with the reason for people."""

    complete: tuple[Upload, ...]
    broken: tuple[tuple[Upload, str], ...]


class Spool:
    """The folder *folder* (made, 0700), which may hold *max_bytes*. OSError where it cannot be written."""

    def __init__(self, folder: Path, max_bytes: int | None = None) -> None:
        self.folder = folder.absolute()
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._live: dict[str, tuple[Upload, bool]] = {}  # id → the upload, and whether it is synced
        self._used = 0
        self._boot = _boot_id()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._journal_path = self.folder / "journal.jsonl"
        self._journal = -1
        self._journal_bytes = 0

    def recover(self) -> Left:
        """Read what an earlier run left, remove what is broken or nobody's, and begin a fresh journal. Call it once."""
        complete: list[Upload] = []
        broken: list[tuple[Upload, str]] = []
        for upload, synced, boot in _replay(self._journal_path):
            reason = self._why_broken(upload, synced, boot)
            if reason:
                broken.append((upload, reason))
            else:
                complete.append(upload)
                self._live[upload.id] = (upload, synced)
                self._used += upload.size or 0
        for path in self.folder.iterdir():
            if path.name not in self._live and path.is_file():
                path.unlink()
        self._compact()
        return Left(tuple(complete), tuple(broken))

    def begin(self, path: str, source: str, protocol: str) -> Upload:
        """Note that an upload of *path* begins. OSError where the journal cannot be written."""
        upload = Upload(
            f"{int(time.time() * 1000):012x}{secrets.token_hex(4)}", path, source, protocol, round(time.time(), 3)
        )
        with self._lock:
            self._note("begin", id=upload.id, path=path, source=source, protocol=protocol, started=upload.started)
            self._live[upload.id] = (upload, False)
        return upload

    def file(self, upload: Upload) -> Path:
        """Where the bytes of *upload* lie."""
        return self.folder / upload.id

    def grow(self, count: int) -> bool:
        """Take *count* bytes of the allowance; False where it is used up. Negative gives back."""
        with self._lock:
            if count > 0 and self._max_bytes is not None and self._used + count > self._max_bytes:
                return False
            self._used += count
            return True

    def received(self, upload: Upload, size: int, sha256: str | None) -> Upload:
        """Note that *upload* is complete with *size* bytes; from here on it survives kill -9. OSError as in begin()."""
        upload = replace(upload, size=size, sha256=sha256, received=round(time.time(), 3))
        with self._lock:
            more = {} if sha256 is None else {"sha256": sha256}
            self._note("received", id=upload.id, size=size, received=upload.received, boot=self._boot, **more)
            self._live[upload.id] = (upload, False)
        return upload

    def sync(self, upload: Upload) -> None:
        """Make *upload* safe from a power failure, journal included. OSError where the disk refuses."""
        for path in (self.file(upload), self.folder):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        with self._lock:
            self._note("synced", id=upload.id)
            self._live[upload.id] = (upload, True)
            os.fsync(self._journal)

    def remove(self, upload: Upload, bytes_held: int) -> None:
        """Forget *upload* and give back its *bytes_held*. Never raises: what stays behind goes at the next start."""
        try:
            self.file(upload).unlink(missing_ok=True)
            with self._lock:
                self._note("end", id=upload.id)
        except OSError as error:
            _log.warning("spool: %s", error)
        with self._lock:
            self._live.pop(upload.id, None)
            self._used -= bytes_held
            if self._journal_bytes > _COMPACT_BYTES:
                self._compact()

    def _note(self, event: str, **fields: Any) -> None:
        """Append one line; the caller holds the lock. A line that the disk took only in part is ended, so that it is
        skipped alone by the next reader."""
        line = (json.dumps({"event": event, **fields}, ensure_ascii=False) + "\n").encode()
        written = os.write(self._journal, line)
        self._journal_bytes += written
        if written != len(line):
            os.write(self._journal, b"\n")
            raise OSError(28, os.strerror(28))

    def _why_broken(self, upload: Upload, synced: bool, boot: str | None) -> str | None:
        if upload.size is None:
            return "the collector was stopped while it was being received"
        try:
            size = self.file(upload).stat().st_size
        except FileNotFoundError:
            return "received, but its file is gone from the spool"
        if size != upload.size:
            return f"received with {upload.size} bytes, but the spool holds {size}"
        if not synced and boot != self._boot:
            return "the machine went down before the file was safely on disk"
        return None

    def _compact(self) -> None:
        """Write the journal anew with what is alive, in the same order. Replaced whole: a reader sees the old or new
        one.
        """
        fresh = self._journal_path.with_name("journal.new")
        with fresh.open("w", encoding="utf-8") as stream:
            for upload, synced in self._live.values():
                stream.write("".join(_lines(upload, synced, self._boot)))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._journal_path)
        if self._journal >= 0:
            os.close(self._journal)
        self._journal = os.open(self._journal_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._journal_bytes = self._journal_path.stat().st_size


def _lines(upload: Upload, synced: bool, boot: str) -> Iterable[str]:
    event = {key: value for key, value in asdict(upload).items() if value is not None}
    yield json.dumps({"event": "begin", **event}, ensure_ascii=False) + "\n"
    if upload.size is not None:
        yield json.dumps({**event, "event": "received", "boot": boot}, ensure_ascii=False) + "\n"
    if synced:
        yield json.dumps({"event": "synced", "id": upload.id}) + "\n"


def _replay(path: Path) -> list[tuple[Upload, bool, str | None]]:
    """The uploads that *path* leaves open, those received in the order of their reception. A torn line is skipped."""
    live: dict[str, tuple[Upload, bool, str | None]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    for line in lines:
        try:
            event = json.loads(line)
            kind, key = event.pop("event"), str(event["id"])
            boot = event.pop("boot", None)
            if kind == "begin":
                live[key] = (Upload(**event), False, None)
            elif kind == "received":
                upload = live.pop(key)[0]  # taken out and put in again: now it stands where it was received
                live[key] = (replace(upload, **event), False, boot)
            elif kind == "synced":
                live[key] = (live[key][0], True, live[key][2])
            elif kind == "end":
                live.pop(key, None)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return list(live.values())


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"
