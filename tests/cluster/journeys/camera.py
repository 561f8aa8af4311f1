"""What a camera does with the address, user and password that a person copied off the page: real FTP clients.

Passwords go by standard input, never on a command line.
"""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.bed.lab import Instrument
from tests.cluster.journeys import large_upload
from tests.tiers import need

Told = Mapping[str, Any]
_UPLOAD = (sys.executable, "-I", large_upload.__file__)
PATIENCE_S = 240.0
"""For all of an upload. A safety net on a busy machine, no expectation."""


@dataclass(frozen=True)
class Access:
    """How the page says that the collector is reached."""

    host: str
    port: int
    user: str
    password: str = field(repr=False)

    @property
    def url(self) -> str:
        return f"ftp://[{self.host}]:{self.port}" if ":" in self.host else f"ftp://{self.host}:{self.port}"


def pictures(folder: Path, count: int) -> dict[str, str]:
    """Make so many files, as a night of a camera leaves them; SHA-256 by name, relative to *folder*."""
    noise = random.Random(count)  # the same files each time, so that a failure can be looked into
    made = {}
    for number in range(count):
        # Also an empty one, names with blanks, and names that are no ASCII.
        name = f"night {number // 250}/{'星' if number % 100 == 7 else 'frame'}-{number:04}.fits"
        content = noise.randbytes(0 if number == 3 else noise.randrange(100, 40_000))
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        made[name] = hashlib.sha256(content).hexdigest()
    return made


def mirror(instrument: Instrument, access: Access, tree: Path, target: str, *, tls: bool) -> float:
    """lftp uploads a folder with all below it, four files at a time, in passive mode; the seconds that it took."""
    lftp = shutil.which("lftp")
    need("cluster", lftp, "lftp is not installed")
    talk = tree.parent / f"{target}.log"
    script = f"""\
debug -o "{talk}" 5
set cmd:fail-exit yes
set net:max-retries 1
set net:timeout 60
set ftp:passive-mode yes
set ftp:ssl-allow {_yes(tls)}
set ftp:ssl-force {_yes(tls)}
set ftp:ssl-protect-data {_yes(tls)}
set ssl:verify-certificate no
set ftp:use-mdtm no
set ftp:use-site-utime no
open {access.url}
user {access.user} "{access.password}"
mirror --reverse --parallel=4 --no-perms "{tree}" "{target}"
bye
"""
    began = time.monotonic()
    # lftp keeps what it knows of servers in its home.
    argv = ["env", f"HOME={tree.parent}", "LC_ALL=C.UTF-8", str(lftp), "-f", "/dev/stdin"]
    done = instrument.run(argv, given=script, timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr + "\n".join(talk.read_text().splitlines()[-40:])
    return time.monotonic() - began


def send_large(instrument: Instrument, access: Access, path: str, size: int, *, tls: bool) -> Told:
    """Python's ftplib uploads one file of *size* bytes: {"sha256", "bytes", "reply", "seconds"}."""
    job = {**vars(access), "tls": tls, "path": path, "size": size, "until": None}
    done = instrument.run(_UPLOAD, given=json.dumps(job), timeout_s=PATIENCE_S)
    assert done.returncode == 0, done.stdout + done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@contextmanager
def recording(instrument: Instrument, access: Access, path: str, stop: Path) -> Iterator[Callable[[], Told]]:
    """Uploads one file by FTPS in one connection, on and on, until the file *stop* is there.

    Gives a function that waits for the end and tells what was sent, as `send_large` does.
    """
    job = {**vars(access), "tls": True, "path": path, "size": 0, "until": str(stop)}
    process = subprocess.Popen(
        instrument.argv(_UPLOAD), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )

    def sent() -> Told:
        output, errors = process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0, output + errors
        told: dict[str, Any] = json.loads(output)
        return told

    try:
        assert process.stdin
        process.stdin.write(json.dumps(job))
        process.stdin.close()
        process.stdin = None  # communicate would flush it
        yield sent
    finally:
        process.kill()
        process.wait()


def reaches(instrument: Instrument, host: str, port: int, within_s: int = 4) -> bool:
    """Whether a TCP connection comes about."""
    script = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), int(sys.argv[3])).close()"
    argv = [sys.executable, "-I", "-c", script, host, str(port), str(within_s)]
    return instrument.run(argv, timeout_s=within_s + 30).returncode == 0


def _yes(value: bool) -> str:
    return "yes" if value else "no"
