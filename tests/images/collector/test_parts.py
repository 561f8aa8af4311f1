"""The collector's parts that need no process: spool and journal, order of publication, defender, names, log lines."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.collector.defender import Defender
from images.collector.ledger import Ledger
from images.collector.names import refusal
from images.collector.publish import Publisher
from images.collector.receive import Control, Receiver, Refused, Rules, control_state, settling_time
from images.collector.serve import Event, connected_peers, read_event
from images.collector.spool import Spool, Upload
from images.collector.store import Store, StoreError
from images.lib.rclone_rc import plain_reason
from tests.images.s3 import wait_for


def _received(spool: Spool, path: str, content: bytes = b"content") -> Upload:
    upload = spool.begin(path, "192.0.2.1", "ftp")
    receiver = Receiver(spool, upload, Rules(None, False), None)
    receiver.write(memoryview(content))
    return receiver.complete()


def _new(folder: Path, max_bytes: int | None = None) -> Spool:
    spool = Spool(folder, max_bytes)
    assert spool.recover().broken == ()
    return spool


# the spool


def test_the_spool_recovers_in_the_order_of_reception(tmp_path: Path) -> None:
    spool = _new(tmp_path)
    early = spool.begin("early", "192.0.2.1", "ftp")
    first = _received(spool, "first")
    receiver = Receiver(spool, early, Rules(None, False), None)
    receiver.write(memoryview(b"x"))
    late = receiver.complete()
    gone = _received(spool, "gone")
    spool.remove(gone, 7)
    half = spool.begin("half", "192.0.2.2", "ftp")
    spool.file(half).write_bytes(b"ha")
    left = Spool(tmp_path).recover()
    assert left.complete == (first, late)
    assert [(upload.path, upload.source) for upload, _ in left.broken] == [("half", "192.0.2.2")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([first.id, late.id, "journal.jsonl"])
    # Once more: the rewritten journal says the same.
    assert Spool(tmp_path).recover().complete == (first, late)


def test_a_torn_last_line_costs_only_what_it_said(tmp_path: Path) -> None:
    spool = _new(tmp_path)
    kept, torn = _received(spool, "kept"), _received(spool, "torn")
    journal = tmp_path / "journal.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    left = Spool(tmp_path).recover()
    assert left.complete == (kept,)
    assert [upload.id for upload, _ in left.broken] == [torn.id]


def test_a_spooled_file_of_another_size_is_broken(tmp_path: Path) -> None:
    spool = _new(tmp_path)
    upload = _received(spool, "short")
    spool.file(upload).write_bytes(b"con")
    left = Spool(tmp_path).recover()
    assert left.complete == ()
    assert left.broken[0][1] == "received with 7 bytes, but the spool holds 3"


def test_after_a_power_failure_only_synced_files_are_trusted(tmp_path: Path) -> None:
    spool = _new(tmp_path)
    synced, loose = _received(spool, "synced"), _received(spool, "loose")
    spool.sync(synced)
    journal = tmp_path / "journal.jsonl"
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    journal.write_text("".join(json.dumps({**line, "boot": "before"}) + "\n" for line in lines))
    left = Spool(tmp_path).recover()
    assert [upload.id for upload in left.complete] == [synced.id]
    assert left.broken[0][0].id == loose.id
    assert "went down" in left.broken[0][1]


def test_the_journal_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("images.collector.spool._COMPACT_BYTES", 5000)
    spool = _new(tmp_path)
    kept = _received(spool, "kept")
    for number in range(200):
        spool.remove(_received(spool, f"gone-{number}"), 7)
    assert (tmp_path / "journal.jsonl").stat().st_size < 6000
    assert Spool(tmp_path).recover().complete == (kept,)


def test_the_spool_gives_back_what_it_took(tmp_path: Path) -> None:
    spool = _new(tmp_path, max_bytes=10)
    upload = _received(spool, "seven")
    other = Receiver(spool, spool.begin("other", "192.0.2.1", "ftp"), Rules(None, False), None)
    with pytest.raises(Refused, match="spool is full"):
        other.write(memoryview(b"four"))
    other.abandon()
    spool.remove(upload, 7)
    assert _received(spool, "ten", b"x" * 10).size == 10
    assert Spool(tmp_path, 10).recover().complete[0].size == 10


# the order of publication


class _FakeStore(Store):
    """Keeps what it is given; fails while *down*; *hold* stops each put until released."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.down = False
        self.gate = threading.Event()
        self.gate.set()
        self.asked = 0

    def put(self, local: Path, path: str, timeout_s: float) -> None:
        self.asked += 1
        assert self.gate.wait(timeout_s)
        if self.down:
            raise StoreError("down")
        self.objects[path] = local.read_bytes()


class _Parts:
    def __init__(self, folder: Path, retry_s: tuple[float, float] = (0.05, 0.1)) -> None:
        self.spool = _new(folder / "spool")
        self.store = _FakeStore()
        self.rows = folder / "uploads.jsonl"
        ledger = Ledger(self.rows, 1_000_000)
        self.publisher = Publisher(self.store, self.spool, ledger, timeout_s=30, retry_s=retry_s)

    def outcomes(self, path: str) -> list[str]:
        if not self.rows.exists():
            return []
        rows = [json.loads(line) for line in self.rows.read_text().splitlines()]
        return [row["outcome"] for row in rows if row["path"] == path]


@pytest.fixture
def parts(tmp_path: Path) -> Iterator[_Parts]:
    made = _Parts(tmp_path)
    made.publisher.start(())
    yield made
    made.publisher.stop()


def _publish(parts: _Parts, path: str, content: bytes) -> str:
    return parts.publisher.publish(_received(parts.spool, path, content), lambda: None).outcome


def test_what_waits_is_stored_when_the_store_is_back(parts: _Parts) -> None:
    parts.store.down = True
    assert _publish(parts, "a", b"1") == "waiting"
    assert parts.publisher.is_waiting("a")
    parts.store.down = False
    wait_for(lambda: parts.outcomes("a") == ["waiting", "late"], "the late row")
    assert parts.store.objects == {"a": b"1"}
    assert not parts.publisher.is_waiting("a")
    # And the thread is awake for the next one as well.
    parts.store.down = True
    assert _publish(parts, "b", b"2") == "waiting"
    parts.store.down = False
    wait_for(lambda: parts.store.objects.get("b") == b"2", "the second")


def test_an_older_one_never_follows_a_newer_one(tmp_path: Path) -> None:
    parts = _Parts(tmp_path, retry_s=(60, 60))
    parts.publisher.start(())
    parts.store.down = True
    assert _publish(parts, "a", b"older") == "waiting"
    parts.store.down = False
    assert _publish(parts, "a", b"newer") == "stored"
    assert parts.outcomes("a") == ["waiting", "stored", "superseded"]
    assert parts.store.objects["a"] == b"newer"
    assert not parts.publisher.is_waiting("a")


def test_a_newer_one_waits_for_a_retry_that_is_under_way(parts: _Parts) -> None:
    parts.store.down = True
    assert _publish(parts, "a", b"older") == "waiting"
    parts.store.down = False
    parts.store.gate.clear()
    asked = parts.store.asked
    wait_for(lambda: parts.store.asked > asked, "the retry is under way")
    done: list[str] = []
    newer = threading.Thread(target=lambda: done.append(_publish(parts, "a", b"newer")))
    newer.start()
    parts.store.gate.set()
    newer.join(30)
    assert done == ["stored"]
    assert parts.store.objects["a"] == b"newer"
    assert parts.outcomes("a") == ["waiting", "late", "stored"]


def test_only_the_newest_of_a_name_is_recovered(tmp_path: Path) -> None:
    parts = _Parts(tmp_path)
    uploads = tuple(_received(parts.spool, "a", content) for content in (b"1", b"2", b"3"))
    parts.publisher.start(uploads)
    wait_for(lambda: parts.outcomes("a") == ["superseded", "superseded", "recovered"], "the rows")
    assert parts.store.objects == {"a": b"3"}


def test_a_turn_over_two_names_never_deadlocks(parts: _Parts) -> None:
    def rename(first: str, second: str) -> None:
        for _ in range(200):
            with parts.publisher.turn(first, second):
                pass

    threads = [
        threading.Thread(target=rename, args=names) for names in (("a", "b"), ("b", "a"), ("b", "c"), ("c", "a"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_one_file_that_the_store_refuses_does_not_hold_up_the_others(parts: _Parts) -> None:
    parts.store.down = True
    for name in ("a", "b"):
        assert _publish(parts, name, b"x") == "waiting"
    parts.store.down = False
    original = parts.store.put

    def put(local: Path, path: str, timeout_s: float) -> None:
        if path == "a":
            raise StoreError("refused")
        original(local, path, timeout_s)

    parts.store.put = put  # type: ignore[method-assign]
    wait_for(lambda: parts.store.objects.get("b") == b"x", "b, although a is refused")
    assert parts.publisher.is_waiting("a")


# small decisions


def test_the_defender_counts_by_address_and_forgets() -> None:
    now = [0.0]
    defender = Defender(3, 10.0, clock=lambda: now[0])
    assert [defender.failed("a") for _ in range(3)] == [False, False, True]
    assert defender.locked("a")
    assert not defender.locked("b")
    now[0] = 10.1
    assert not defender.locked("a")
    assert not defender.failed("a")
    defender.failed("a")
    defender.succeeded("a")
    assert [defender.failed("a") for _ in range(3)] == [False, False, True]


@pytest.mark.parametrize("path", ["a", "a/b", "日本", " x ", "...", "a" * 255])
def test_good_names(path: str) -> None:
    assert refusal(path, "folder") is None


@pytest.mark.parametrize("path", ["", "a//b", "/a", "a/", "..", "a/../b", ".", "a\nb", "a\x00", "a\x7f", "日" * 86])
def test_bad_names(path: str) -> None:
    assert refusal(path, "folder")


def test_the_key_counts_with_its_folder() -> None:
    path = "/".join(["d" * 100] * 10)
    assert refusal(path, "f") is None
    assert refusal(path, "f" * 20) == "the whole path is longer than 1024 bytes"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        (
            "operation error S3: PutObject, https response error StatusCode: 404, RequestID: A, HostID: , "
            "api error NoSuchBucket: The specified bucket does not exist",
            "The specified bucket does not exist (NoSuchBucket)",
        ),
        ("api error Forbidden: Forbidden", "Forbidden"),
        (
            'operation error S3: PutObject, StatusCode: 0, request send failed, Put "http://10.0.0.1:9/b/x?y": '
            "dial tcp 10.0.0.1:9: connect: connection refused",
            "10.0.0.1:9 cannot be reached: dial tcp 10.0.0.1:9: connect: connection refused",
        ),
        ("one\ntwo", "one two"),
    ],
)
def test_reasons_are_plain(text: str, plain: str) -> None:
    assert plain_reason(text) == plain


@pytest.mark.parametrize(
    ("send", "state"),
    [
        (b"", Control.OPEN),
        (b"NOOP\r\n", Control.OPEN),
        (b"ABOR\r\n", Control.ABORTED),
        (b"\xff\xf4\xff\xf2ABOR\r\n", Control.ABORTED),
        (b"NOOP\r\nabor\r\n", Control.ABORTED),
        (b"STOR ABOR\r\n", Control.OPEN),
    ],
)
@pytest.mark.parametrize("closes", [False, True])
def test_what_the_control_connection_says(send: bytes, state: Control, closes: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.sendall(send)
        if closes:
            theirs.close()
        expected = Control.GONE if closes and state is Control.OPEN else state
        assert control_state(ours, 0) is expected
        assert (ours.recv(100) if send else b"") == send  # nothing was taken


@pytest.mark.parametrize(
    ("transfer_s", "longest_s", "settle_s"),
    [(0.0005, 0.05, 0.0003), (0.1, 0.05, 0.01), (10, 0.05, 0.05), (10, 0, 0), (0, 0, 0)],
)
def test_a_tenth_of_the_transfer_is_the_settling_time(transfer_s: float, longest_s: float, settle_s: float) -> None:
    assert settling_time(transfer_s, longest_s) == pytest.approx(settle_s)


def test_quit_and_gone_is_a_farewell() -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.setblocking(False)
        theirs.sendall(b"QUIT\r\n")
        theirs.close()
        assert control_state(ours, 0) is Control.OPEN


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ('{"level":"info","msg":"Copied (new)","size":5,"object":"a/b"}', Event("stored", "a/b", size=5)),
        ('{"level":"info","msg":"Copied (replaced existing)","size":5,"object":"a"}', Event("stored", "a", size=5)),
        ('{"level":"info","msg":"vfs cache: queuing for upload in 0s","object":"a"}', Event("begun", "a")),
        ('{"msg":"PUT from 192.0.2.1:59168","object":"//c.bin"}', Event("told", "c.bin", source="192.0.2.1")),
        ('{"msg":"PUT from [2001:db8::1]:59168","object":"//c"}', Event("told", "c", source="2001:db8::1")),
        ('{"level":"error","msg":"Failed to copy: x","object":"a"}', Event("waiting", "a", reason="x")),
        ('{"level":"info","msg":"something else","object":"a"}', None),
        ("plain text", None),
        ("[]", None),
    ],
)
def test_lines_of_rclone_serve(line: str, event: Event | None) -> None:
    assert read_event(line) == event


def test_who_is_connected() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connected_peers(port) == set()
        with socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.7", 0)):
            assert connected_peers(port) == {"127.0.0.7"}
