"""The kept side of a home: rclone, a process a call. Nothing of it runs between two rounds."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from images.lib.home_plan import Kept
from images.lib.rclone_rc import die_with_parent, plain_reason

FILES = "files/"
META = "meta.json"
_SMALL = 256 * 1024
_ENVIRONMENT = frozenset(
    {"PATH", "HOME", "LANG", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"}
    | {f"{name}_proxy" for name in ("http", "https", "no")}
    | {f"{name}_PROXY" for name in ("HTTP", "HTTPS", "NO")}
)
_NOT_FOUND = 3
"""rclone's exit code for a folder that is not there (rclone, "Exit code")."""
_COMMON = (
    *("--retries", "2", "--low-level-retries", "3", "--contimeout", "10s", "--timeout", "60s"),
    *("--stats", "0", "--use-json-log", "--log-level", "NOTICE"),
    # What a person's server has left of its memory is not ours: small buffers, and a part at a time of a large file.
    *("--buffer-size", "1Mi", "--multi-thread-streams", "0", "--use-mmap"),
    *("--s3-upload-concurrency", "2", "--s3-no-check-bucket", "--s3-no-head"),
)


Deadline = Callable[[bool], float | None]
"""Until when (time.monotonic) a call may take, asked while it runs; None: no limit. True: it fetches files."""


class StoreError(Exception):
    """The store did not do it; the text is one line for people."""


class OutOfTimeError(StoreError):
    """The time for it was over."""


class Store:
    """One home's folder in a remote."""

    def __init__(self, rclone: str, config: Path, remote: str, work: Path, deadline: Deadline) -> None:
        """*remote*: rclone's path, e.g. data:bucket/homes/jane/lab. *work*: a folder of ours for lists of names.
        *deadline*: see Deadline."""
        self._rclone, self._config, self._work = rclone, config, work
        self.remote = remote.rstrip("/")
        self._deadline = deadline

    def listing(self) -> dict[str, Kept]:
        """Everything kept: `files/…` and META. {} for a home that was never saved. StoreError.

        The time is the server's, as its listing has it: rclone's own would cost a request an object.
        """
        arguments = ("--recursive", "--files-only", "--no-mimetype", "--use-server-modtime", "--fast-list")
        code, out, said = self._run("lsjson", *arguments, self.remote)
        if code == _NOT_FOUND:
            self._need_bucket()
            return {}
        if code:
            raise StoreError(_last_reason(said))
        try:
            return {row["Path"]: Kept(int(row["Size"]), str(row["ModTime"])) for row in json.loads(out)}
        except (ValueError, KeyError, TypeError):
            raise StoreError("rclone's listing cannot be read") from None

    def upload(self, home: Path, names: Sequence[str], size: int) -> dict[str, str]:
        """Save *names* (of *size* bytes together) of the home; what went wrong, by name. OutOfTimeError.

        Always over what is there: the round has decided that. rclone refuses a file that changes while it is read.
        """
        return self._copy(str(home), f"{self.remote}/{FILES}", names, size, fetches=False)

    def download(self, into: Path, names: Sequence[str], size: int) -> dict[str, str]:
        """Fetch *names* into the folder *into*; what went wrong, by name. OutOfTimeError."""
        return self._copy(f"{self.remote}/{FILES}", str(into), names, size, fetches=True)

    def delete(self, names: Sequence[str]) -> dict[str, str]:
        """Delete *names*; what went wrong, by name. OutOfTimeError."""
        with self._list(names) as listed:
            return self._wrong("delete", f"{self.remote}/{FILES}", "--files-from-raw", listed, "--no-traverse")

    def read_meta(self) -> str:
        """The text of META. StoreError."""
        code, out, said = self._run("cat", f"{self.remote}/{META}")
        if code:
            raise StoreError(_last_reason(said))
        return out

    def put(self, path: Path, name: str) -> None:
        """Put the small file *path* there as *name*. StoreError."""
        code, _, said = self._run("copyto", str(path), f"{self.remote}/{name}", "--ignore-times", "--no-check-dest")
        if code:
            raise StoreError(_last_reason(said))

    def remove(self, name: str) -> None:
        """Take *name* away. StoreError."""
        code, _, said = self._run("deletefile", f"{self.remote}/{name}")
        if code:
            raise StoreError(_last_reason(said))

    # ------------------------------------------------------------------------------------------------------------------

    def _need_bucket(self) -> None:
        """A folder that is not there is a new home; a bucket that is not there is a mistake, or away. StoreError."""
        name, _, path = self.remote.partition(":")
        top = f"{name}:{path.partition('/')[0]}"
        code, _, said = self._run("lsf", "--max-depth", "1", "--dirs-only", top)
        # Where there are no buckets (sftp, WebDAV), the top folder is made by whoever first writes below it.
        if code and (code != _NOT_FOUND or self._has_buckets(name)):
            raise StoreError(f"{top} is not there: {_last_reason(said)}")

    def _has_buckets(self, name: str) -> bool:
        _, out, _ = self._run("backend", "features", f"{name}:")
        try:
            return bool(json.loads(out)["Features"]["BucketBased"])
        except (ValueError, KeyError, TypeError):
            return True

    def _copy(self, source: str, target: str, names: Sequence[str], size: int, *, fetches: bool) -> dict[str, str]:
        transfers = "32" if size <= _SMALL * len(names) else "8"
        with self._list(names) as listed:
            return self._wrong(
                *("copy", source, target, "--links", "--files-from-raw", listed, "--no-traverse", "--no-check-dest"),
                *("--transfers", transfers),
                fetches=fetches,
            )

    def _wrong(self, *arguments: str, fetches: bool = False) -> dict[str, str]:
        """What went wrong, by the object's name; "" for what has none."""
        code, _, said = self._run(*arguments, fetches=fetches)
        if not code:
            return {}
        found = {}
        for row in _rows(said):
            if row.get("level") in ("error", "critical") and row.get("object"):
                found[str(row["object"])] = _reason(str(row.get("msg")))
        return found or {"": _last_reason(said)}

    @contextlib.contextmanager
    def _list(self, names: Iterable[str]) -> Iterator[str]:
        """A file with *names*, which rclone reads raw: no line of it is a comment or a pattern."""
        descriptor, path = tempfile.mkstemp(dir=self._work, prefix="names-")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                stream.writelines(f"{name}\n" for name in names)
            yield path
        finally:
            Path(path).unlink(missing_ok=True)

    def _run(self, *arguments: str, fetches: bool = False) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of one call. OutOfTimeError, StoreError where rclone cannot be started."""
        argv = [self._rclone, *arguments, "--config", str(self._config), *_COMMON]
        env = {name: value for name, value in os.environ.items() if name in _ENVIRONMENT}
        try:
            process = subprocess.Popen(
                argv,
                env={**env, "GOMEMLIMIT": "200MiB"},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                # A session of its own: whoever ends all of ours by a signal must not end a save half-way.
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise StoreError(f"{self._rclone} cannot be started: {error.strerror}") from None
        try:
            out, said = self._wait(process, fetches)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGKILL)
                process.wait()
        return process.returncode, out.decode("utf-8", "replace"), said.decode("utf-8", "replace")

    def _wait(self, process: subprocess.Popen[bytes], fetches: bool) -> tuple[bytes, bytes]:
        while True:
            try:
                return process.communicate(timeout=1)
            except subprocess.TimeoutExpired:
                end = self._deadline(fetches)
                if end is not None and time.monotonic() > end:
                    raise OutOfTimeError("the store did not finish in time") from None


def _reason(said: str) -> str:
    """What rclone says of one file."""
    if "source file is being updated" in said:
        return "it is being written; it is saved once it rests"
    return plain_reason(said.partition(": ")[2] or said)


def _rows(said: str) -> list[dict[str, object]]:
    found = []
    for line in said.splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            found.append(row)
    return found


def _last_reason(said: str) -> str:
    """rclone's last words without the parts that nobody needs."""
    rows = [str(row.get("msg", "")) for row in _rows(said)] or said.strip().splitlines()
    text = rows[-1] if rows else "it said nothing"
    for start in ("Failed to ", "error in "):
        if start in text:
            text = text.partition(start)[2].partition(": ")[2] or text
    return plain_reason(text)
