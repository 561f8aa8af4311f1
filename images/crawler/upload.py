"""Carries the files of a run to the object store with rclone, checks them there, and only then calls the run whole."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, sleep

MANIFEST = "manifest.json"
NO_SUCH_FOLDER = 3  # rclone's exit code; S3 has no folders, so before the first file there is none
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0

log = logging.getLogger("crawler")

_LOG_LINE = re.compile(r"^\d{4}/\d\d/\d\d \d\d:\d\d:\d\d (ERROR|CRITICAL|NOTICE|INFO) *: ", re.ASCII)
_S3_FILLING = re.compile(
    r" (exceeded maximum number of attempts, \d+|(https response error )?StatusCode: 0|RequestID: [^,]*|HostID: [^,]*),"
)
_UNCHECKED = re.compile(r"\b[1-9]\d* hashes could not be checked")


class UploadError(Exception):
    """The files did not get there, or did not arrive as they were sent; the text says why."""


@dataclass(frozen=True)
class Uploader:
    """Uploads folders. *stopping* becomes true at SIGTERM; from then on there are *stop_s* seconds left for all."""

    rclone: Path
    config: Path
    retry_s: float
    stop_s: float
    stopping: Callable[[], bool]
    anew: bool = False
    """What the run's folder holds already is of an earlier try that was cut short: what is not sent again goes."""
    _clock: _StopClock = field(init=False)

    def __post_init__(self) -> None:
        """Make the one clock that all uploads of the run share."""
        object.__setattr__(self, "_clock", _StopClock(self.stopping, self.stop_s))  # frozen from here on

    def upload(self, folder: Path, destination: str, patient: bool = True) -> None:
        """Copy *folder* to the remote path *destination*, the manifest last, and compare checksums there.

        Tried again with growing pauses for retry_s if *patient*, else once. UploadError.
        """
        deadline = monotonic() + (self.retry_s if patient else 0)
        pause = FIRST_PAUSE_S
        clock = self._clock
        while True:
            try:
                self._once(folder, destination, clock)
            except UploadError as error:
                # Once stopped there is no waiting for better times: the next run brings the files in.
                if monotonic() + pause > deadline or clock.stopped():
                    raise
                log.warning("upload to %s failed (%s); next try in %g s", destination, error, pause)
                clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
            else:
                return

    def found(self, destination: str) -> set[str]:
        """The names of the files in the remote folder. UploadError where the store does not answer."""
        place = destination.rstrip("/") + "/"
        text = self._run(
            self._clock, "lsf", place, "--files-only", "--low-level-retries", "1", fine=(0, NO_SUCH_FOLDER)
        )
        return set(text.splitlines())

    def manifest(self, destination: str) -> str:
        """The text of the manifest there. UploadError."""
        return self._run(self._clock, "cat", f"{destination.rstrip('/')}/{MANIFEST}")

    def _once(self, folder: Path, destination: str, clock: _StopClock) -> None:
        source, without = str(folder), ("--exclude", f"/{MANIFEST}", "--exclude", "/.*")
        # The slash says that it is a folder. rclone else asks, and takes a 403 for “is a file not a directory”.
        destination = destination.rstrip("/") + "/"
        # One listing first: it tells within a second or two that a store is down, where copy takes minutes.
        self._run(clock, "lsf", destination, "--low-level-retries", "1", fine=(0, NO_SUCH_FOLDER))
        self._run(clock, "sync" if self.anew else "copy", source, destination, "--checksum", *without)
        report = self._run(clock, "check", source, destination, "--one-way", *without)
        if _UNCHECKED.search(report):  # a store without checksums: read the files back
            self._run(clock, "check", source, destination, "--one-way", "--download", *without)
        # The manifest says that everything beside it is there, so it goes when that has been seen.
        self._run(clock, "copyto", str(folder / MANIFEST), f"{destination}{MANIFEST}", "--checksum")

    def _run(self, clock: _StopClock, *arguments: str, fine: tuple[int, ...] = (0,)) -> str:
        """rclone's log of one command. UploadError with its last complaint, or if there is no time left for it."""
        command = [str(self.rclone), "--config", str(self.config), "--retries", "1", "--low-level-retries", "2"]
        command += ["--contimeout", "10s", "--timeout", "60s", "--log-level", "NOTICE", *arguments]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("RCLONE_")}
        with tempfile.TemporaryFile() as output:
            try:
                # A session of its own: a SIGTERM to our process group must not cut an upload short.
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=environment,
                    start_new_session=True,
                )
            except OSError as error:
                raise UploadError(f"rclone does not start: {error.strerror}") from error
            status = _wait(process, clock)
            output.seek(0)
            text = output.read().decode("utf-8", "replace")
        if status not in fine:
            raise UploadError(_last_complaint(text) or f"rclone {arguments[0]} ended with status {status}")
        return text


class _StopClock:
    """How long there is still time: for ever, until the stop flag is seen, and then stop_s seconds."""

    def __init__(self, stopping: Callable[[], bool], stop_s: float) -> None:
        self._stopping, self._stop_s = stopping, stop_s
        self._end: float | None = None

    def stopped(self) -> bool:
        if self._end is None and self._stopping():
            self._end = monotonic() + self._stop_s
        return self._end is not None

    def is_over(self) -> bool:
        return self.stopped() and self._end is not None and monotonic() >= self._end

    def sleep(self, seconds: float) -> None:
        end = monotonic() + seconds
        while monotonic() < end and not self.stopped():
            sleep(min(0.1, seconds))


def _wait(process: subprocess.Popen[bytes], clock: _StopClock) -> int:
    try:
        while True:
            try:
                return process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                if clock.is_over():
                    raise UploadError("there was no time left to upload after the stop") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _last_complaint(text: str) -> str:
    """What rclone's log says last, without time stamp, counters and the S3 library's filling; 300 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return ""
    last = _LOG_LINE.sub("", lines[-1]).rpartition("last error was: ")[2]
    return _S3_FILLING.sub("", last)[:300]
