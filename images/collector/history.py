"""The rows of uploads where they outlive this machine: mirrored into the object store, and fetched from there.

In a Pod the state folder goes with the Pod. One object a collector, beside the files and not among them: the newest
rows, at most MOST bytes, sent when something has changed and once more at the end. There is only one writer: a
Deployment of one that ends before the next begins. The hub, which cannot read that object, gets the last of them as the
container's termination message.
"""

from __future__ import annotations

import logging
import os
import subprocess
import tempfile
import threading
from pathlib import Path

from images.lib.last_rows import packed
from images.lib.run import leave

EVERY_S = 30.0
MOST = 1_000_000
_FETCH_S, _SEND_S = 20.0, 60.0
_log = logging.getLogger("collector")


class History:
    """Keeps the object *place* ("remote:bucket/path.jsonl") like the file *rows*. What fails is logged, and costs
    nothing but rows of a Pod that is gone: no upload waits for it."""

    def __init__(self, rows: Path, place: str, rclone: Path, config: Path) -> None:
        self._rows, self._place = rows, place
        self._command = [str(rclone), "--config", str(config), "--retries", "1", "--low-level-retries", "2"]
        self._command += ["--contimeout", "10s", "--s3-no-check-bucket", "--log-level", "ERROR"]
        self._stopping = threading.Event()
        self._sent: tuple[int, int] | None = None
        self._thread = threading.Thread(target=self._follow, name="history", daemon=True)

    def start(self) -> None:
        """Fetch the rows of earlier Pods, where there are none here; then follow."""
        if not self._rows.exists():
            fresh = self._rows.with_name(f".{self._rows.name}.fetched")
            # Nothing there is what a first start finds; rclone says no more of it than of a store that is down.
            if self._run("copyto", self._place, str(fresh), within_s=_FETCH_S, quiet=True) and fresh.exists():
                fresh.replace(self._rows)
                self._sent = self._state()
        self._thread.start()

    def leave(self) -> None:
        """The last rows as this container's last words: what a page shows of a collector that is stopped."""
        try:
            leave(packed(newest(self._rows, MOST)))
        except OSError:  # nothing was uploaded: no rows
            return

    def stop(self) -> None:
        """Send what is new, for the last time."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_SEND_S)

    def _follow(self) -> None:
        over = False
        while not over:
            over = self._stopping.wait(EVERY_S)
            now = self._state()
            if now is not None and now != self._sent and self._send():
                self._sent = now

    def _state(self) -> tuple[int, int] | None:
        try:
            status = self._rows.stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns

    def _send(self) -> bool:
        with tempfile.NamedTemporaryFile(dir=self._rows.parent, prefix=".history-") as copy:
            try:
                copy.write(newest(self._rows, MOST))
                copy.flush()
            except OSError as error:
                _log.error("the rows of uploads cannot be kept: %s", error.strerror)
                return False
            return self._run("copyto", copy.name, self._place, within_s=_SEND_S)

    def _run(self, *words: str, within_s: float, quiet: bool = False) -> bool:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RCLONE_")}
        try:
            done = subprocess.run(
                [*self._command, *words],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                env=environment,
                timeout=within_s,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            _log.warning("the rows of uploads: %s", error if isinstance(error, OSError) else "the store is too slow")
            return False
        if done.returncode and not quiet:
            last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
            _log.warning("the rows of uploads could not be kept in the object store: %s", last[:300])
        return done.returncode == 0


def newest(rows: Path, most: int) -> bytes:
    """The last whole lines of *rows*, and of its older part before them, at most *most* bytes. OSError."""
    older = rows.with_name(f"{rows.name}.1")
    text = (older.read_bytes() if older.exists() else b"") + rows.read_bytes()
    if len(text) <= most:
        return text
    cut = text[-most:]
    return cut[cut.find(b"\n") + 1 :]
