"""The keeper's pure parts and its files: outcomes, rows, logs, and that others can read what it writes."""

from __future__ import annotations

import dataclasses
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from images.lib.files import replace_json
from spawners.local.folder import KeeperState, ProcessRef, Run
from spawners.local.keeper.logfile import bound, last_line, say
from spawners.local.keeper.outcome import ending
from spawners.local.keeper.plan import Plan, PlanError, load_plan
from spawners.local.keeper.rows import Row, Rows, order
from spawners.local.keeper.state import State, StateFile, read_state
from spawners.plan import LocalPlan
from tests.unit.spawners.local.keeping import NEVER, RUN, Kept

NOW = datetime(2026, 11, 21, 10, 15, tzinfo=UTC)
OK = {"outcome": "ok", "message": "3 pages", "counts": {"pages": 3}}
FAILED = {"outcome": "failed", "message": "no such host", "counts": {}}
STOPPED = {"outcome": "stopped", "message": "", "counts": {"pages": 1}}


# -- outcomes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "code", "how", "expected"),
    [
        (OK, 0, {}, ("ok", "3 pages", {"pages": 3})),
        (None, 0, {}, ("ok", "", {})),
        (FAILED, 1, {}, ("failed", "no such host", {})),
        (FAILED, 0, {}, ("failed", "no such host", {})),
        (FAILED | {"message": ""}, 1, {}, ("failed", "last", {})),
        (None, 1, {}, ("failed", "last", {})),
        (OK, 1, {}, ("failed", "last", {"pages": 3})),
        (OK, -9, {}, ("ok", "3 pages", {"pages": 3})),
        (None, -9, {}, ("interrupted", "killed by SIGKILL (by hand, or the machine ran out of memory)", {})),
        (None, -15, {}, ("interrupted", "killed by SIGTERM", {})),
        (None, -11, {}, ("failed", "crashed with SIGSEGV", {})),
        (None, -77, {}, ("failed", "crashed with signal 77", {})),
        (STOPPED, 143, {}, ("stopped", "last", {"pages": 1})),
        (STOPPED, 143, {"stopped": True}, ("stopped", "stopped", {"pages": 1})),
        (OK, 0, {"stopped": True}, ("stopped", "3 pages", {"pages": 3})),
        (STOPPED, 143, {"limit_s": 7200}, ("time-limit", "stopped at its time limit of 2 h", {"pages": 1})),
        (None, -9, {"limit_s": 90}, ("time-limit", "stopped at its time limit of 90 s", {})),
        (OK, None, {}, ("ok", "3 pages", {"pages": 3})),
        (None, None, {}, ("interrupted", "it ended while its keeper was not there, and left no result", {})),
        ("nonsense", 1, {}, ("failed", "last", {})),
        ({"outcome": "great"}, 0, {}, ("ok", "", {})),
        ({"outcome": "ok", "counts": [1], "message": None}, 0, {}, ("ok", "", {})),
    ],
)
def test_outcomes(
    result: Any, code: int | None, how: dict[str, Any], expected: tuple[str, str, dict[str, int]]
) -> None:
    end = ending(result, code, "last", **how)
    assert (end.outcome, end.message, end.counts) == expected
    Run(id="x", trigger="manual", outcome=end.outcome)  # one that the model knows


# -- what others read ----------------------------------------------------------------------------------------------


def test_the_fields_are_those_of_the_models() -> None:
    assert {field.name for field in dataclasses.fields(Row)} == set(Run.model_fields)
    assert {field.name for field in dataclasses.fields(State)} | {"updated"} == set(KeeperState.model_fields)
    assert {field.name for field in dataclasses.fields(Plan)} == set(LocalPlan.model_fields)


def test_a_row_there_and_back(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "runs")
    ref = ProcessRef(5, 1.5, "boot:7")
    row = rows.write(Row(rows.new_id(NOW), "schedule", "running", NOW, NOW, process=ref), counts={"pages": 3})
    assert rows.read(row.id) == row
    run = Run.model_validate_json((tmp_path / "runs" / row.id / "row.json").read_text())
    assert run.model_dump() == dataclasses.asdict(row)


def test_the_state_there_and_back(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "keeper.json", State(ProcessRef(5, 1.5, "boot:7")), NOW)
    file.set(NOW, next_run=NOW, child=ProcessRef(6, 2.5, None), phase="waiting")
    assert read_state(file.path) == file.state
    state = KeeperState.model_validate_json(file.path.read_text())
    assert (state.next_run, state.child, state.updated) == (NOW, ProcessRef(6, 2.5), NOW)
    replace_json(file.path, {"keeper": 5})
    assert read_state(file.path) is None
    assert read_state(tmp_path / "none.json") is None


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is no plan"),
        ("[]", "is no plan"),
        ('{"mode": "keep"}', "is no plan"),
        ('{"mode": "keep", "argv": ["x"], "colour": 1}', "unexpected keyword argument 'colour'"),
        ('{"mode": "direct", "argv": ["x"]}', "no plan for a keeper"),
        ('{"mode": "keep", "argv": []}', "no plan for a keeper"),
        ('{"mode": "schedule", "argv": ["x"]}', "no schedule"),
    ],
)
def test_a_wrong_plan_is_one_line(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(content)
    with pytest.raises(PlanError, match=says) as caught:
        load_plan(tmp_path / "plan.json")
    assert "\n" not in str(caught.value)


# -- rows ----------------------------------------------------------------------------------------------------------


def test_ids_of_one_second_differ_and_sort(tmp_path: Path) -> None:
    rows = Rows(tmp_path / "runs")
    made = [rows.new_id(NOW) for _ in range(11)]
    assert made[:2] + made[-1:] == ["20261121T101500Z", "20261121T101500Z-2", "20261121T101500Z-11"]
    assert rows.ids() == made == sorted(set(made), key=order)


def test_what_is_data_and_what_is_not(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    run_id = rows.new_id(NOW)
    folder = tmp_path / run_id
    rows.write(Row(run_id, "schedule", "interrupted"))
    records = ("settings.json", "log.txt", "progress.json", "result.json", "run.json", "lock", ".progress.json.123")
    for name in records:
        (folder / name).touch()
    (folder / "files").mkdir()
    assert rows.unsaved() == []
    (folder / "files" / "result.json").touch()  # such a name further down is data
    assert rows.unsaved() == [folder]
    rows.write(Row(run_id, "schedule", "ok"))
    assert rows.unsaved() == []


def test_pruning_keeps_the_newest_and_what_never_ran_apart(tmp_path: Path) -> None:
    rows = Rows(tmp_path)
    outcomes = ["ok", "failed", "skipped", "ok", "missed", "skipped", "running", "ok"]
    for outcome in outcomes:
        rows.write(Row(rows.new_id(NOW), "schedule", outcome))
    rows.prune(2, salvage=True)
    assert [row.outcome for row in rows.all()] == ["ok", "missed", "skipped", "running", "ok"]
    (tmp_path / rows.ids()[0] / "row.json").write_text("{broken")
    assert len(list(rows.all())) == 4


# -- logs ----------------------------------------------------------------------------------------------------------


def test_a_log_loses_its_middle(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    log.write_text("".join(f"line {number}\n" for number in range(10_000)))
    assert bound(log, 10_000)
    lines = log.read_text().splitlines()
    assert (lines[0], lines[-1]) == ("line 0", "line 9999")
    (note,) = [line for line in lines if "left out" in line]
    assert "a log holds 10000 bytes" in note
    assert all(line.startswith("line ") for line in lines if line and line != note)
    assert log.stat().st_size < 6000
    assert not bound(log, 10_000)


def test_a_writer_goes_on_behind_the_cut(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                os.write(descriptor, b"x" * 99 + b"\n")

        writer = threading.Thread(target=write)
        writer.start()
        cuts = 0
        while cuts < 20:
            cuts += bound(log, 10_000)
        stop.set()
        writer.join()
        os.write(descriptor, b"the end\n")
    finally:
        os.close(descriptor)
    assert log.read_text().endswith("x\nthe end\n")
    assert b"\0" not in log.read_bytes()


def test_the_last_line(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    assert last_line(log) == ""
    assert not bound(log)
    log.write_bytes(b"x" * 9000 + b"\nwhat \xff it was\n\n  \n")
    assert last_line(log) == "what � it was"
    say(log, "said")
    assert last_line(log).endswith("keeper: said")
    say(tmp_path / "no" / "folder", "dropped")


def test_what_the_keeper_reads_is_what_the_spawner_writes(tmp_path: Path) -> None:
    kept = Kept(tmp_path / "workload")
    kept.plan("schedule", RUN, schedule=NEVER, time_limit_s=5, env={"A": "b"}, salvage=True, retries=1, keep_runs=7)
    found = load_plan(kept.folder.plan)
    assert (found.schedule and found.schedule.cron, found.time_limit_s, found.env) == (NEVER.cron, 5, {"A": "b"})
    assert (found.salvage, found.retries, found.keep_runs, found.grace_s) == (True, 1, 7, 5)
