"""The collector as a process, and clients for it."""

from __future__ import annotations

import contextlib
import ftplib
import io
import json
import os
import signal
import socket
import ssl
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.images.s3 import RCLONE, S3Server, wait_for

PASSWORD = "correct horse"
REPOSITORY = Path(__file__).parents[3]


def free_ports(count: int) -> int:
    """The first of *count* ports in a row that nobody listens on now."""
    for start in range(20_000 + os.getpid() % 1000 * 20, 60_000, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(start, start + count):
                    taken = stack.enter_context(socket.socket())
                    taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            return start
    raise RuntimeError("no free ports")


class Collector:
    """``python -m images.collector`` with its state in *folder*; *more* changes settings."""

    def __init__(self, folder: Path, s3: S3Server, bucket: str, **more: Any) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.objects = s3.bucket(bucket) / "instrument"
        password = folder / "password"
        password.write_text(PASSWORD + "\n")
        password.chmod(0o600)
        first = free_ports(12)
        self.settings: dict[str, Any] = {
            "protocol": "ftp",
            "address": "127.0.0.1",
            "port": first,
            "passive_ports": [first + 1, first + 11],
            "username": "microscope",
            "password_file": str(password),
            "rclone": str(RCLONE),
            "rclone_config": str(s3.config),
            "destination": f"lab:{bucket}/instrument",
            "state_dir": str(self.state),
            "retry_s": [0.1, 0.5],
            **more,
        }
        self.log = folder / "collector.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self.settings["port"])

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it, and wait for nothing."""
        path = self.folder / "settings.json"
        path.write_text(json.dumps(self.settings))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "images.collector", str(path)], cwd=REPOSITORY, stderr=log, stdout=log
            )
        return self.process

    def start(self) -> Collector:
        """Start it and wait until it serves."""
        process = self.launch()

        def ready() -> bool:
            assert process.poll() is None, self.log.read_text()
            return self.ready.get("pid") == process.pid

        wait_for(ready, "ready.json")
        return self

    @property
    def ready(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.state / "ready.json").read_text())
        except OSError:
            return {}
        return found

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def end(self) -> None:
        """However the test ended."""
        if self.process is not None and self.process.poll() is None:
            self.kill()

    def rclone(self) -> psutil.Process:
        """Its rclone child."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        return next(child for child in children if "rclone" in child.name())

    # what it did

    def rows(self, path: str | None = None) -> list[dict[str, Any]]:
        """The rows of uploads.jsonl, of *path* only if given."""
        file = self.state / "uploads.jsonl"
        lines = file.read_text().splitlines() if file.exists() else []
        rows = [json.loads(line) for line in lines]
        return [row for row in rows if path in (None, row["path"])]

    def row(self, path: str, outcome: str) -> dict[str, Any]:
        """The first row of *path* with *outcome*, waited for."""
        found = wait_for(
            lambda: [row for row in self.rows(path) if row["outcome"] == outcome], f"{outcome} row of {path}"
        )
        return found[0]

    def object(self, path: str) -> bytes | None:
        """The object's bytes, read behind the store's back; None where there is none."""
        try:
            return (self.objects / path).read_bytes()
        except FileNotFoundError:
            return None

    def spooled(self) -> list[str]:
        """The names of the files in the spool."""
        return sorted(path.name for path in (self.state / "spool").iterdir() if path.name != "journal.jsonl")

    # clients

    def client(self, kind: type[ftplib.FTP] = ftplib.FTP, **more: Any) -> ftplib.FTP:
        """A logged in client; ftplib.FTP_TLS protects its data too."""
        if kind is ftplib.FTP_TLS:
            more.setdefault("context", ssl._create_unverified_context())
        client = kind(**more)
        client.connect(self.settings["address"], self.port, timeout=30)
        client.login("microscope", PASSWORD)
        if isinstance(client, ftplib.FTP_TLS):
            client.prot_p()
        return client

    def put(self, path: str, content: bytes, client: ftplib.FTP | None = None) -> str:
        """Upload with ftplib; the reply (226 …). ftplib.Error as the client gets it."""
        if client is not None:
            return client.storbinary(f"STOR {path}", io.BytesIO(content))
        with self.client() as own:
            return own.storbinary(f"STOR {path}", io.BytesIO(content))


def begin(client: ftplib.FTP, path: str, content: bytes) -> socket.socket:
    """Begin an upload and leave its data connection open."""
    client.voidcmd("TYPE I")
    data = client.transfercmd(f"STOR {path}")
    data.sendall(content)
    return data


def reset(connection: socket.socket) -> None:
    """Close with RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
