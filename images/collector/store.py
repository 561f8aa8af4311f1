"""The destination folder in the object store, through rclone's remote control."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from images.lib.rclone_rc import SIMPLE_NAME, RcloneDaemon, RcloneError, RcloneUnavailable

RCD_OPTIONS = (
    # One request for each small file: PUT carries Content-MD5, so the store itself has checked what it says 200 to.
    "--s3-no-head",
    "--s3-no-check-bucket",  # a missing bucket is an error to be told, not a bucket to be made
    # One PUT is faster than parts (no part is kept in memory) and replaces the object atomically, as parts do.
    "--s3-upload-cutoff=1Gi",
    "--s3-chunk-size=16Mi",
    "--multi-thread-streams=0",
    # Our own retries know the order of uploads; rclone's would only make the client wait longer for its 451.
    "--retries=1",
    "--low-level-retries=2",
    "--contimeout=10s",
    "--timeout=60s",
    "--fs-cache-expire-duration=24h",
    "--log-level=ERROR",
)
_LOOK_S = 60.0
_SMALL_BYTES = 64 * 1024  # below rclone's --streaming-upload-cutoff (100 KiB): one PUT with its size and MD5 known
_NO_CHECK = {"NoCheckDest": True, "IgnoreChecksum": True, "IgnoreTimes": True}


class StoreError(Exception):
    """The object store, or the way to it, failed; str() is one line for people."""


@dataclass(frozen=True)
class Entry:
    """One file or folder: *size* in bytes (0 for a folder), *modified* in seconds since 1970."""

    name: str
    folder: bool
    size: int
    modified: float


class Store:
    """The folder *destination* ("name:bucket/folder"); all paths are relative to it, with "/"."""

    def __init__(self, daemon: RcloneDaemon, destination: str) -> None:
        self._daemon = daemon
        # With a slash at its end rclone takes it for a folder without asking. Without one it asks whether it is a file,
        # takes any error, such as a store that is down, for a yes (1.75), and remembers that as long as the remote.
        self._fs = f"{destination}/"

    def put(self, local: Path, path: str, timeout_s: float) -> None:
        """Copy *local* over *path*; returns once the store has it. StoreError otherwise: it may or may not be there."""
        # Not waiting for the daemon would turn its restart into a needless 451.
        self._daemon.wait_ready(5.0)
        folder, _, name = path.rpartition("/")
        if SIMPLE_NAME.fullmatch(name) and local.stat().st_size <= _SMALL_BYTES:
            self._upload(local, folder, name, timeout_s)
            return
        self._call(
            "operations/copyfile",
            timeout_s,
            srcFs=str(local.parent),
            srcRemote=local.name,
            dstFs=self._fs,
            dstRemote=path,
            # The name is known to be ours to replace: looking at what is there first would be one more request.
            _config=_NO_CHECK,
        )

    def _upload(self, local: Path, folder: str, name: str, timeout_s: float) -> None:
        try:
            self._daemon.upload(self._fs, folder, name, local.read_bytes(), timeout_s)
        except RcloneUnavailable as error:
            raise StoreError(f"{error}; it is being started again") from None
        except RcloneError as error:
            raise StoreError(str(error)) from None

    def probe(self) -> None:
        """Ask for something that is not there: StoreError where the store, the keys or the bucket are not as they
        should be.

        A bucket store lists nothing under a prefix that does not exist; only a missing bucket is "not found".
        """
        try:
            self._daemon.call("operations/list", _LOOK_S, fs=self._fs, remote=".tenanthub-probe")
        except RcloneError as error:
            if not error.missing:
                raise StoreError(str(error)) from None
            features = self._call("operations/fsinfo", _LOOK_S, fs=self._fs).get("Features") or {}
            if features.get("BucketBased"):
                raise StoreError(f"the bucket of {self._fs.rstrip('/')} does not exist") from None

    def get(self, path: str, local: Path) -> None:
        """Copy *path* to *local*. StoreError."""
        self._call(
            "operations/copyfile",
            None,
            srcFs=self._fs,
            srcRemote=path,
            dstFs=str(local.parent),
            dstRemote=local.name,
        )

    def stat(self, path: str) -> Entry | None:
        """What *path* is, None where nothing is there. StoreError."""
        item = self._call("operations/stat", _LOOK_S, fs=self._fs, remote=path).get("item")
        return None if item is None else _entry(item)

    def list(self, path: str) -> list[Entry]:
        """The files and folders directly in folder *path*; empty where there is none. StoreError."""
        try:
            answer = self._daemon.call("operations/list", _LOOK_S, fs=self._fs, remote=path)
        except RcloneError as error:
            if error.missing:
                return []
            raise StoreError(str(error)) from None
        return [_entry(item) for item in answer.get("list") or []]

    def move(self, source: str, target: str) -> None:
        """Rename a file within the store (server-side copy, then delete), replacing *target*. StoreError."""
        self._call(
            "operations/movefile",
            None,
            srcFs=self._fs,
            srcRemote=source,
            dstFs=self._fs,
            dstRemote=target,
            _config=_NO_CHECK,
        )

    def delete(self, path: str) -> None:
        """Delete a file. StoreError."""
        self._call("operations/deletefile", _LOOK_S, fs=self._fs, remote=path)

    def _call(self, method: str, timeout_s: float | None, **parameters: Any) -> dict[str, Any]:
        try:
            return self._daemon.call(method, timeout_s, **parameters)
        except RcloneUnavailable as error:
            raise StoreError(f"{error}; it is being started again") from None
        except RcloneError as error:
            raise StoreError(str(error)) from None


def _entry(item: dict[str, Any]) -> Entry:
    try:
        modified = datetime.fromisoformat(str(item["ModTime"])).timestamp()
    except (KeyError, ValueError):
        modified = 0.0
    folder = bool(item.get("IsDir"))
    return Entry(str(item["Name"]), folder, 0 if folder else max(0, int(item.get("Size", 0))), modified)
