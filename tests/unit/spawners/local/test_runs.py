"""What the hub and the portal ask of a workload's folder."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from images.lib.files import replace_json
from spawners.local import runs
from spawners.local.folder import WorkloadFolder
from spawners.local.keeper.rows import Row, Rows

NOW = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> WorkloadFolder:
    folder = WorkloadFolder(tmp_path / "workload")
    rows = Rows(folder.runs)
    for number in range(12):
        moment = NOW + timedelta(hours=number // 4)
        rows.write(Row(rows.new_id(moment), "schedule", "ok", started=moment, counts={"n": number}))
    return folder


def test_newest_first_and_no_more_than_asked_for(folder: WorkloadFolder) -> None:
    assert [run.counts["n"] for run in runs.list_runs(folder, 5)] == [11, 10, 9, 8, 7]
    assert len(runs.list_runs(folder, 100)) == 12
    assert runs.list_runs(folder, 0) == []


def test_what_is_no_run_is_left_out(folder: WorkloadFolder) -> None:
    (folder.runs / "lost+found").mkdir()
    (folder.runs / "20261121T235900Z").mkdir()
    (folder.runs / "20261121T235901Z").mkdir()
    (folder.runs / "20261121T235901Z" / "row.json").write_text('{"id": "x"}')
    assert [run.counts["n"] for run in runs.list_runs(folder, 2)] == [11, 10]


def test_nothing_yet(tmp_path: Path) -> None:
    folder = WorkloadFolder(tmp_path)
    assert runs.list_runs(folder, 5) == []
    assert runs.keeper_state(folder) is None
    assert runs.progress(folder) is None
    assert runs.run_log(folder, None) == ""
    assert not runs.keeper_alive(folder)
    for ask in (runs.request_run_now, runs.reload_keeper):
        with pytest.raises(runs.KeeperGoneError, match="not running"):
            ask(folder)
    assert not folder.run_now.exists()
    asyncio.run(runs.stop_unattended(folder))


def test_the_tail_of_a_log(folder: WorkloadFolder) -> None:
    newest = runs.list_runs(folder, 1)[0].id
    assert runs.run_log(folder, newest) == ""
    log = folder.runs / newest / "log.txt"
    log.write_text("one\ntwo\nthrée\n")
    assert runs.run_log(folder, newest) == "one\ntwo\nthrée\n"
    assert runs.run_log(folder, newest, 11) == "two\nthrée\n"
    assert runs.run_log(folder, newest, 10) == "thrée\n"
    assert runs.run_log(folder, newest, 7) == "thrée\n"
    assert runs.run_log(folder, newest, 0) == ""
    log.write_bytes(b"\xff\n")
    assert runs.run_log(folder, newest) == "�\n"


@pytest.mark.parametrize(
    "run_id", ["..", "../..", "", "/etc", "20261121T101500Z/../../x", "20261121T101500Z\n", "20261121T101500Z\0"]
)
def test_no_way_out_of_the_folder(folder: WorkloadFolder, run_id: str) -> None:
    (folder.path / "log.txt").write_text("private")
    for ask in (runs.run_log, runs.progress):
        with pytest.raises(KeyError):
            ask(folder, run_id)


def test_links_that_a_program_may_have_laid_are_not_followed(folder: WorkloadFolder, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "log.txt").write_text("private")
    newest = runs.list_runs(folder, 1)[0].id
    (folder.runs / newest / "log.txt").symlink_to(tmp_path / "elsewhere" / "log.txt")
    assert runs.run_log(folder, newest) == ""
    (folder.runs / "20270101T000000Z").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeyError):
        runs.run_log(folder, "20270101T000000Z")


def test_progress_of_the_newest_or_of_a_given_run(folder: WorkloadFolder) -> None:
    newest, before = runs.list_runs(folder, 2)
    replace_json(folder.runs / before.id / "progress.json", {"done": 1})
    assert runs.progress(folder) is None
    assert runs.progress(folder, before.id) == {"done": 1}
    replace_json(folder.runs / newest.id / "progress.json", {"done": 2})
    assert runs.progress(folder) == {"done": 2}
    (folder.runs / newest.id / "progress.json").write_text("[")
    assert runs.progress(folder) is None


def test_a_keeper_json_of_another_version_is_as_none(folder: WorkloadFolder) -> None:
    replace_json(folder.keeper, {"keeper": {"pid": 1, "created": 0.0}, "phase": "dancing"})
    assert runs.keeper_state(folder) is None
    assert not runs.keeper_alive(folder)
