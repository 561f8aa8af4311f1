"""uploads.jsonl: one row for each thing that happened to an upload, for people and for the page that shows them."""

from __future__ import annotations

import ipaddress
import logging
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from images.lib.files import append_json_line

Outcome = Literal["stored", "incomplete", "late", "recovered", "waiting", "superseded", "renamed"]
"""stored, late, recovered: in the object store now. waiting: received, not stored yet; a later row with the same id
says more. superseded: a newer upload of the name came before a waiting one was stored. renamed: by RNFR/RNTO, not an
upload.
"""

_log = logging.getLogger("collector")
# A stored file has its row; a line in the log for each would double the work and say nothing more.
_LEVELS = {"stored": logging.DEBUG, "renamed": logging.DEBUG, "late": logging.INFO, "recovered": logging.INFO}


class Ledger:
    """Appends rows to *path*; beyond *max_bytes* the file becomes ``<name>.1`` and a new one begins."""

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._lock = threading.Lock()

    def write(
        self,
        *,
        id: str,
        path: str,
        bytes: int | None,
        source: str | None,
        protocol: str,
        outcome: Outcome,
        seconds: float | None = None,
        reason: str | None = None,
        sha256: str | None = None,
        was: str | None = None,
    ) -> None:
        """Append one row; *path* is relative to the destination folder, *seconds* from the first byte to this row.

        A row that cannot be written (disk full) is logged instead: the upload itself must not fail for it.
        """
        row: dict[str, Any] = {
            "id": id,
            "time": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "path": path,
            "bytes": bytes,
            "source": plain_address(source),
            "protocol": protocol,
            "outcome": outcome,
            "reason": reason,
            "seconds": None if seconds is None else round(seconds, 3),
        }
        if sha256 is not None:
            row["sha256"] = sha256
        if was is not None:
            row["from"] = was
        try:
            with self._lock:
                self._rotate()
                append_json_line(self._path, row)
        except OSError as error:
            _log.error("%s: %s; the row that is missing there: %s", self._path, error.strerror, row)
        _log.log(
            _LEVELS.get(outcome, logging.WARNING),
            "%s %s (%s bytes from %s)%s",
            outcome,
            path,
            bytes,
            row["source"],
            f": {reason}" if reason else "",
        )

    def _rotate(self) -> None:
        try:
            size = self._path.stat().st_size
        except FileNotFoundError:
            return
        if size >= self._max_bytes:
            os.replace(self._path, self._path.with_name(self._path.name + ".1"))  # noqa: PTH105


def plain_address(source: str | None) -> str | None:
    """An IPv4 address as people write it. Who listens on :: for both families sees it mapped (RFC 4291, 2.5.5.2).

    >>> plain_address("::ffff:192.0.2.7"), plain_address("2001:db8::7"), plain_address(None)
    ('192.0.2.7', '2001:db8::7', None)
    """
    try:
        found = ipaddress.ip_address(source or "")
    except ValueError:
        return source
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else source
