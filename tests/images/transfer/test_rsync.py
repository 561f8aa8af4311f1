"""Real rsync between two local folders."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.images.transfer.running import need_rsync, tree, wait_for


@pytest.fixture(autouse=True)
def _rsync_is_there() -> None:
    need_rsync()


def test_a_copy_is_complete_verified_and_idempotent(data: Path, start) -> None:
    settings = {"tool": "rsync", "source": data / "in", "destination": data / "out", "checksum": True}
    run = start(**settings)
    assert run.wait() == 0, run.log
    assert tree(data / "out") == tree(data / "in")
    counts = run.result["counts"]
    assert (counts["files"], counts["bytes"], counts["different"]) == (3, 9 + 256 * 4096, 0)
    again = start(**settings, folder="again")
    assert again.wait() == 0
    assert again.result["counts"]["files"] == 0


def test_sync_with_a_dry_run_first_and_filters(data: Path, start) -> None:
    (data / "out").mkdir()
    (data / "out" / "gone.txt").write_text("x")
    (data / "out" / "kept.tmp").write_text("excluded files are left alone")
    run = start(
        tool="rsync",
        source=data / "in",
        destination=data / "out",
        mode="sync",
        dry_run="first",
        exclude=["*.tmp", "b.*"],
    )
    assert run.wait() == 0, run.log
    assert set(tree(data / "out")) == {"a.txt", "deep/-c.bin", "kept.tmp"}
    counts = run.result["counts"]
    assert (counts["would_copy"], counts["would_delete"], counts["files"], counts["deleted"]) == (2, 1, 2, 1)
    rows = [json.loads(line) for line in (run.folder / "dry-run.jsonl").read_text().splitlines()]
    assert {(row["action"], row["path"]) for row in rows} == {
        ("copy", "a.txt"),
        ("copy", "deep/-c.bin"),
        ("delete", "gone.txt"),
    }


def test_include_takes_nothing_else(data: Path, start) -> None:
    run = start(tool="rsync", source=data / "in", destination=data / "out", include=["*.bin"])
    assert run.wait() == 0, run.log
    assert set(tree(data / "out")) == {"deep/-c.bin"}


def test_the_guards_of_a_sync(data: Path, start) -> None:
    (data / "out").mkdir()
    for name in ("one", "two"):
        (data / "out" / name).write_text(name)
    settings = {"tool": "rsync", "destination": data / "out", "mode": "sync"}
    run = start(**settings, source=data / "in", max_delete=1)
    assert run.wait() == 1
    assert "would delete 2 files" in run.result["message"]
    (data / "empty").mkdir()
    run = start(**settings, source=data / "empty", folder="empty-run")
    assert run.wait() == 1
    assert "no files, or does not exist" in run.result["message"]
    assert set(tree(data / "out")) == {"one", "two"}


def test_move_empties_the_source(data: Path, start) -> None:
    before = tree(data / "in")
    run = start(tool="rsync", source=data / "in", destination=data / "out", mode="move", checksum=True)
    assert run.wait() == 0, run.log
    assert (tree(data / "out"), tree(data / "in")) == (before, {})


def test_sigterm_stops_rsync_and_a_rerun_completes(data: Path, start) -> None:
    (data / "in" / "big").write_bytes(os.urandom(30_000_000))
    settings = {"tool": "rsync", "source": data / "in", "destination": data / "out"}
    run = start(**settings, bandwidth="2M")
    wait_for(lambda: (run.progress() or {}).get("bytes", 0) > 2_000_000, "bytes in progress.json")
    assert run.progress()["speed_bps"] > 0
    run.process.terminate()
    assert run.wait() == 143
    assert run.result["outcome"] == "stopped"
    assert start(**settings, folder="again").wait() == 0
    assert tree(data / "out") == tree(data / "in")


def test_a_missing_rsync_is_told_as_such(data: Path, start) -> None:
    run = start(tool="rsync", rsync="/nowhere/rsync", source=data / "in", destination=data / "out")
    assert run.wait() == 1
    assert run.result["message"] == "rsync is not installed on this machine"


def test_an_unreachable_ssh_host_is_told_as_such(data: Path, tmp_path: Path, start) -> None:
    key, hosts = tmp_path / "key", tmp_path / "hosts"
    for path in (key, hosts):
        path.touch(0o600)
    run = start(
        tool="rsync",
        source=data / "in",
        destination="someone@127.0.0.1:/tmp/x",
        ssh_key=key,
        ssh_known_hosts=hosts,
        ssh_port=1,
        retries=0,
    )
    assert run.wait() == 1
    assert "could not be reached" in run.result["message"]
