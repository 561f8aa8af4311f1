"""Real rclone against a real S3 endpoint and local folders."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import psutil
import pytest

from tests.images.transfer.running import ObjectStore, tree, wait_for, write_config


def test_a_copy_is_complete_verified_and_idempotent(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("copy")
    settings = {"source": data / "in", "destination": "store:copy/x", "rclone_config": s3.config, "checksum": True}
    run = start(**settings)
    assert run.wait() == 0, run.log
    assert tree(bucket / "x") == tree(data / "in")
    counts = run.result["counts"]
    assert run.result["outcome"] == "ok"
    assert (counts["files"], counts["bytes"], counts["checked"], counts["different"]) == (3, 9 + 256 * 4096, 3, 0)
    assert run.progress()["phase"] == "checking"
    again = start(**settings, folder="again")
    assert again.wait() == 0
    assert (again.result["counts"]["files"], again.result["counts"]["checked"]) == (0, 3)


def test_download_with_filters(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("filters")
    for name in ("keep.fits", "drop.tmp", "keep.tmp.fits", "other.txt"):
        (bucket / name).write_text(name)
    run = start(
        source="store:filters",
        destination=data / "out",
        rclone_config=s3.config,
        include=["*.fits"],
        exclude=["*.tmp.fits"],
    )
    assert run.wait() == 0, run.log
    assert set(tree(data / "out")) == {"keep.fits"}


def test_dry_run_only_lists_and_changes_nothing(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("dry")
    (bucket / "gone.txt").write_text("to be deleted")
    run = start(
        source=data / "in", destination="store:dry", rclone_config=s3.config, mode="sync", dry_run="only", max_delete=0
    )
    assert run.wait() == 0, run.log
    assert set(tree(bucket)) == {"gone.txt"}
    counts = run.result["counts"]
    assert (counts["would_copy"], counts["would_delete"], counts["files"], counts["deleted"]) == (3, 1, 0, 0)
    rows = [json.loads(line) for line in (run.folder / "dry-run.jsonl").read_text().splitlines()]
    assert {(row["action"], row["path"]) for row in rows} == {
        ("copy", "a.txt"),
        ("copy", "b.log"),
        ("copy", "deep/-c.bin"),
        ("delete", "gone.txt"),
    }


def test_sync_deletes_at_the_destination_and_says_so(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("sync")
    (bucket / "gone.txt").write_text("x")
    run = start(
        source=data / "in",
        destination="store:sync",
        rclone_config=s3.config,
        mode="sync",
        checksum=True,
        dry_run="first",
    )
    assert run.wait() == 0, run.log
    assert tree(bucket) == tree(data / "in")
    counts = run.result["counts"]
    assert (counts["files"], counts["deleted"], counts["would_copy"], counts["would_delete"]) == (3, 1, 3, 1)


def test_max_delete_refuses_before_anything_changes(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("guard")
    for name in ("one", "two"):
        (bucket / name).write_text(name)
    run = start(source=data / "in", destination="store:guard", rclone_config=s3.config, mode="sync", max_delete=1)
    assert run.wait() == 1
    assert "would delete 2 files" in run.result["message"]
    assert set(tree(bucket)) == {"one", "two"}


def test_sync_from_a_mistyped_source_deletes_nothing(s3: ObjectStore, data: Path, start) -> None:
    s3.bucket("typo")
    before = tree(data / "in")
    run = start(source="store:typo/no-such-prefix", destination=data / "in", rclone_config=s3.config, mode="sync")
    assert run.wait() == 1
    assert "no files, or does not exist" in run.result["message"]
    assert tree(data / "in") == before


@pytest.mark.parametrize("checksum", [False, True])
def test_move_empties_the_source(s3: ObjectStore, data: Path, start, checksum: bool) -> None:
    bucket = s3.bucket(f"move{checksum}".lower())
    before = tree(data / "in")
    run = start(
        source=data / "in",
        destination=f"store:{bucket.name}",
        rclone_config=s3.config,
        mode="move",
        checksum=checksum,
        dry_run="first",
    )
    assert run.wait() == 0, run.log
    assert tree(bucket) == before
    assert tree(data / "in") == {}
    counts = run.result["counts"]
    assert (counts["files"], counts["would_copy"], counts["deleted"]) == (3, 3, 0)


def test_sigterm_stops_rclone_and_a_rerun_completes(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("stop")
    (data / "in" / "big").write_bytes(os.urandom(30_000_000))
    settings = {"source": data / "in", "destination": "store:stop", "rclone_config": s3.config}
    run = start(**settings, bandwidth="2M")
    wait_for(lambda: (run.progress() or {}).get("bytes", 0) > 0, "bytes in progress.json")
    child = psutil.Process(run.process.pid).children()[0]
    assert run.progress()["total_bytes"] >= 30_000_000
    assert "big" in run.progress()["current"]
    run.process.terminate()
    assert run.wait() == 143
    assert run.result["outcome"] == "stopped"
    wait_for(lambda: not child.is_running(), "rclone ended")
    assert start(**settings, folder="again").wait() == 0
    assert tree(bucket) == tree(data / "in")


def test_kill_9_leaves_no_rclone_behind_and_a_rerun_completes(s3: ObjectStore, data: Path, start) -> None:
    bucket = s3.bucket("kill")
    (data / "in" / "big").write_bytes(os.urandom(20_000_000))
    settings = {"source": data / "in", "destination": "store:kill", "rclone_config": s3.config}
    run = start(**settings, bandwidth="2M")
    wait_for(lambda: (run.progress() or {}).get("bytes", 0) > 0, "bytes in progress.json")
    child = psutil.Process(run.process.pid).children()[0]
    run.process.send_signal(signal.SIGKILL)
    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE, "rclone ended")
    again = start(**settings)
    assert again.wait() == 0, again.log
    assert tree(bucket) == tree(data / "in")


def test_time_limit(s3: ObjectStore, data: Path, start) -> None:
    s3.bucket("limit")
    (data / "in" / "big").write_bytes(os.urandom(30_000_000))
    run = start(source=data / "in", destination="store:limit", rclone_config=s3.config, bandwidth="1M", time_limit_s=2)
    assert run.wait() == 1
    assert "time limit of 2 s" in run.result["message"]


def test_a_wrong_key_is_told_as_such(s3: ObjectStore, data: Path, start) -> None:
    endpoint = s3.config.read_text().split("endpoint = ")[1].split("\n")[0]
    write_config(s3.config, endpoint, "not-the-secret")
    run = start(source=data / "in", destination="store:copy/x", rclone_config=s3.config, retries=0)
    assert run.wait() == 1
    assert run.result["message"].startswith("The credentials of the object store were refused")
    assert "not-the-secret" not in run.log + json.dumps(run.result)


@pytest.mark.parametrize(
    ("destination", "words"),
    [
        ("store:no-such-bucket/x", "There is no such bucket"),
        ("nowhere:copy/x", "not in this tenant's list of remotes"),
    ],
)
def test_a_wrong_destination_is_told_as_such(s3: ObjectStore, data: Path, start, destination: str, words: str) -> None:
    run = start(source=data / "in", destination=destination, rclone_config=s3.config, retries=0)
    assert run.wait() == 1
    assert words in run.result["message"]
    assert not (s3.folder / "no-such-bucket").exists()


def test_an_unreachable_store_is_told_as_such(data: Path, tmp_path: Path, start) -> None:
    config = tmp_path / "rclone.conf"
    write_config(config, "http://127.0.0.1:1", "x")  # port 1: nothing listens there
    run = start(source=data / "in", destination="store:b/x", rclone_config=config, retries=0, time_limit_s=50)
    assert run.wait() == 1
    assert "could not be reached" in run.result["message"]


def test_a_missing_rclone_is_told_as_such(data: Path, start) -> None:
    run = start(source=data / "in", destination=data / "out", rclone="/nowhere/rclone")
    assert run.wait() == 1
    assert run.result["message"] == "rclone is not installed on this machine"
