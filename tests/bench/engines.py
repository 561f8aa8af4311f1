"""What takes uploads by FTP into an object store: our collector, and plain `rclone serve ftp` as its peer."""

from __future__ import annotations

import ftplib
import os
import secrets
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.embedded.harness import until
from tests.images.collector.running import PASSWORD, Collector, free_ports
from tests.images.s3 import RCLONE, S3Server

_PORTS = 41  # one for control, forty for data


@dataclass(frozen=True)
class Engine:
    """A running FTP server, and the folder in which the store behind it keeps its objects."""

    port: int
    user: str
    password: str
    objects: Path

    def client(self) -> ftplib.FTP:
        """A client that has signed in; binary, passive."""
        ftp = ftplib.FTP()
        ftp.connect("127.0.0.1", self.port, timeout=120)
        ftp.login(self.user, self.password)
        ftp.voidcmd("TYPE I")
        return ftp


@contextmanager
def collector(folder: Path, s3: S3Server) -> Iterator[Engine]:
    """`python -m images.collector` with its defaults."""
    first = free_ports(_PORTS)
    made = Collector(folder, s3, "bench-collector", port=first, passive_ports=[first + 1, first + _PORTS - 1])
    try:
        made.start()
        yield Engine(first, str(made.settings["username"]), PASSWORD, made.objects)
        made.stop()
    finally:
        made.end()


@contextmanager
def rclone_ftp(folder: Path, s3: S3Server, bucket: str, flags: Sequence[str]) -> Iterator[Engine]:
    """`rclone serve ftp` with its defaults but for *flags*; its cache lies in *folder*."""
    objects = s3.bucket(bucket) / "instrument"
    first, password = free_ports(_PORTS), secrets.token_hex(16)
    argv = [str(RCLONE), "serve", "ftp", f"lab:{bucket}/instrument", "--config", str(s3.config)]
    argv += ["--addr", f"127.0.0.1:{first}", "--passive-port", f"{first + 1}-{first + _PORTS - 1}"]
    argv += ["--cache-dir", str(folder / "cache"), *flags]
    # Not in argv, where everybody on this machine could read it.
    environ = {**os.environ, "RCLONE_USER": "microscope", "RCLONE_PASS": password}
    log = folder / "rclone.log"
    with log.open("wb") as output:
        process = subprocess.Popen(argv, env=environ, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
    engine = Engine(first, "microscope", password, objects)

    def serves() -> bool:
        assert process.poll() is None, f"rclone serve ftp ended: {log.read_text()[-500:]}"
        try:
            engine.client().quit()
        except OSError:
            return False
        return True

    try:
        until("rclone serve ftp serves", serves)
        yield engine
    finally:
        process.terminate()
        process.wait(60)
