"""Logs that do not fill the disk.

The child writes its log itself, so that it goes on when the keeper is killed; so the keeper cuts it from outside.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

LIMIT = 20 * 1024 * 1024
"""Bytes of one log, about: it is looked at now and then, and may be larger in between."""
_LINE = 4096


def bound(path: Path, limit: int = LIMIT) -> bool:
    """Cut the middle out of *path* where it is larger than *limit* bytes; whether it did.

    A quarter of the limit stays of the beginning and of the end. The writer appends (O_APPEND), so it goes on behind
    the cut; what it writes during the cut itself may be lost.
    """
    try:
        size = path.stat().st_size
        if size <= limit:
            return False
        with path.open("r+b") as stream:
            head = stream.read(limit // 4)
            head = head[: head.rfind(b"\n") + 1] or head
            stream.seek(size - limit // 4)
            tail = stream.read(limit // 4)
            tail = tail[tail.find(b"\n") + 1 :]
            note = f"\n[... {size - len(head) - len(tail)} bytes left out: a log holds {limit} bytes ...]\n".encode()
            stream.seek(len(head))
            stream.write(note + tail)
            stream.truncate()
    except OSError:
        return False
    return True


def last_line(path: Path) -> str:
    """The last line with text in it, at most 300 characters; empty where there is none."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _LINE))
            lines = stream.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return ""
    return next((line.strip()[:300] for line in reversed(lines) if line.strip()), "")


def say(path: Path, text: str) -> None:
    """Append a line of the keeper's own. A full disk must not stop the keeper, so an OSError is dropped."""
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} keeper: {text}\n"
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError:
        return
    try:
        os.write(descriptor, line.encode())
    except OSError:
        pass
    finally:
        os.close(descriptor)
