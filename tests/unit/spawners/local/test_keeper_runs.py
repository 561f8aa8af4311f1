"""Modes once and schedule on real processes: outcomes, limits, overlap, kills, what is kept."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from images.lib.files import replace_json
from spawners.local import process, runs
from spawners.plan import Schedule
from tests.unit.spawners.local.keeping import PYTHON, RUN, Kept, until


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    kept = Kept(tmp_path / "workload")
    yield kept
    kept.stop()


# -- once ----------------------------------------------------------------------------------------------------------


def test_one_run_and_it_is_over(kept: Kept) -> None:
    kept.plan("once", RUN, settings={"result": {"outcome": "ok", "message": "3 files", "counts": {"files": 3}}})
    keeper = kept.start(fresh=True)
    until(lambda: not process.alive(keeper), "the keeper's end")
    assert process.exit_code(keeper) == 0
    assert (kept.state().phase, kept.state().message) == ("finished", "3 files")
    (run,) = kept.runs()
    assert (run.outcome, run.trigger, run.message, run.counts, run.exit_code) == (
        *("ok", "manual", "3 files", {"files": 3}),
        0,
    )
    assert run.started and run.ended and run.started <= run.ended
    assert runs.run_log(kept.folder, run.id) == f"run {run.id}\ndone\n"
    settings = kept.run_dir(run) / "settings.json"
    assert json.loads(settings.read_text())["run_dir"] == str(kept.run_dir(run))
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert stat.S_IMODE(kept.run_dir(run).stat().st_mode) == 0o700
    with pytest.raises(runs.KeeperGoneError):
        runs.request_run_now(kept.folder)


def test_over_stays_over_until_people_start_it(kept: Kept) -> None:
    kept.plan("once", RUN)
    first = kept.start(fresh=True)
    until(lambda: not process.alive(first), "its end")
    second = runs.start_keeper(kept.folder, PYTHON)
    until(lambda: not process.alive(second), "its end")
    assert len(kept.runs()) == 1 and kept.state().phase == "finished"
    third = kept.start(fresh=True)
    until(lambda: not process.alive(third), "its end")
    assert [run.trigger for run in kept.runs()] == ["manual", "manual"]


def test_a_run_without_its_keeper_is_adopted_and_its_result_counts(kept: Kept) -> None:
    kept.plan(
        "once", RUN, settings={"seconds": 60, "code": 1, "result": {"outcome": "failed", "message": "no such bucket"}}
    )
    first = kept.start(fresh=True)
    run = kept.running()
    kept.kill(first)
    assert run.process is not None and process.alive(run.process)
    second = kept.start()
    assert kept.phase("running").current_run == run.id
    kept.gate.touch()
    until(lambda: not process.alive(second), "the keeper's end")
    (run,) = kept.runs()
    assert (run.outcome, run.message, run.exit_code) == ("failed", "no such bucket", None)
    assert kept.state().phase == "failed"


def test_a_run_that_ended_between_two_keepers_is_judged_by_its_result(kept: Kept) -> None:
    kept.plan("once", RUN, settings={"seconds": 60})
    first = kept.start(fresh=True)
    run = kept.running()
    kept.kill(first)
    kept.gate.touch()
    until(lambda: run.process and not process.alive(run.process), "the run's end")
    second = kept.start()
    until(lambda: not process.alive(second), "the keeper's end")
    assert (kept.state().phase, len(kept.runs()), kept.run("ok").counts) == ("finished", 1, {"pages": 3})


def test_both_killed_the_run_is_interrupted_and_tried_again(kept: Kept) -> None:
    """As when the machine goes off."""
    kept.plan("once", RUN, settings={"seconds": 60})
    first = kept.start(fresh=True)
    run = kept.running()
    kept.kill(first)
    kept.kill(run.process)
    kept.gate.touch()
    second = kept.start()
    until(lambda: not process.alive(second), "the keeper's end")
    again, cut_off = kept.runs()
    assert (cut_off.id, cut_off.outcome, cut_off.ended is not None) == (run.id, "interrupted", True)
    assert (again.trigger, again.outcome) == ("retry", "ok")
    assert kept.state().phase == "finished"


def test_a_stop_ends_the_run_as_stopped(kept: Kept) -> None:
    kept.plan("once", RUN, settings={"seconds": 60})
    kept.start(fresh=True)
    run = kept.running()
    kept.stop()
    assert run.process and not process.alive(run.process)
    assert kept.run("stopped").id == run.id
    assert kept.state().phase == "stopped"


def test_wrong_settings_are_not_retried(kept: Kept) -> None:
    kept.plan("once", RUN, retries=3, settings={"result": None, "code": 2, "last": "rclone_config: no such file"})
    keeper = kept.start(fresh=True)
    until(lambda: not process.alive(keeper), "the keeper's end")
    assert (kept.state().phase, kept.state().message) == ("failed", "rclone_config: no such file")
    assert [run.exit_code for run in kept.runs()] == [2]


def test_the_time_limit_ends_even_a_deaf_run_and_keeps_what_it_had(kept: Kept) -> None:
    settings = {"seconds": 60, "deaf": True, "data": True}
    kept.plan("once", RUN, time_limit_s=1, grace_s=1, retries=3, settings=settings)
    kept.start(fresh=True)
    run = kept.run("time-limit")
    assert run.message == "stopped at its time limit of 1 s"
    assert run.exit_code == -9
    assert (kept.run_dir(run) / "pages.warc").read_text() == "data"
    assert kept.phase("failed").restarts == 0


# -- schedule ------------------------------------------------------------------------------------------------------


def test_it_waits_runs_by_hand_and_skips_what_overlaps(kept: Kept) -> None:
    kept.plan("schedule", RUN, settings={"seconds": 60})
    kept.start(fresh=True)
    state = kept.phase("waiting")
    assert state.next_run and (state.next_run.month, state.next_run.day) == (2, 29)
    runs.request_run_now(kept.folder)
    run = kept.running()
    assert (run.trigger, run.outcome, run.scheduled) == ("manual", "running", None)
    assert kept.phase("running").current_run == run.id
    assert runs.progress(kept.folder) == {"done": 1}
    runs.request_run_now(kept.folder)
    skipped = kept.run("skipped")
    assert skipped.message == f"asked for by hand, but the run {run.id} was still going"
    assert not kept.folder.run_now.exists()
    kept.gate.touch()
    kept.phase("waiting")
    assert [r.outcome for r in kept.runs()] == ["skipped", "ok"]
    runs.request_run_now(kept.folder)
    until(lambda: [r.outcome for r in kept.runs()] == ["ok", "skipped", "ok"], "a third")


def test_a_killed_run_says_so(kept: Kept) -> None:
    kept.plan("schedule", RUN, settings={"seconds": 60})
    kept.start(fresh=True)
    runs.request_run_now(kept.folder)
    kept.kill(kept.running().process)
    run = kept.run("interrupted")
    assert "killed by SIGKILL" in run.message
    assert kept.phase("waiting").current_run is None


def test_a_failed_run_tells_its_last_line(kept: Kept) -> None:
    kept.plan("schedule", RUN, settings={"result": None, "code": 1, "last": "connection refused"})
    kept.start(fresh=True)
    runs.request_run_now(kept.folder)
    run = kept.run("failed")
    assert (run.message, run.exit_code) == ("connection refused", 1)


def test_the_keeper_is_killed_and_the_schedule_goes_on(kept: Kept) -> None:
    kept.plan("schedule", RUN, settings={"seconds": 60})
    first = kept.start(fresh=True)
    runs.request_run_now(kept.folder)
    run = kept.running()
    kept.kill(first)
    kept.start()
    assert kept.phase("running").current_run == run.id
    runs.request_run_now(kept.folder)
    assert run.id in kept.run("skipped").message  # adopted, so nothing overlaps it
    kept.gate.touch()
    kept.phase("waiting")
    assert [r.outcome for r in kept.runs()] == ["skipped", "ok"]


def test_data_of_a_cut_off_run_is_given_to_the_next(kept: Kept) -> None:
    kept.plan("schedule", RUN, salvage=True, settings={"seconds": 60, "data": True})
    first = kept.start(fresh=True)
    runs.request_run_now(kept.folder)
    cut_off = kept.running()
    until(lambda: (kept.run_dir(cut_off) / "pages.warc").exists(), "its data")
    kept.kill(first)
    kept.kill(cut_off.process)
    kept.start()
    assert kept.run("interrupted").id == cut_off.id
    kept.phase("waiting")
    runs.request_run_now(kept.folder)
    run = kept.running()
    settings = json.loads((kept.run_dir(run) / "settings.json").read_text())
    assert settings["salvage_dirs"] == [str(kept.run_dir(cut_off))]


def test_missed_while_off_is_caught_up_once(kept: Kept) -> None:
    now = datetime.now(UTC)
    last = (now - timedelta(minutes=30)).replace(second=0, microsecond=0)
    hourly = Schedule(cron=f"{last.minute} * * * *", timezone="UTC")  # not due again before the test is over
    kept.plan("schedule", RUN, schedule=hourly)
    first = kept.start(fresh=True)
    kept.phase("waiting")
    kept.kill(first)
    week_ago = {"cron": hourly.cron, "timezone": "UTC", "considered": (now - timedelta(days=7)).isoformat()}
    replace_json(kept.folder.schedule, week_ago)
    kept.start()
    until(lambda: any(run.outcome == "ok" for run in kept.runs()), "the run that catches up")
    outcomes = {run.outcome: run for run in kept.runs()}
    assert set(outcomes) == {"missed", "ok"}
    assert (outcomes["ok"].scheduled, outcomes["ok"].trigger) == (last, "catch-up")
    assert outcomes["missed"].counts == {"times": 167}
    second = kept.state().keeper
    kept.kill(second)
    kept.start()
    kept.phase("waiting")
    assert len(kept.runs()) == 2  # once


def test_a_start_by_people_misses_nothing(kept: Kept) -> None:
    kept.plan("schedule", RUN, schedule=Schedule(cron="* * * * *", timezone="UTC"))
    replace_json(
        kept.folder.schedule, {"cron": "* * * * *", "timezone": "UTC", "considered": "2026-01-01T00:00:00+00:00"}
    )
    kept.start(fresh=True)
    kept.phase("waiting", "running")
    assert not [run for run in kept.runs() if run.outcome == "missed"]


def test_a_new_schedule_is_taken_over_on_request(kept: Kept) -> None:
    kept.plan("schedule", RUN)
    kept.start(fresh=True)
    before = kept.phase("waiting").next_run
    kept.plan("schedule", RUN, schedule=Schedule(cron="@yearly", timezone="UTC"))
    runs.reload_keeper(kept.folder)
    until(lambda: kept.state().next_run != before, "another time")
    kept.folder.plan.write_text("{")
    runs.reload_keeper(kept.folder)
    until(lambda: "goes on with the plan before" in kept.log(), "its word")
    assert kept.phase("waiting").next_run


def test_a_run_at_its_minute(kept: Kept) -> None:
    """The one test that waits for a time: less than a minute."""
    kept.plan("schedule", RUN, schedule=Schedule(cron="* * * * *", timezone="Asia/Tokyo"))
    kept.start(fresh=True)
    due = kept.phase("waiting").next_run
    run = until(lambda: (r := kept.runs()) and r[-1].outcome == "ok" and r[-1], "a run", seconds=90)
    assert run and (run.scheduled, run.trigger) == (due, "schedule")
    assert run.started and due and due <= run.started
