"""Which file names can be stored as they are. Pure."""

from __future__ import annotations

import unicodedata

MAX_KEY_BYTES = 1024  # Amazon S3: object keys, in UTF-8
MAX_PART_BYTES = 255  # most file systems, and so most places the object is ever copied to


def refusal(path: str, folder: str) -> str | None:
    """Why *path* (relative to *folder*, both with "/") cannot be stored under its own name, or None if it can.

    ``.`` and ``..`` have been resolved before; they are refused here all the same, as the last line of defence.
    """
    if not path:
        return "no file name"
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return "not a plain path"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in path):
        return "control characters are not allowed in file names"
    if any(len(part.encode()) > MAX_PART_BYTES for part in parts):
        return f"a name is longer than {MAX_PART_BYTES} bytes"
    if len(f"{folder}/{path}".encode()) > MAX_KEY_BYTES:
        return f"the whole path is longer than {MAX_KEY_BYTES} bytes"
    return None
