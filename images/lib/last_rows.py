"""The newest rows of a program's file of JSON lines, packed so that they outlive its Pod as its last words.

A Pod's files go with it, and nobody can run anything in one that has ended. The kubelet keeps one thing of a container:
its termination message, at most 4096 bytes of text. Rows are much alike, so some 50 fit in when they are compressed.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from images.lib.run import MESSAGE_LIMIT

ROWS = 50
_MARK = "rows:"
_WORDS = "\nit was told to end"
"""People who look with kubectl, and pages that show how something ended, take the last line."""
_MOST = 2**18
"""Bytes that are unpacked at most: whoever may run a command in a Pod may have written its message."""


def packed(rows: bytes) -> bytes:
    """The last lines of *rows* as a termination message: at most ROWS, and as many as fit. Pure."""
    lines = rows.splitlines()[-ROWS:]
    while lines:
        text = base64.b85encode(zlib.compress(b"\n".join(lines), 9)).decode()
        message = f"{_MARK}{text}{_WORDS}".encode()
        if len(message) <= MESSAGE_LIMIT:
            return message
        lines = lines[len(lines) // 10 + 1 :]
    return f"{_MARK}{_WORDS}".encode()


def unpacked(message: object) -> bytes | None:
    """The lines again; None for what `packed` has not made. Pure.

    >>> unpacked(packed(b'{"id": "1"}').decode()), unpacked("killed")
    (b'{"id": "1"}', None)
    """
    if not isinstance(message, str) or not message.startswith(_MARK):
        return None
    try:
        raw = base64.b85decode(message.removeprefix(_MARK).partition("\n")[0])
        return zlib.decompressobj().decompress(raw, _MOST) if raw else b""
    except (ValueError, binascii.Error, zlib.error):
        return None
