"""The keeper's modes in this process, with a clock that the test turns; the runs are real processes."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from spawners.local import process
from spawners.local.folder import KeeperState, Run, WorkloadFolder
from spawners.local.keeper.events import Clock, Events
from spawners.local.keeper.keep import Keep
from spawners.local.keeper.loop import keep
from spawners.local.keeper.mode import Mode, Timing, Tools
from spawners.local.keeper.once import Once
from spawners.local.keeper.plan import Plan
from spawners.local.keeper.rows import Rows
from spawners.local.keeper.scheduled import Scheduled
from spawners.local.keeper.state import State, StateFile, read_state
from spawners.local.runs import keeper_state, list_runs
from spawners.plan import Schedule
from tests.unit.spawners.local.keeping import RUN, Kept, until

QUICK = ("sh", "-c", 'echo \'{"outcome": "ok", "message": "", "counts": {}}\' > result.json')
FAILS = ("sh", "-c", "echo broken; exit 1")
LONG = ("sleep", "600")
HOURLY = Schedule(cron="0 * * * *", timezone="UTC")


class Turned(Clock):
    """A clock that stands still until it is turned."""

    def __init__(self, start: str = "2026-06-01T10:10:00") -> None:
        self.wall = datetime.fromisoformat(start).replace(tzinfo=UTC)
        self.seconds = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.seconds

    def turn(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds


class Bench:
    """One workload, and as many keepers in a row as a test likes; they are "killed" by being dropped."""

    def __init__(self, path: Path) -> None:
        path.mkdir()
        self.folder = WorkloadFolder(path)
        self.clock = Turned()
        self.mode: Mode | None = None

    def keeper(self, kind: type[Mode], plan: Plan, *, fresh: bool = False) -> Mode:
        """Another keeper takes over."""
        if fresh:
            self.folder.keeper.unlink(missing_ok=True)
        me = process.reference(os.getpid())
        assert me is not None
        before = read_state(self.folder.keeper)
        state = StateFile(self.folder.keeper, before or State(me), self.clock.now())
        self.mode = kind(Tools(self.folder, self.clock, Timing(), state, Rows(self.folder.runs)), plan)
        self.mode.begin(before)
        self.mode.step()
        return self.mode

    def turn(self, seconds: float) -> None:
        """Time passes, and the keeper wakes."""
        assert self.mode is not None
        self.clock.turn(seconds)
        self.mode.step()

    def at(self, text: str) -> None:
        """Time passes until then, with the keeper waking as it asked to; at the minute itself at the latest."""
        target = datetime.fromisoformat(text).replace(tzinfo=UTC)
        assert self.mode is not None and target >= self.clock.wall
        while self.clock.wall < target:
            wait = self.mode.wake_in()
            rest = (target - self.clock.wall).total_seconds()
            self.clock.turn(rest if wait is None else min(max(wait, 0.001), rest))
            self.mode.step()

    def end(self) -> None:
        """The child ends by itself."""
        assert self.mode is not None
        child = self.mode.child
        assert child is not None
        until(lambda: not process.alive(child), "the child's end")
        self.mode.step()

    def kill(self) -> None:
        """The child is killed."""
        assert self.mode is not None and self.mode.child is not None
        os.kill(self.mode.child.pid, signal.SIGKILL)
        until(lambda: self.mode and self.mode.child and not process.alive(self.mode.child), "its death")

    def runs(self) -> list[Run]:
        """Oldest first."""
        return list_runs(self.folder, 1000)[::-1]

    def told(self) -> list[tuple[str, str, str]]:
        """Outcome, trigger and scheduled time of each run, oldest first."""
        return [(r.outcome, r.trigger, f"{r.scheduled:%d %H:%M}" if r.scheduled else "") for r in self.runs()]

    def phase(self) -> str:
        return self.state.phase

    @property
    def state(self) -> KeeperState:
        state = keeper_state(self.folder)
        assert state is not None
        return state


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path / "workload")
    yield bench
    if bench.mode is not None and bench.mode.child is not None:
        process.stop_now(bench.mode.child)


def plan(argv: tuple[str, ...], schedule: Schedule = HOURLY, **more: Any) -> Plan:
    return Plan("schedule", argv, schedule=schedule, grace_s=1, **more)  # type: ignore[arg-type]


# -- schedule ------------------------------------------------------------------------------------------------------


def test_each_time_starts_one_run(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(QUICK), fresh=True)
    assert (bench.phase(), f"{bench.state.next_run:%H:%M}") == ("waiting", "11:00")
    bench.at("2026-06-01T10:59:59")
    assert bench.told() == []
    for hour in (11, 12, 13):
        bench.at(f"2026-06-01T{hour}:00:00")
        bench.end()
    assert bench.told() == [("ok", "schedule", f"01 {hour}:00") for hour in (11, 12, 13)]
    assert f"{bench.state.next_run:%H:%M}" == "14:00"


def test_overlaps_are_one_row_however_many(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(LONG, Schedule(cron="* * * * *", timezone="UTC")), fresh=True)
    bench.at("2026-06-01T10:41:00")
    run, skipped = bench.runs()
    assert (run.outcome, skipped.outcome) == ("running", "skipped")
    assert skipped.counts["times"] == 30
    assert skipped.message == (f"30 times since 2026-06-01 10:12 UTC: it was due, but the run {run.id} was still going")
    bench.kill()
    bench.at("2026-06-01T10:43:00")
    assert [outcome for outcome, _, _ in bench.told()] == ["interrupted", "skipped", "running", "skipped"]


def test_suspended_for_a_night_in_the_middle_of_a_run(bench: Bench) -> None:
    """The machine slept; the run with it. What came meanwhile is told, and nothing overlaps."""
    bench.keeper(Scheduled, plan(LONG), fresh=True)
    bench.at("2026-06-01T11:00:00")
    bench.clock.wall += timedelta(hours=8, minutes=30)  # the monotonic clock stood still
    bench.turn(0)
    assert [(o, t) for o, _, t in bench.told()][1:] == [
        *(("missed", "01 18:00"),) * 1,
        ("skipped", "01 19:00"),
    ]
    assert bench.runs()[1].counts == {"times": 7}


def test_the_clock_is_set_back_and_nothing_runs_twice(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(QUICK), fresh=True)
    bench.at("2026-06-01T11:00:00")
    bench.end()
    bench.clock.wall -= timedelta(minutes=20)
    bench.at("2026-06-01T12:00:00")
    bench.end()
    assert bench.told() == [("ok", "schedule", "01 11:00"), ("ok", "schedule", "01 12:00")]


def test_the_clock_was_a_year_ahead(bench: Bench) -> None:
    bench.clock.wall += timedelta(days=365)
    bench.keeper(Scheduled, plan(QUICK), fresh=True)
    bench.turn(3600)
    bench.end()
    bench.clock.wall -= timedelta(days=365)
    bench.turn(1)
    bench.at("2026-06-01T12:00:00")
    assert bench.told()[0] == ("running", "schedule", "01 12:00")
    bench.end()


def test_the_machine_was_off_for_three_hours(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(QUICK), fresh=True)
    bench.clock.turn(3.2 * 3600)
    bench.keeper(Scheduled, plan(QUICK))
    bench.end()
    assert bench.told() == [
        ("missed", "schedule", "01 11:00"),
        ("missed", "schedule", "01 12:00"),
        ("ok", "catch-up", "01 13:00"),
    ]


def test_the_rule_skip_only_tells(bench: Bench) -> None:
    skip = HOURLY.model_copy(update={"missed": "skip"})
    bench.keeper(Scheduled, plan(QUICK, skip), fresh=True)
    bench.clock.turn(3.2 * 3600)
    bench.keeper(Scheduled, plan(QUICK, skip))
    assert [outcome for outcome, _, _ in bench.told()] == ["missed"] * 3
    assert bench.phase() == "waiting"


def test_a_run_that_the_machine_cut_off_is_caught_up(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(LONG), fresh=True)
    bench.at("2026-06-01T11:00:00")
    bench.kill()  # and the keeper with it
    bench.clock.turn(600)
    bench.keeper(Scheduled, plan(LONG))
    assert bench.told() == [("interrupted", "schedule", "01 11:00"), ("running", "catch-up", "01 11:00")]
    bench.kill()
    bench.clock.turn(60)
    bench.keeper(Scheduled, plan(LONG))  # but not again and again, should it be the run that brings the machine down
    assert [outcome for outcome, _, _ in bench.told()] == ["interrupted", "interrupted"]


def test_a_run_that_was_cut_off_and_times_that_were_missed_are_one_run(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(LONG), fresh=True)
    bench.at("2026-06-01T11:00:00")
    bench.kill()
    bench.clock.turn(2.5 * 3600)
    bench.keeper(Scheduled, plan(LONG))
    assert bench.told() == [
        ("interrupted", "schedule", "01 11:00"),
        ("missed", "schedule", "01 12:00"),
        ("running", "catch-up", "01 13:00"),
    ]


@pytest.mark.parametrize("written", ["rows", "rows and schedule.json"])
def test_killed_in_the_middle_of_a_start_no_time_is_lost_or_doubled(
    written: str, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The row is there, its process is not: it never was started. It counts as cut off."""

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    bench.keeper(Scheduled, plan(QUICK), fresh=True)
    with monkeypatch.context() as patch:
        patch.setattr(Scheduled, "_set_considered" if written == "rows" else "start_run", killed)
        with pytest.raises(KeyboardInterrupt):
            bench.turn(3000)
    bench.clock.turn(5)
    bench.keeper(Scheduled, plan(QUICK))
    bench.end()
    assert bench.told() == [("interrupted", "schedule", "01 11:00"), ("ok", "catch-up", "01 11:00")]
    bench.at("2026-06-01T12:00:00")
    bench.end()
    assert bench.told()[2:] == [("ok", "schedule", "01 12:00")]


def test_the_time_limit_counts_on_over_a_change_of_keepers(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(LONG, time_limit_s=1800), fresh=True)
    bench.at("2026-06-01T11:00:00")
    bench.clock.turn(1000)
    bench.keeper(Scheduled, plan(LONG, time_limit_s=1800))
    bench.at("2026-06-01T11:29:59")
    assert bench.told() == [("running", "schedule", "01 11:00")]
    bench.at("2026-06-01T11:30:00")
    assert bench.told() == [("time-limit", "schedule", "01 11:00")]
    assert bench.runs()[0].message == "stopped at its time limit of 30 min"


def test_old_runs_go_and_those_with_unsaved_data_stay(bench: Bench) -> None:
    leaves = ("sh", "-c", "mkdir files; echo data > files/pages.warc; exit 1")
    bench.keeper(Scheduled, plan(leaves, salvage=True, keep_runs=3), fresh=True)
    for hour in range(11, 14):
        bench.at(f"2026-06-01T{hour}:00:00")
        bench.end()
    bench.keeper(Scheduled, plan(QUICK, salvage=True, keep_runs=3))
    for hour in range(14, 20):
        bench.at(f"2026-06-01T{hour}:00:00")
        bench.end()
    assert [outcome for outcome, _, _ in bench.told()] == ["failed"] * 3 + ["ok"] * 3
    bench.keeper(Scheduled, plan(QUICK, salvage=False, keep_runs=3))
    bench.at("2026-06-01T20:00:00")
    bench.end()
    assert [outcome for outcome, _, _ in bench.told()] == ["ok"] * 3


def test_a_program_that_is_not_there_is_a_failed_run(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(("/no/such/program",)), fresh=True)
    bench.at("2026-06-01T11:00:00")
    assert bench.runs()[0].message == "cannot run /no/such/program: No such file or directory"
    assert bench.told() == [("failed", "schedule", "01 11:00")]
    assert bench.phase() == "waiting"


def test_a_schedule_that_cannot_be_used_is_told(bench: Bench) -> None:
    bench.keeper(Scheduled, plan(QUICK, Schedule(cron="nonsense", timezone="UTC")), fresh=True)
    assert bench.phase() == "failed" and "five fields" in bench.state.message


# -- once ----------------------------------------------------------------------------------------------------------


def test_retries_with_growing_pauses_over_changes_of_keepers(bench: Bench) -> None:
    once = Plan("once", FAILS, retries=2, grace_s=1)
    bench.keeper(Once, once, fresh=True)
    bench.end()
    assert (bench.phase(), bench.state.message) == ("backoff", "broken; retry 1 of 2 in 10 s")
    bench.turn(9)
    assert len(bench.runs()) == 1
    bench.turn(1)
    bench.end()
    assert bench.state.message == "broken; retry 2 of 2 in 20 s"
    again = bench.keeper(Once, once)  # killed in the pause: it judges the last run anew
    assert bench.state.restarts == 2
    while not again.done:
        bench.turn(400)
        if again.child is not None:
            bench.end()
    assert (bench.phase(), bench.state.message) == ("failed", "broken (tried 3 times)")
    assert bench.told() == [("failed", "manual", ""), ("failed", "retry", ""), ("failed", "retry", "")]


# -- keep ----------------------------------------------------------------------------------------------------------


def test_pauses_double_and_it_is_called_failed_but_tried_on(bench: Bench) -> None:
    mode = bench.keeper(Keep, Plan("keep", FAILS, ready_file="ready.json", grace_s=1), fresh=True)
    waits = []
    for number in range(9):
        bench.end()
        waits.append(mode.wake_in())
        assert bench.phase() == ("backoff" if number < 4 else "failed")
        assert bench.state.message == "broken"
        bench.turn(waits[-1] or 0)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert bench.phase() == "failed"  # also while it is being tried
    (bench.folder.path / "ready.json").touch()
    bench.end()  # it had become ready before it ended: that is no hopeless case any more
    assert bench.phase() == "backoff"


def test_after_a_healthy_time_the_pauses_begin_anew(bench: Bench) -> None:
    mode = bench.keeper(Keep, Plan("keep", LONG, grace_s=1), fresh=True)
    for wait in (1, 2, 4):
        bench.kill()
        mode.step()
        assert mode.wake_in() == wait
        bench.turn(wait)
        bench.turn(1.5)
        assert bench.phase() == "running"
    bench.turn(60)
    bench.kill()
    mode.step()
    assert mode.wake_in() == 1


def test_a_ready_file_of_before_does_not_count(bench: Bench) -> None:
    (bench.folder.path / "ready.json").touch()
    bench.keeper(Keep, Plan("keep", LONG, ready_file="ready.json", grace_s=1), fresh=True)
    bench.turn(30)
    assert bench.phase() == "starting"
    (bench.folder.path / "ready.json").touch()
    bench.turn(0.1)
    assert bench.phase() == "running"


# -- the loop ------------------------------------------------------------------------------------------------------


def test_a_full_disk_does_not_end_the_keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(tmp_path / "workload")
    kept.plan("once", RUN)
    failures = iter([OSError(28, "No space left on device")] * 3)
    write = Rows.write

    def full(self: Rows, *args: Any, **changes: Any) -> Any:
        if (error := next(failures, None)) is not None:
            raise error
        return write(self, *args, **changes)

    monkeypatch.setattr(Rows, "write", full)
    assert keep(kept.folder, Events(), timing=Timing(after_error=0.01)) == 0
    assert [run.outcome for run in kept.runs()] == ["ok"]
    assert kept.log().count("No space left on device; trying again") == 3
