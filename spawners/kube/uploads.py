"""Rows of uploads: of a Pod's file, of its last words, and of what was kept; each upload once, newest first. Pure."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from images.lib.last_rows import unpacked
from spawners.kube import runs

Row = dict[str, Any]
KEPT = 50
"""Uploads that are kept of a collector that has ended: as many as its page shows."""
KEPT_BYTES = 32 * 1024
"""Of all of them: names of files may be long."""


def object_of(told: bytes) -> Row:
    """The JSON object; {} where it is none."""
    try:
        found = orjson.loads(told)
    except orjson.JSONDecodeError:
        return {}
    return found if isinstance(found, dict) else {}


def rows_of(told: bytes, limit: int) -> list[Row]:
    """Rows of a JSONL file's end, the newest of each id, newest first. Torn and foreign lines are passed over."""
    rows: OrderedDict[str, Row] = OrderedDict()
    for line in reversed(told.splitlines()):
        row = object_of(line)
        # An upload that waited has a later row with the same id: the newest tells how it ended.
        if row:
            rows.setdefault(str(row.get("id")), row)
        if len(rows) >= limit:
            break
    return list(rows.values())


def together(there: Sequence[Row], kept: Iterable[Row], limit: int) -> list[Row]:
    """Rows of the Pod that runs and rows that were kept of one before it.

    A Pod begins with the rows that lie in the object store, which may be older than what was kept, or with none where
    the store was away. So of one upload the later row counts, and if anything is only kept, time is the order.
    """
    newest = {str(row.get("id")): row for row in there}
    known = set(newest)
    for row in kept:
        name = str(row.get("id"))
        if name not in newest or _time(row) > _time(newest[name]):
            newest[name] = row
            known.discard(name)
    if len(known) == len(newest):
        return list(there[:limit])
    return sorted(newest.values(), key=_time, reverse=True)[:limit]


def last_words(pod: Mapping[str, Any]) -> bytes | None:
    """The rows that a Pod has left as its termination message; None where it has not ended, or left none."""
    return unpacked(runs.terminated(pod).get("message"))


def to_text(rows: Sequence[Row]) -> str:
    """As they are kept: newest first, a line each, within the limits above; those that do not fit are left out."""
    lines: list[str] = []
    left = KEPT_BYTES
    for row in rows[:KEPT]:
        line = orjson.dumps(row).decode()
        left -= len(line.encode()) + 1
        if left < 0:
            break
        lines.append(line)
    return "\n".join(lines)


def from_text(text: str) -> tuple[Row, ...]:
    """What was kept, newest first. What is none of ours is passed over, the newest row of an id stays."""
    rows: OrderedDict[str, Row] = OrderedDict()
    for line in text[: 4 * KEPT_BYTES].splitlines():
        if row := object_of(line.encode("utf-8", "replace")):
            rows.setdefault(str(row.get("id")), row)
    return tuple(rows.values())[:KEPT]


def _time(row: Mapping[str, Any]) -> str:
    """images.collector.ledger writes it in one form, UTC to the millisecond, which sorts as text."""
    return str(row.get("time") or "")
