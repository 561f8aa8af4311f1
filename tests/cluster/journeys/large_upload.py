"""A camera's own program: uploads one large file by FTP or FTPS in passive mode, and says what it sent.

Run by itself, with nothing of ours importable: `python -I large_upload.py`, with a JSON object on standard input: host,
port, user, password, tls (true or false), path, size (bytes), until (a file, or null). Where `until` is given it goes
on beyond that size, a megabyte at a time, until the file is there. It prints {"sha256", "bytes", "reply", "seconds"}.
"""

from __future__ import annotations

import ftplib
import hashlib
import json
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

BLOCK = 1 << 20
PAUSE_S = 0.1
"""Between megabytes of a recording whose end is not known yet."""


class Recording:
    """Bytes of which no two blocks are the same, made while they are read."""

    def __init__(self, size: int, until: Path | None) -> None:
        self.left = size
        self.until = until
        self.bytes = 0
        self.digest = hashlib.sha256()
        self._noise = os.urandom(BLOCK)
        self._number = 0

    def read(self, _: int = BLOCK, /) -> bytes:
        """The next block, empty at the end."""
        if not self.left and self.until is not None and not self.until.exists():
            time.sleep(PAUSE_S)  # as fast as a camera films
            self.left = BLOCK
        block = (self._number.to_bytes(8, "big") + self._noise[8:])[: self.left]
        self._number += 1
        self.left -= len(block)
        self.bytes += len(block)
        self.digest.update(block)
        return block


def connected(job: dict[str, Any]) -> ftplib.FTP:
    """Signed in; ftplib is in passive mode by default."""
    if job["tls"]:
        # The collector makes its own certificate; whoever wants to be sure compares its fingerprint with the page.
        context = ssl._create_unverified_context()
        secure = ftplib.FTP_TLS(context=context)
        secure.connect(job["host"], job["port"], timeout=120)
        secure.login(job["user"], job["password"])
        secure.prot_p()
        return secure
    plain = ftplib.FTP()
    plain.connect(job["host"], job["port"], timeout=120)
    plain.login(job["user"], job["password"])
    return plain


def main() -> int:
    """See above."""
    job = json.load(sys.stdin)
    recording = Recording(job["size"], Path(job["until"]) if job["until"] else None)
    began = time.monotonic()
    with connected(job) as client:
        reply = client.storbinary(f"STOR {job['path']}", recording, blocksize=BLOCK)
    took = time.monotonic() - began
    told = {"sha256": recording.digest.hexdigest(), "bytes": recording.bytes, "reply": reply, "seconds": round(took, 1)}
    print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
