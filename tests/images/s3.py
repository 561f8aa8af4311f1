"""A real S3 endpoint for tests: ``rclone serve s3`` over a folder, with keys, that can be stopped and started again."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

RCLONE = Path(sys.executable).with_name("rclone")
DEADLINE_S = 60.0
ACCESS_KEY = "tests-access-key"
SECRET_KEY = "tests-secret-key"  # of a server that lives as long as the tests do
T = TypeVar("T")


def wait_for(condition: Callable[[], T], what: str, deadline_s: float = DEADLINE_S) -> T:
    """The first true value of *condition*; the test fails after *deadline_s* seconds."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            pytest.fail(f"not within {deadline_s:g} s: {what}")
        time.sleep(0.02)


class S3Server:
    """The server over *folder*/objects. config names the rclone configuration, in which it is the remote "lab"."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "objects"
        self.root.mkdir(parents=True)
        self.access_key, self.secret_key = ACCESS_KEY, SECRET_KEY
        self.config = folder / "rclone.conf"
        self.endpoint = ""
        self._port = 0
        self._log = folder / "s3.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> S3Server:
        """Start it, on the same port as before if it ran before."""
        with self._log.open("wb") as log:
            argv = [str(RCLONE), "serve", "s3", str(self.root), "--addr", f"127.0.0.1:{self._port}"]
            argv += ["--auth-key", f"{self.access_key},{self.secret_key}", "--config", "/dev/null"]
            self._process = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL)
        process = self._process

        def address() -> re.Match[str] | None:
            if process.poll() is not None:
                pytest.fail(f"rclone serve s3 ended: {self._log.read_text()}")
            return re.search(r"Starting s3 server on \[(http://[\d.]+:(\d+))", self._log.read_text())

        found = wait_for(address, "the S3 server")
        self.endpoint, self._port = found[1], int(found[2])
        self._write_config()
        return self

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None
        return self._process.pid

    def bucket(self, name: str) -> Path:
        """Make a bucket; its folder, in which an object is a file."""
        folder = self.root / name
        if not folder.exists():  # by a request: the server remembers for minutes what its folder held
            subprocess.run([str(RCLONE), "mkdir", f"lab:{name}", "--config", str(self.config)], check=True, timeout=60)
        return folder

    def kill(self) -> None:
        """As a power failure would."""
        self._signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def freeze(self) -> None:
        """It accepts connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it for good."""
        self.thaw()
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def _write_config(self) -> None:
        self.config.write_text(
            f"[lab]\ntype = s3\nprovider = Rclone\nendpoint = {self.endpoint}\n"
            f"access_key_id = {self.access_key}\nsecret_access_key = {self.secret_key}\n"
        )
        self.config.chmod(0o600)
