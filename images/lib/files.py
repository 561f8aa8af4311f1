"""Small files that other processes read while we write them: replaced whole, or appended a line at a time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def replace_json(path: Path, value: Any, mode: int = 0o600) -> None:
    """Write *value* as JSON so that a reader sees the old file or the new one, never half of one.

    The file is made with *mode* (default 0600) before the first byte is in it. OSError as the system raises it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # The writer's pid keeps two writers from sharing one temporary file; the last rename wins.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        json.dump(value, stream, ensure_ascii=False, default=str)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def append_json_line(path: Path, row: dict[str, Any]) -> None:
    """Append *row* as one line. One write() of an O_APPEND file: lines of concurrent writers do not mix."""
    line = json.dumps(row, ensure_ascii=False, default=str) + "\n"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)


def read_json(path: Path) -> Any | None:
    """The JSON in *path*, or None where the file is missing or not (yet) JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
