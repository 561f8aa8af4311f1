"""A camera's own program: uploads one large file by FTP or FTPS in passive mode, and says what it sent.

Run by itself, with nothing of ours importable: `python -I large_upload.py`, with a JSON object on standard input: host,
port, user, password, tls (true or false), path, size (bytes). It prints {"sha256", "reply", "seconds"}.
"""

from __future__ import annotations

import ftplib
import hashlib
import json
import os
import ssl
import sys
import time
from typing import Any

BLOCK = 1 << 20


class Recording:
    """So many bytes of which no two blocks are the same, made while they are read."""

    def __init__(self, size: int) -> None:
        self.left = size
        self.digest = hashlib.sha256()
        self._noise = os.urandom(BLOCK)
        self._number = 0

    def read(self, _: int = BLOCK, /) -> bytes:
        """The next block, empty at the end."""
        block = (self._number.to_bytes(8, "big") + self._noise[8:])[: self.left]
        self._number += 1
        self.left -= len(block)
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
    recording = Recording(job["size"])
    began = time.monotonic()
    with connected(job) as client:
        reply = client.storbinary(f"STOR {job['path']}", recording, blocksize=BLOCK)
    took = time.monotonic() - began
    print(json.dumps({"sha256": recording.digest.hexdigest(), "reply": reply, "seconds": round(took, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
