"""Stamps: small files that say from which input a step of the set-up was made.

A stamp is removed before its step starts and written after its step has ended, so that a step cut short at any point
(kill -9, power) is a step without a stamp, and is done again. It holds one line for each level that the step satisfies
(`run`, `dev`) with the digest of that level's input: a checkout set up for development also serves `make run`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path


def digest(*parts: str | Path) -> str:
    """SHA-256, in hex, over texts and the contents of files (an absent file counts as such, not as an empty one).

    Raises OSError when a file is there and cannot be read.
    """
    whole = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            try:
                content = b"file " + part.read_bytes()
            except FileNotFoundError:
                content = b"absent"
        else:
            content = b"text " + part.encode()
        whole.update(b"%d " % len(content) + content)
    return whole.hexdigest()


def parse(text: str) -> dict[str, str]:
    """The digests by level; lines that are not `level digest` count for nothing, so a damaged stamp is a stale one."""
    return dict(fields for line in text.splitlines() if len(fields := line.split()) == 2)


def read(stamp: Path) -> dict[str, str]:
    """What the stamp holds; nothing when it is absent or unreadable."""
    try:
        return parse(stamp.read_text())
    except (OSError, UnicodeDecodeError):
        return {}


def write(stamp: Path, digests: Mapping[str, str]) -> None:
    """Write the stamp in one step: a reader sees the old one or the new one, never half. Raises OSError."""
    stamp.parent.mkdir(parents=True, exist_ok=True)
    new = stamp.with_name(stamp.name + ".new")
    with new.open("w") as file:
        file.writelines(f"{level} {value}\n" for level, value in digests.items())
        file.flush()
        # The step's own files were not synced one by one; this at least keeps the stamp from outliving its own content.
        os.fsync(file.fileno())
    new.replace(stamp)
