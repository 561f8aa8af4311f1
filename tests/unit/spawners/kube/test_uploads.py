"""Rows of uploads: each once, newest first, whichever of the three places they come from."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from images.lib.last_rows import ROWS, packed, unpacked
from images.lib.run import MESSAGE_LIMIT
from spawners.kube import uploads
from spawners.kube.uploads import KEPT, KEPT_BYTES, from_text, last_words, object_of, rows_of, to_text, together


def row(number: int, **more: Any) -> dict[str, Any]:
    """As images.collector.ledger writes it."""
    dice = random.Random(number)
    return {
        "id": f"{dice.getrandbits(80):020x}",
        "time": f"2026-11-21T10:{number // 60:02}:{number % 60:02}.{dice.randrange(1000):03}Z",
        "path": f"run-17/plate_{number:04}.tif",
        "bytes": dice.randrange(2**24),
        "source": "198.51.100.7",
        "protocol": "ftp",
        "outcome": "stored",
        "reason": None,
        "seconds": round(dice.random(), 3),
        **more,
    }


def lines(*rows: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in rows)


def paths(rows: Any) -> list[int]:
    return [int(one["path"][-8:-4]) for one in rows]


def test_rows_are_told_newest_first_each_upload_once() -> None:
    rows = [{"id": "a", "outcome": "waits"}, {"id": "b", "outcome": "stored"}, [], {"id": "a", "outcome": "stored"}]
    told = b'torn": 0}\n' + b"".join(json.dumps(one).encode() + b"\n" for one in rows) + b'{"id'
    assert rows_of(told, 10) == [{"id": "a", "outcome": "stored"}, {"id": "b", "outcome": "stored"}]
    assert len(rows_of(told, 1)) == 1
    assert object_of(b"[1]") == object_of(b"") == {}


# -- a Pod's last words -----------------------------------------------------------------------------------------------


def test_fifty_rows_fit_into_a_termination_message() -> None:
    every = [row(number) for number in range(400)]
    message = packed(lines(*every))
    assert len(message) <= MESSAGE_LIMIT
    told = unpacked(message.decode("ascii"))
    assert told is not None
    assert rows_of(told, 1000) == every[::-1][:ROWS]


def test_of_long_names_the_newest_are_left_that_fit() -> None:
    dice = random.Random(1)
    every = [row(number, path=f"{dice.getrandbits(2000):0500x}{number:04}.tif") for number in range(60)]
    message = packed(lines(*every))
    assert len(message) <= MESSAGE_LIMIT
    told = unpacked(message.decode("ascii"))
    assert told is not None
    assert 3 < len(rows_of(told, 100)) < 50
    assert rows_of(told, 100)[0] == every[-1]


def test_people_who_look_with_kubectl_read_a_sentence() -> None:
    assert packed(lines(row(1))).decode().splitlines()[-1] == "it was told to end"
    assert unpacked(packed(b"").decode()) == b""


@pytest.mark.parametrize("message", [None, 3, "", "Killed", "rows:~~~\nx", "rows:VPa!s\nx", '{"outcome": "ok"}'])
def test_other_last_words_are_none(message: object) -> None:
    assert unpacked(message) is None


def test_what_would_unpack_to_a_flood_is_cut() -> None:
    import base64
    import zlib

    bomb = base64.b85encode(zlib.compress(b"x" * 2**22)).decode()
    assert len(unpacked(f"rows:{bomb}\n") or b"") <= 2**18


def test_only_a_container_that_has_ended_has_last_words() -> None:
    def pod(**state: Any) -> dict[str, Any]:
        return {"status": {"containerStatuses": [{"name": "main", "state": state}]}}

    message = packed(lines(row(1))).decode()
    assert rows_of(last_words(pod(terminated={"exitCode": 0, "message": message})) or b"", 9) == [row(1)]
    assert last_words(pod(running={"message": message})) is None
    assert last_words(pod(terminated={"exitCode": 137})) is None
    assert last_words({}) is None


# -- together with what was kept --------------------------------------------------------------------------------------


def test_a_pod_that_has_fetched_the_rows_shows_none_twice() -> None:
    there = rows_of(lines(*(row(number) for number in range(10))), 50)
    kept = there[:5]
    assert together(there, kept, 50) == there
    assert together(there, kept, 3) == there[:3]


def test_what_the_object_store_missed_stands_where_it_belongs() -> None:
    # The store was away at the last Pod's end: it has 0 to 5, what was kept has 4 to 8, and 9 came to the new Pod.
    there = rows_of(lines(*(row(number) for number in (0, 1, 2, 3, 4, 5, 9))), 50)
    kept = rows_of(lines(*(row(number) for number in range(4, 9))), 50)
    assert paths(together(there, kept, 50)) == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]
    assert paths(together([], kept, 2)) == [8, 7]


@pytest.mark.parametrize("later", ["there", "kept"])
def test_of_one_upload_the_later_word_counts(later: str) -> None:
    waits, late = row(1, outcome="waiting"), row(1, outcome="late", time="2026-11-21T11:00:00.000Z")
    there, kept = (late, waits) if later == "there" else (waits, late)
    assert together([there, row(0)], [kept], 50) == [late, row(0)]


def test_what_is_kept_comes_back_as_it_was_and_has_its_limits() -> None:
    every = [row(number) for number in range(80, 0, -1)]
    assert list(from_text(to_text(every))) == every[:KEPT]
    long = [row(number, path="名" * 1000) for number in range(40, 0, -1)]
    text = to_text(long)
    assert len(text.encode()) <= KEPT_BYTES
    assert list(from_text(text)) == long[: len(from_text(text))]
    assert len(from_text(text)) > 5


def test_foreign_lines_in_what_is_kept_are_passed_over() -> None:
    text = f"{json.dumps(row(2))}\nnonsense\n[]\n{json.dumps(row(2, outcome='waiting'))}\n{json.dumps(row(1))}"
    assert list(from_text(text)) == [row(2), row(1)]
    assert from_text("\ud800") == ()
    assert uploads.from_text("x" * 10**6) == ()
