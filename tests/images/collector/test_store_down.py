"""The object store, rclone or the collector itself dies: what was received whole is stored later, never older over
newer.
"""

from __future__ import annotations

import ftplib
import io
import os
import threading
from collections.abc import Callable

import pytest

from tests.images.collector.running import Collector, begin
from tests.images.s3 import S3Server, wait_for

CONTENT = os.urandom(50_000)


def test_a_store_that_is_down(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3).start()
    own_s3.kill()
    with collector.client() as client:
        with pytest.raises(ftplib.error_temp, match="451 Received, but not stored yet"):
            collector.put("down.bin", CONTENT, client)
        waiting = collector.row("down.bin", "waiting")
        assert waiting["bytes"] == len(CONTENT)
        assert waiting["reason"]
        assert collector.object("down.bin") is None
        own_s3.start()
        late = collector.row("down.bin", "late")
        assert late["id"] == waiting["id"]
        assert collector.object("down.bin") == CONTENT
        assert collector.put("after.bin", CONTENT, client).startswith("226")
    assert collector.spooled() == []


def test_a_store_that_is_down_when_the_collector_starts(
    own_s3: S3Server, make_collector: Callable[..., Collector]
) -> None:
    """rclone asks a store when it first meets a remote, and must not keep a wrong answer."""
    collector = make_collector(own_s3)
    own_s3.kill()
    collector.start()
    wait_for(lambda: "does not answer as it should" in collector.log.read_text(), "the log tells it at the start")
    with collector.client() as client:
        with pytest.raises(ftplib.error_temp, match="451"):
            collector.put("early.bin", CONTENT, client)
        own_s3.start()
        collector.row("early.bin", "late")
        assert client.size("early.bin") == len(CONTENT)
        assert client.nlst() == ["early.bin"]


def test_the_newer_wins_while_both_wait(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3, retry_s=[30, 30]).start()
    own_s3.kill()
    with collector.client() as client:
        for content in (b"older", b"newer"):
            with pytest.raises(ftplib.error_temp, match="451"):
                collector.put("twice.bin", content, client)
        assert len(collector.spooled()) == 1
        own_s3.start()
        with pytest.raises(ftplib.error_temp, match="450 The file waits"):
            client.rename("twice.bin", "other.bin")
    collector.stop()
    collector.start()
    collector.row("twice.bin", "recovered")
    assert collector.object("twice.bin") == b"newer"
    assert [row["outcome"] for row in collector.rows("twice.bin")] == ["waiting", "waiting", "superseded", "recovered"]


def test_the_newer_is_stored_while_the_older_waits(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3, retry_s=[0.5, 0.5]).start()
    own_s3.kill()
    with collector.client() as client:
        with pytest.raises(ftplib.error_temp, match="451"):
            collector.put("race.bin", b"older", client)
        own_s3.start()
        while True:
            try:
                assert collector.put("race.bin", b"newer", client).startswith("226")
                break
            except ftplib.error_temp:
                continue
        assert collector.object("race.bin") == b"newer"
    wait_for(lambda: collector.spooled() == [], "nothing waits")
    assert collector.object("race.bin") == b"newer"


def test_concurrent_uploads_of_one_name_are_stored_in_the_order_of_reception(
    own_s3: S3Server, make_collector: Callable[..., Collector]
) -> None:
    collector = make_collector(own_s3).start()
    clients = [collector.client() for _ in range(4)]
    collector.put("order.bin", b"earlier", clients[0])
    own_s3.freeze()
    journal = collector.state / "spool" / "journal.jsonl"
    for number, client in enumerate(clients):
        begin(client, "order.bin", f"number {number}".encode()).close()
        wait_for(
            lambda count=number + 2: journal.read_text().count('"event": "received"') == count,
            "the reception of each, one after the other",
        )
    own_s3.thaw()
    for client in clients:
        assert client.voidresp().startswith("226")
    assert collector.object("order.bin") == b"number 3"
    stored = [row for row in collector.rows("order.bin") if row["outcome"] == "stored"]
    assert len(stored) == 5
    assert len({row["id"] for row in stored}) == 5


def test_a_client_that_vanishes_while_it_waits_for_its_turn(
    own_s3: S3Server, make_collector: Callable[..., Collector]
) -> None:
    collector = make_collector(own_s3).start()
    first, second = collector.client(), collector.client()
    own_s3.freeze()
    begin(first, "turn.bin", b"first").close()
    journal = collector.state / "spool" / "journal.jsonl"
    wait_for(lambda: journal.read_text().count('"event": "received"') == 1, "the first is received")
    begin(second, "turn.bin", b"second").close()
    wait_for(lambda: journal.read_text().count('"event": "received"') == 2, "the second is received")
    second.close()
    own_s3.thaw()
    assert first.voidresp().startswith("226")
    assert "control connection" in collector.row("turn.bin", "incomplete")["reason"]
    assert collector.object("turn.bin") == b"first"


def test_killed_between_reception_and_store(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3).start()
    collector.put("both.bin", b"earlier")
    own_s3.freeze()
    clients = [collector.client() for _ in range(3)]
    begin(clients[0], "both.bin", CONTENT).close()
    begin(clients[1], "new.bin", CONTENT).close()
    half = begin(clients[2], "half.bin", CONTENT)
    journal = collector.state / "spool" / "journal.jsonl"
    wait_for(lambda: journal.read_text().count('"event": "received"') == 3, "both are received")
    wait_for(lambda: len(collector.spooled()) == 3, "the third is begun")
    rclone = collector.rclone()
    collector.kill()
    rclone.wait(30)  # dies with its parent: it must not finish an old copy after a newer one
    half.close()
    own_s3.kill()
    assert len(collector.spooled()) == 3
    own_s3.start()
    assert collector.object("both.bin") == b"earlier"
    collector.start()
    for name in ("both.bin", "new.bin"):
        assert collector.row(name, "recovered")["source"] == "127.0.0.1"
        assert collector.object(name) == CONTENT
    assert "stopped while" in collector.row("half.bin", "incomplete")["reason"]
    assert collector.object("half.bin") is None
    assert collector.spooled() == []


def test_killed_while_a_file_waits(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3).start()
    own_s3.kill()
    for content in (b"older", b"newest"):
        with pytest.raises(ftplib.error_temp, match="451"):
            collector.put("waits.bin", content)
    collector.kill()
    collector.start()  # with the store still down: it serves all the same
    own_s3.start()
    collector.row("waits.bin", "recovered")
    assert collector.object("waits.bin") == b"newest"
    assert collector.spooled() == []


def test_rclone_killed(collector: Collector) -> None:
    with collector.client() as client:
        for turn in range(5):
            collector.rclone().kill()
            try:
                reply = collector.put(f"killed-{turn}.bin", CONTENT, client)
            except ftplib.error_temp as error:
                reply = str(error)
                assert reply.startswith("451")
            wait_for(lambda turn=turn: collector.object(f"killed-{turn}.bin") == CONTENT, "the object, sooner or later")
            wait_for(lambda: collector.rclone().is_running(), "rclone is back")
    assert collector.spooled() == []


def test_rclone_killed_while_it_stores(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3).start()
    collector.put("stall.bin", b"earlier")
    own_s3.freeze()
    replies: list[str] = []

    def upload() -> None:
        try:
            replies.append(collector.put("stall.bin", CONTENT))
        except ftplib.error_temp as error:
            replies.append(str(error))

    thread = threading.Thread(target=upload)
    thread.start()
    wait_for(lambda: '"size": 50000' in (collector.state / "spool" / "journal.jsonl").read_text(), "the reception")
    collector.rclone().kill()
    thread.join(60)
    own_s3.thaw()
    assert replies[0].startswith("451")
    collector.row("stall.bin", "late")
    assert collector.object("stall.bin") == CONTENT


def test_a_store_that_does_not_answer_in_time(own_s3: S3Server, make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(own_s3, store_timeout_s=1).start()
    own_s3.freeze()
    with pytest.raises(ftplib.error_temp, match="451"):
        collector.put("slow.bin", CONTENT)
    own_s3.thaw()
    collector.row("slow.bin", "late")
    assert collector.object("slow.bin") == CONTENT


def test_the_store_killed_in_the_middle_of_replacing(
    own_s3: S3Server, make_collector: Callable[..., Collector]
) -> None:
    """The embedded object store itself: its PUT writes beside the object and renames, so that nothing is torn."""
    collector = make_collector(own_s3).start()
    old, new = os.urandom(1 << 20), os.urandom(1 << 20) * 64
    collector.put("torn.bin", old)
    replies: list[str] = []

    def upload() -> None:
        try:
            with collector.client() as client:
                replies.append(client.storbinary("STOR torn.bin", io.BytesIO(new)))
        except ftplib.error_temp as error:
            replies.append(str(error))

    thread = threading.Thread(target=upload)
    thread.start()
    # The store has begun to write the new object, somewhere.
    wait_for(lambda: any(file.name != "torn.bin" for file in collector.objects.iterdir()) or replies, "a PUT under way")
    own_s3.kill()
    assert collector.object("torn.bin") in (old, new)
    own_s3.start()
    thread.join(60)
    wait_for(lambda: collector.object("torn.bin") == new, "the new object in the end")


def test_a_missing_bucket_is_told(make_collector: Callable[..., Collector]) -> None:
    collector = make_collector(destination="lab:nosuchbucket/folder").start()
    said = "the bucket of lab:nosuchbucket/folder does not exist"
    wait_for(lambda: said in collector.log.read_text(), "the log tells it at the start")
    with pytest.raises(ftplib.error_temp, match=r"451 .*bucket does not exist"):
        collector.put("x.bin", b"x")


def test_the_process_group_is_not_what_ends_rclone(collector: Collector) -> None:
    """Ctrl-C at a terminal goes to the whole group: rclone must outlive it until the collector has finished."""
    assert os.getpgid(collector.rclone().pid) != os.getpgid(collector.process.pid if collector.process else 0)
