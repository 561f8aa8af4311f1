"""One long-lived ``rclone rcd`` and its remote control: no process start for each file.

The daemon listens on a Unix socket in a 0700 folder, made under umask 077, so that only our own user reaches it;
that is why it needs no password of its own. Its calls are those of https://rclone.org/rc/: ``operations/copyfile``
and so on.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import logging
import os
import re
import secrets
import select
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SOCKET = "rclone.sock"
_PDEATHSIG = 1  # prctl(2): PR_SET_PDEATHSIG
SIMPLE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
"""File names that mean the same in every syntax they are put into."""

_API_ERROR = re.compile(r"api error (?P<code>\w+): (?P<text>.*)", re.DOTALL)
_UNREACHABLE = re.compile(r'request send failed, \w+ "\w+://(?P<host>[^/"]+)[^"]*": (?P<text>.*)', re.DOTALL)
_libc = ctypes.CDLL(None, use_errno=True)


class RcloneError(Exception):
    """rclone answered that a call failed; str() is one line for people, *missing* says that the object is not there."""

    def __init__(self, text: str, *, missing: bool = False) -> None:
        super().__init__(text)
        self.missing = missing


class RcloneUnavailable(RcloneError):
    """No answer: the daemon died, is being restarted, or took longer than the caller allowed."""


def plain_reason(text: str) -> str:
    """rclone's error *text* as one line without request ids; the S3 code stays, for whoever looks it up.

    >>> plain_reason("operation error S3: PutObject, StatusCode: 404, RequestID: x, api error NoSuchBucket: No bucket")
    'No bucket (NoSuchBucket)'
    """
    found = _API_ERROR.search(text)
    if found:
        said = found["text"].strip() or found["code"]
        text = said if said == found["code"] else f"{said} ({found['code']})"
    elif unreachable := _UNREACHABLE.search(text):
        text = f"{unreachable['host']} cannot be reached: {unreachable['text']}"
    return " ".join(text.split())[:300]


class _Connection(http.client.HTTPConnection):
    """HTTP over a Unix socket, named relative to an open folder: sun_path holds 107 bytes, a folder's name may be
    longer.
    """

    def __init__(self, folder: int, timeout: float | None) -> None:
        super().__init__("rclone", timeout=timeout)
        self._folder = folder
        self._unsent = bytearray()

    def send(self, data: Any) -> None:
        """Hold back until flush(): http.client sends head and body apart, which wakes rclone twice for each small
        file.
        """
        self._unsent += data

    def flush(self) -> None:
        """Send what request() prepared."""
        data, self._unsent = self._unsent, bytearray()
        if self.sock is None:
            self.connect()
        self.sock.sendall(data)

    @property
    def dropped(self) -> bool:
        """Whether the other side has closed it: of an idle connection, nothing else can be read."""
        if self.sock is None:
            return False
        poll = select.poll()  # select() knows no descriptors above 1023
        poll.register(self.sock, select.POLLIN)
        return bool(poll.poll(0))

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(f"/proc/self/fd/{self._folder}/{_SOCKET}")


def die_with_parent() -> None:
    """For ``preexec_fn``: the kernel kills this child when the thread that started it ends, however it ends."""
    _libc.prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class RcloneDaemon:
    """A supervised ``rclone rcd``: started again, after a pause that grows to 5 s, whenever it ends by itself.

    *rclone* is the program, *config* the remotes' file (0600), *folder* a folder of ours for the socket, *options* more
    command-line options (never a secret: argv is readable by everyone), *keep_open* file descriptors that the child
    holds too, such as a lock that must outlive us as long as the child may still write.
    """

    def __init__(
        self, rclone: Path, config: Path, folder: Path, *, options: Sequence[str] = (), keep_open: Sequence[int] = ()
    ) -> None:
        self._argv = [str(rclone), "rcd", "--rc-addr", f"unix://{_SOCKET}", "--rc-no-auth"]
        self._argv += ["--config", str(config), *options]
        self._folder = folder
        self._keep_open = tuple(keep_open)
        self._log = logging.getLogger("rclone")
        self._folder_fd = -1
        self._process: subprocess.Popen[bytes] | None = None
        self._idle: list[_Connection] = []
        self._generation = 0  # counts starts: a kept connection of an earlier daemon is not used again
        self._lock = threading.Lock()
        self._ready = threading.Event()
        self._stopping = threading.Event()
        self._monitor: threading.Thread | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the daemon that runs now, None between two."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self, timeout_s: float = 20.0) -> None:
        """Start the daemon and return once it answers. RcloneUnavailable after *timeout_s* seconds or when it ends."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder_fd = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        first = threading.Event()
        # The child is bound to the thread that started it (see die_with_parent), so one thread starts them all.
        self._monitor = threading.Thread(target=self._supervise, args=(first,), name="rclone-rcd", daemon=True)
        self._monitor.start()
        first.wait(timeout_s)
        if not self._ready.is_set():
            self.stop()
            raise RcloneUnavailable(f"{self._argv[0]} rcd did not start; its own words are above")

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the daemon: SIGTERM, and SIGKILL after *timeout_s* seconds. May be called twice."""
        self._stopping.set()
        self._ready.set()  # nobody waits for a daemon that will not come
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                process.kill()
        if self._monitor is not None:
            self._monitor.join(timeout_s)
        self._drop_connections()
        if self._folder_fd >= 0:
            os.close(self._folder_fd)
            self._folder_fd = -1

    def wait_ready(self, timeout_s: float) -> bool:
        """Wait until the daemon answers; False after *timeout_s* seconds."""
        return self._ready.wait(timeout_s) and not self._stopping.is_set()

    def call(self, method: str, timeout_s: float | None = None, **parameters: Any) -> dict[str, Any]:
        """Call *method* (such as ``operations/stat``) and return its answer.

        RcloneError where rclone says no. RcloneUnavailable where it does not answer (within *timeout_s* seconds, if
        given): the call may or may not have been carried out, so only repeat what may be done twice.
        """
        return self._post(f"/{method}", json.dumps(parameters).encode(), "application/json", timeout_s)

    def upload(self, fs: str, folder: str, name: str, content: bytes, timeout_s: float | None = None) -> None:
        """Make *content* the object *folder*/*name* of remote *fs* (``operations/uploadfile``), errors as call().

        A fifth faster than copyfile for a small file, which rclone need not open, stat and list first. *name* must
        match SIMPLE_NAME: others would have to be quoted by rules that the two sides may read differently.
        """
        if not SIMPLE_NAME.fullmatch(name):
            raise ValueError(f"not a simple name: {name!r}")
        boundary = secrets.token_hex(16)
        head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'
        body = b"".join((head.encode(), content, f"\r\n--{boundary}--\r\n".encode()))
        where = urllib.parse.urlencode({"fs": fs, "remote": folder})
        self._post(f"/operations/uploadfile?{where}", body, f"multipart/form-data; boundary={boundary}", timeout_s)

    def _post(self, path: str, body: bytes, kind: str, timeout_s: float | None) -> dict[str, Any]:
        connection, generation = self._take(timeout_s)
        try:
            connection.request("POST", path, body, {"Content-Type": kind})
            connection.flush()
            response = connection.getresponse()
            payload = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise RcloneUnavailable(f"the local rclone did not answer ({type(error).__name__})") from error
        self._give_back(connection, generation)
        answer: dict[str, Any] = json.loads(payload) if payload else {}
        if response.status != http.HTTPStatus.OK:
            text = str(answer.get("error", f"HTTP {response.status}"))
            raise RcloneError(plain_reason(text), missing="object not found" in text or "directory not found" in text)
        return answer

    def _take(self, timeout_s: float | None) -> tuple[_Connection, int]:
        with self._lock:
            generation = self._generation
            connection = self._idle.pop() if self._idle else None
            # rclone closes what was idle for a minute (IdleTimeout of its lib/http/server.go), all of them at once.
            while connection is not None and connection.dropped:
                connection.close()
                connection = self._idle.pop() if self._idle else None
        if connection is None:
            connection = _Connection(self._folder_fd, timeout_s)
        elif connection.sock is not None:
            connection.timeout = timeout_s
            connection.sock.settimeout(timeout_s)
        return connection, generation

    def _give_back(self, connection: _Connection, generation: int) -> None:
        with self._lock:
            if generation == self._generation and not self._stopping.is_set():
                self._idle.append(connection)
                return
        connection.close()

    def _drop_connections(self) -> None:
        with self._lock:
            self._generation += 1
            dropped, self._idle = self._idle, []
        for connection in dropped:
            connection.close()

    def _supervise(self, first: threading.Event) -> None:
        pause = 0.1
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                (self._folder / _SOCKET).unlink(
                    missing_ok=True
                )  # a killed daemon leaves its socket, which blocks bind()
                process = self._spawn()
            except OSError as error:
                self._log.error("cannot start %s: %s", self._argv[0], error.strerror or error)
                first.set()
                return
            self._process = process
            if self._answers(process):
                self._ready.set()
            first.set()
            status = process.wait()
            if self._stopping.is_set():
                return
            self._ready.clear()
            self._drop_connections()
            pause = 0.1 if time.monotonic() - started > 10 else min(pause * 2, 5.0)
            self._log.warning("rclone ended by itself (status %d); starting it again", status)
            self._stopping.wait(pause)

    def _spawn(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._argv,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            umask=0o077,
            pass_fds=self._keep_open,
            # Only one prctl() between fork and exec, and of an already loaded library: safe beside other threads.
            preexec_fn=die_with_parent,
            start_new_session=True,  # Ctrl-C at a terminal must not take it away while an upload is being stored
        )

    def _answers(self, process: subprocess.Popen[bytes]) -> bool:
        """Poll until the daemon answers a no-op; False when it ended first."""
        while process.poll() is None and not self._stopping.is_set():
            connection = _Connection(self._folder_fd, 5.0)
            try:
                connection.request("POST", "/rc/noop")
                connection.flush()
                if connection.getresponse().status == http.HTTPStatus.OK:
                    return True
            except (OSError, http.client.HTTPException):
                self._stopping.wait(0.02)
            finally:
                connection.close()
        return False
