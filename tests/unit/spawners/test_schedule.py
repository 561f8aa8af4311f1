"""The words of a schedule: what is refused and why, when it runs, how it reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawners.schedule import MACROS, ScheduleError, describe, next_runs, validate


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "cron",
    [
        *MACROS,
        "* * * * *",
        "30 2 * * *",
        "*/15 9-17 * * MON-FRI",
        "0 0 1,15 * *",
        "5/20 * * * *",
        "0 0 ? * ?",
        "0 0 13 * 5",
        "0 0 29 2 *",
        "0 0 31 2 1",
        "0 12 * jan-mar,DEC sun",
        " 0  0 * * 0 ",
    ],
)
def test_what_cronjob_takes_is_taken(cron: str) -> None:
    assert validate(cron, "Asia/Tokyo") == []
    assert len(next_runs(cron, "Asia/Tokyo", utc("2026-01-01"))) == 5
    assert describe(cron, "Asia/Tokyo").endswith(", Asia/Tokyo")


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("", "has five fields"),
        ("* * * *", "this has 4"),
        ("0 30 2 * * *", "seconds and years cannot be given"),
        ("0 0 L * *", '"L" is not understood'),
        ("0 0 15W * *", '"15W" is not understood'),
        ("0 0 * * 2#1", '"2#1" is not understood'),
        ("0 0 * * 5L", '"5L" is not understood'),
        ("0 0 * * 7", "7 is outside 0 to 6 or SUN to SAT; Sunday is 0"),
        ("60 0 * * *", "minute: 60 is outside 0 to 59"),
        ("0 24 * * *", "hour: 24 is outside"),
        ("0 0 0 * *", "day of month: 0 is outside"),
        ("0 0 * 13 *", "month: 13 is outside 1 to 12"),
        ("0 0 * febr *", '"febr" is not understood'),
        ("5-1 * * * *", "runs backwards"),
        ("0 0 * * fri-mon", "runs backwards"),
        ("*/0 * * * *", "whole number from 1"),
        ("*/x * * * *", "whole number from 1"),
        ("*/5/2 * * * *", "whole number from 1"),
        ("1-2-3 * * * *", "is not understood"),
        ("5-5/2 * * * *", "a step means nothing"),
        (", * * * *", '"" is not understood'),
        ("-1 * * * *", "is not understood"),
        ("٣ * * * *", "is not understood"),
        ("0 0 30 2 *", "never comes"),
        ("0 0 31 4,6,9,11 *", "never comes"),
        ("0 0 */2 * 1", "write the days out"),
        ("0 0 1 * */2", "write the days out"),
        ("@reboot", '"@reboot" is not known'),
        ("@every 1h", "is not known"),
        ("TZ=UTC 0 0 * * *", "time zone has a field of its own"),
        ("CRON_TZ=UTC 0 0 * * *", "time zone has a field of its own"),
    ],
)
def test_a_wrong_expression_is_refused_in_words(cron: str, says: str) -> None:
    errors = validate(cron, "UTC")
    assert any(says in error for error in errors), errors
    assert all("\n" not in error for error in errors)
    with pytest.raises(ScheduleError):
        next_runs(cron, "UTC", utc("2026-01-01"))


@pytest.mark.parametrize(
    ("timezone", "says"),
    [
        ("Asia/Tokio", 'did you mean "Asia/Tokyo"?'),
        ("asia/tokyo", 'did you mean "Asia/Tokyo"?'),
        ("Tokyo", 'did you mean "Asia/Tokyo"?'),
        ("JST", 'did you mean "Asia/Tokyo"?'),
        ("New York", 'did you mean "America/New_York"?'),
        ("", "IANA name"),
        ("Local", "is not known"),
        ("../../etc/passwd", "is not known"),
        ("/etc/localtime", "is not known"),
    ],
)
def test_an_unknown_zone_is_refused_with_the_likely_one(timezone: str, says: str) -> None:
    (error,) = validate("@daily", timezone)
    assert says in error


def test_all_errors_come_at_once() -> None:
    assert len(validate("60 24 0 13 7", "Nowhere")) == 6


def test_next_runs_are_in_utc_and_after() -> None:
    runs = next_runs("30 2 * * *", "Asia/Tokyo", utc("2026-01-01T17:30"), 2)
    assert runs == [utc("2026-01-02T17:30"), utc("2026-01-03T17:30")]
    assert all(run.tzinfo is UTC for run in runs)


@pytest.mark.parametrize(
    ("cron", "timezone", "after", "expected"),
    [
        # 2026-03-29 02:00 CET -> 03:00 CEST: 02:30 does not exist, and runs at the end of the jump
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        # several times in the jump are one
        ("0,30 2,3 * * *", "Europe/Berlin", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-29T01:30"]),
        # 2026-10-25 03:00 CEST -> 02:00 CET: 02:30 comes twice, and runs once, the first time
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        # asked in the second of the two hours, the first time has passed
        ("50 2 * * *", "Europe/Berlin", "2026-10-25T01:10", ["2026-10-26T01:50"]),
        # steps of the clock go on through both
        ("*/30 * * * *", "Europe/Berlin", "2026-10-25T00:00", ["2026-10-25T00:30", "2026-10-25T01:00"]),
        ("0 * * * *", "Europe/Berlin", "2026-03-29T00:30", ["2026-03-29T01:00", "2026-03-29T02:00"]),
        # the day begins at 01:00 in Beirut
        ("0 0 * * *", "Asia/Beirut", "2026-03-28T12:00", ["2026-03-28T22:00", "2026-03-29T21:00"]),
    ],
)
def test_daylight_saving_both_ways(cron: str, timezone: str, after: str, expected: list[str]) -> None:
    assert next_runs(cron, timezone, utc(after), len(expected)) == [utc(text) for text in expected]


def test_descriptions_read() -> None:
    assert describe("30 2 * * *", "Asia/Tokyo") == "at 02:30 every day, Asia/Tokyo"
    assert describe("@hourly", "UTC") == "at the start of every hour, UTC"
    assert (
        describe("*/15 9-17 * * 1-5", "UTC")
        == "every 15th minute from 09:00 through 17:59 on Monday through Friday, UTC"
    )


def _field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    spans = st.tuples(number, number).filter(lambda pair: pair[0] < pair[1]).map(lambda pair: f"{pair[0]}-{pair[1]}")
    return st.one_of(st.just("*"), number.map(str), spans, st.integers(2, 20).map(lambda step: f"*/{step}"))


def _values(field: str, low: int, high: int) -> set[int]:
    """robfig/cron's reading, by hand."""
    body, _, step = field.partition("/")
    first, last = (low, high) if body == "*" else (int(body.split("-")[0]), int(body.split("-")[-1]))
    return set(range(first, last + 1, int(step or 1)))


@given(_field(0, 59), _field(0, 23), _field(1, 12), _field(0, 6), st.integers(0, 400))
def test_against_a_reading_by_hand(minute: str, hour: str, month: str, weekday: str, day: int) -> None:
    """Every minute of two days, against the definition (UTC, no day of month)."""
    cron = f"{minute} {hour} * {month} {weekday}"
    begin = utc("2026-01-01") + timedelta(days=day)
    moments = [begin + timedelta(minutes=number) for number in range(1, 2880)]
    expected = [
        moment
        for moment in moments
        if moment.minute in _values(minute, 0, 59)
        and moment.hour in _values(hour, 0, 23)
        and moment.month in _values(month, 1, 12)
        and moment.isoweekday() % 7 in _values(weekday, 0, 6)
    ]
    runs = next_runs(cron, "UTC", begin, len(expected) + 1)
    assert runs[: len(expected)] == expected
    assert runs[-1] > moments[-1]
