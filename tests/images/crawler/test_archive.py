"""WARC files that survive anything: cut at any byte, a full disk, a name that resolves differently the second time."""

from __future__ import annotations

import gzip
import io
import json
import resource
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address

from images.crawler.archive import Archive, Exchange, Page
from images.crawler.guard import GuardedResolver
from images.crawler.salvage import repair, whole_members
from tests.images.crawler.parts import list_records, record_at, warc_records


def exchange(number: int, body: bytes = b"hello") -> Exchange:
    headers = (("Content-Type", "text/plain"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Name", "M\u00fcller"))
    url = f"http://example.org/{number}?q=%C3%A4"
    return Exchange(url, "GET", (("Host", "example.org"),), 200, headers, body, "127.0.0.1", datetime.now(UTC))


def archive(folder: Path) -> Archive:
    return Archive(folder, "demo-r1", 10**9, {"software": "test"})


def page(number: int, place: Any) -> Page:
    return Page("u", 200, "t", "page", number, None, (), "", 5, "", None, place.warc, place.offset, place.length)


def test_headers_and_first_lines_are_as_they_were(tmp_path: Path) -> None:
    made = archive(tmp_path)
    made.add(exchange(1))
    made.close()
    (path,) = tmp_path.glob("*.warc.gz")
    text = gzip.decompress(path.read_bytes()).decode("latin-1")
    assert text.count("WARC/1.1\r\n") == 3
    answer = "HTTP/1.1 200 OK|Content-Type: text/plain|Set-Cookie: a=1|Set-Cookie: b=2|X-Name: Müller||hello"
    assert "\r\n\r\n" + answer.replace("|", "\r\n") in text
    assert "\r\n\r\nGET /1?q=" in text and "HTTP/1.1\r\nHost: example.org\r\n" in text


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("whole")
    made = archive(folder)
    for number in range(3):
        made.add(exchange(number, bytes(range(256)) * 10 * number))
    made.close()
    (path,) = folder.glob("*.warc.gz")
    return path.read_bytes()


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_cut_anywhere_it_stays_valid(whole: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(whole)))
    end = whole_members(io.BytesIO(whole[:cut]))
    kept = list_records(io.BytesIO(whole[:end])) if end else []
    assert end <= cut
    # whole records only, and none too few: the next record's end lies behind the cut
    everything = list_records(io.BytesIO(whole))
    assert kept == everything[: len(kept)]
    after = end + whole_members(io.BytesIO(whole[end:])) if cut < len(whole) else len(whole)
    assert (end == len(whole)) == (cut == len(whole)) and after == len(whole)


def test_every_record_is_found_again(whole: bytes) -> None:
    assert whole_members(io.BytesIO(whole)) == len(whole)
    assert whole_members(io.BytesIO(whole + b"\0" * 100_000)) == len(whole)
    assert len(list_records(io.BytesIO(whole))) == 7


def test_a_line_without_its_record_goes(tmp_path: Path) -> None:
    made = archive(tmp_path)
    for number in range(2):
        made.add_page(page(number, made.add(exchange(number))))
    made.add_error("http://x/", None, "no")
    made.close()
    (warc,) = tmp_path.glob("*.warc.gz")
    rows = [json.loads(line) for line in (tmp_path / "pages.jsonl").read_text().splitlines()]
    warc.write_bytes(warc.read_bytes()[: rows[1]["offset"] + rows[1]["length"] - 1])
    (tmp_path / ".manifest.json.123").write_text("{")
    repair(tmp_path)
    kept = [json.loads(line) for line in (tmp_path / "pages.jsonl").read_text().splitlines()]
    assert kept == rows[:1] and record_at(tmp_path, kept[0])[1] == b"hello"
    assert sorted(path.name for path in tmp_path.iterdir()) == [warc.name, "errors.jsonl", "pages.jsonl"]


def test_a_full_disk_leaves_no_half_record(tmp_path: Path) -> None:
    made = archive(tmp_path)
    made.add(exchange(1))
    (warc,) = tmp_path.glob("*.warc.gz")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The kernel takes 100 bytes more and then refuses, as it does on a full disk (EFBIG instead of ENOSPC).
    resource.setrlimit(resource.RLIMIT_FSIZE, (warc.stat().st_size + 100, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            made.add(exchange(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    made.add(exchange(3))
    made.close()
    urls = [url for kind, url, _, _ in warc_records(tmp_path) if kind == "response"]
    assert [url and url[:20] for url in urls] == ["http://example.org/1", "http://example.org/3"]


class Names:
    """A resolver that gives another address each time it is asked, as in DNS rebinding."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = list(addresses)

    def resolveHostName(self, receiver: Any, host: str, port: int, types: Any, transport: str) -> None:
        receiver.resolutionBegan(None)
        receiver.addressResolved(IPv4Address("TCP", self._addresses.pop(0), port))
        receiver.resolutionComplete()


class Receiver:
    def __init__(self) -> None:
        self.hosts: list[str] = []

    def resolutionBegan(self, resolution: Any) -> None:
        pass

    def addressResolved(self, address: Any) -> None:
        self.hosts.append(address.host)

    def resolutionComplete(self) -> None:
        pass


def test_a_name_that_turns_private_is_refused_then() -> None:
    guard = GuardedResolver(Names("93.184.216.34", "10.0.0.1", "93.184.216.34"), allow_private=False)
    asked = []
    for _ in range(3):
        receiver = Receiver()
        guard.resolveHostName(receiver, "rebinding.example", 80)
        asked.append((receiver.hosts, "rebinding.example" in guard.refused))
    assert asked == [(["93.184.216.34"], False), ([], True), (["93.184.216.34"], False)]
