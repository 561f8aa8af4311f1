"""What becomes of each time of a schedule: started, skipped or missed, exactly one of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spawners.plan import Schedule
from spawners.schedule import MISSED_ROWS, Decision, Missed, ScheduleError, decide, next_runs


@dataclass(frozen=True)
class Daily:
    """At 02:30 UTC."""

    cron: str = "30 2 * * *"
    timezone: str = "UTC"
    missed: Literal["run-once", "skip"] = "run-once"
    catch_up_s: int = 7 * 86400


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def one(text: str) -> Missed:
    return Missed(utc(text), utc(text), 1)


def test_nothing_is_due() -> None:
    decision = decide(Daily(), utc("2026-06-01T03:00"), utc("2026-06-01T12:00"), running=False)
    assert decision == Decision(utc("2026-06-01T03:00"), utc("2026-06-02T02:30"))


@pytest.mark.parametrize("now", ["2026-06-02T02:30", "2026-06-02T02:30:01", "2026-06-02T02:32"])
def test_on_time(now: str) -> None:
    decision = decide(Daily(), utc("2026-06-01T03:00"), utc(now), running=False)
    assert decision == Decision(utc(now), utc("2026-06-03T02:30"), start=utc("2026-06-02T02:30"))


def test_while_one_runs_it_is_skipped() -> None:
    decision = decide(Daily(), utc("2026-06-01T03:00"), utc("2026-06-02T02:30"), running=True)
    assert decision.start is None
    assert decision.skipped == (utc("2026-06-02T02:30"),)
    assert decision.missed == ()


def test_after_three_days_off_the_newest_is_caught_up() -> None:
    now = utc("2026-06-04T09:00")
    decision = decide(Daily(), utc("2026-06-01T03:00"), now, running=False)
    assert (decision.start, decision.trigger) == (utc("2026-06-04T02:30"), "catch-up")
    assert decision.missed == (one("2026-06-02T02:30"), one("2026-06-03T02:30"))


def test_by_rule_skip_nothing_is_caught_up() -> None:
    decision = decide(Daily(missed="skip"), utc("2026-06-02T03:00"), utc("2026-06-04T09:00"), running=False)
    assert decision.start is None
    assert decision.missed == (one("2026-06-03T02:30"), one("2026-06-04T02:30"))


def test_too_old_to_catch_up() -> None:
    decision = decide(Daily(catch_up_s=3600), utc("2026-06-03T03:00"), utc("2026-06-04T09:00"), running=False)
    assert decision.start is None
    assert decision.missed == (one("2026-06-04T02:30"),)


def test_on_time_after_days_off_needs_no_second_run() -> None:
    decision = decide(Daily(), utc("2026-06-01T03:00"), utc("2026-06-03T02:31"), running=False)
    assert (decision.start, decision.trigger) == (utc("2026-06-03T02:30"), "schedule")
    assert decision.missed == (one("2026-06-02T02:30"),)


def test_months_off_with_a_run_each_minute_are_one_row() -> None:
    each_minute = Daily(cron="* * * * *")
    decision = decide(each_minute, utc("2026-01-01"), utc("2026-07-01T00:00:30"), running=False)
    assert decision.start == utc("2026-07-01")
    (row,) = decision.missed
    assert (row.first, row.last, row.more) == (utc("2026-01-01T00:01"), utc("2026-06-30T23:59"), True)


@pytest.mark.parametrize("days", range(1, 12))
def test_rows_of_missed_times_are_bounded(days: int) -> None:
    now = utc("2026-06-20T09:00")
    rules: list[Literal["run-once", "skip"]] = ["run-once", "skip"]
    for rule in rules:
        decision = decide(Daily(missed=rule), now - timedelta(days=days), now, running=False)
        assert len(decision.missed) <= MISSED_ROWS
        assert sum(row.count for row in decision.missed) == days - (decision.start is not None)


def test_a_clock_set_back_a_little_repeats_nothing() -> None:
    considered = utc("2026-06-02T02:30:05")
    decision = decide(Daily(), considered, utc("2026-06-02T02:10"), running=False)
    assert decision == Decision(considered, utc("2026-06-03T02:30"))


def test_a_clock_that_was_years_ahead_does_not_stop_the_schedule() -> None:
    now = utc("2026-06-02T02:10")
    assert decide(Daily(), utc("2036-01-01"), now, running=False) == Decision(now, utc("2026-06-02T02:30"))


def test_a_broken_schedule_is_told() -> None:
    with pytest.raises(ScheduleError, match="five fields"):
        decide(Daily(cron="x"), utc("2026-06-01"), utc("2026-06-02"), running=False)
    with pytest.raises(ScheduleError, match="not known"):
        decide(Daily(timezone="Mars/Olympus"), utc("2026-06-01"), utc("2026-06-02"), running=False)


def test_the_plans_schedule_fits() -> None:
    plan = Schedule(cron="30 2 * * *", timezone="UTC")
    now = utc("2026-06-02T02:30")
    assert decide(plan, utc("2026-06-01T03:00"), now, running=False).start == now


_CRONS = ["30 2 * * *", "0 * * * *", "*/20 * * * *", "15 1,2,3 * * *", "0 0 * * *", "*/30 2 * * *", "0 3 * * 0"]
_ZONES = ["UTC", "Asia/Tokyo", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut"]
_BEGINS = [
    "2026-03-07T00:00",
    "2026-03-28T00:17",
    "2026-04-04T05:00",
    "2026-10-03T23:59:59",
    "2026-10-24T12:30",
    "2026-10-31",
]


@settings(max_examples=300, deadline=None)
@given(
    cron=st.sampled_from(_CRONS),
    zone=st.sampled_from(_ZONES),
    begin=st.sampled_from(_BEGINS).map(utc),
    rule=st.sampled_from(["run-once", "skip"]),
    wakes=st.lists(
        st.tuples(
            st.one_of(st.integers(1, 200), st.integers(200, 9000), st.integers(9000, 200_000)), st.integers(0, 9000)
        ),
        min_size=1,
        max_size=40,
    ),
)
def test_every_time_ends_as_exactly_one_of_three(
    cron: str, zone: str, begin: datetime, rule: Literal["run-once", "skip"], wakes: list[tuple[int, int]]
) -> None:
    """A machine that sleeps and wakes at random, with runs of random length: no time lost, none twice, no overlap."""
    schedule = Daily(cron=cron, timezone=zone, missed=rule)
    now = considered = busy_until = begin
    told: list[datetime] = []
    for asleep, run_length in wakes:
        now += timedelta(seconds=asleep)
        running = now < busy_until
        decision = decide(schedule, considered, now, running)
        assert decision.considered >= considered
        considered = decision.considered
        assert decision.next is not None and decision.next > now
        for row in decision.missed:
            expanded = _between(cron, zone, row.first - timedelta(seconds=1), row.last)
            assert len(expanded) == row.count
            told += expanded
        told += decision.skipped
        if decision.start is not None:
            assert not running
            assert decision.trigger == ("schedule" if now - decision.start <= timedelta(minutes=2) else "catch-up")
            told.append(decision.start)
            busy_until = now + timedelta(seconds=run_length)
    assert told == sorted(told)
    assert told == _between(cron, zone, begin, now)


def _between(cron: str, zone: str, after: datetime, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    while True:
        (moment,) = next_runs(cron, zone, found[-1] if found else after, 1)
        if moment > until:
            return found
        found.append(moment)
