"""Runs as Jobs and Pods tell of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from images.lib.run import MESSAGE_LIMIT, summary
from spawners.kube import runs
from spawners.kube.manifests import MANUAL
from spawners.plan import Schedule
from spawners.runtime import RunSeen
from tests.unit.spawners.kube import launches, objects

CRAWL = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news")
BEGAN = "2026-11-21T10:15:02Z"


def row(job: dict[str, Any], *statuses: dict[str, Any]) -> RunSeen:
    pods = [objects.pod_of(CRAWL, f"p{number}", status, job) for number, status in enumerate(statuses)]
    return runs.run_of(job, pods)


def job(scheduled: str = "2026-11-21T19:15:00+09:00", **status: Any) -> dict[str, Any]:
    return objects.job_of(CRAWL, "29920935", BEGAN, scheduled, **status)


def test_a_run_that_ended_well_says_what_its_program_said() -> None:
    done = job(conditions=objects.condition("Complete"), completionTime="2026-11-21T10:20:00Z")
    found = row(done, objects.ended(0, objects.said("ok", "12 pages", pages=12, errors=0)))
    assert found == RunSeen(
        id="20261121T101500Z-29920935",
        scheduled=datetime(2026, 11, 21, 10, 15, tzinfo=UTC),
        trigger="schedule",
        started=datetime(2026, 11, 21, 10, 15, 2, tzinfo=UTC),
        ended=datetime(2026, 11, 21, 10, 20, tzinfo=UTC),
        outcome="ok",
        message="12 pages",
        counts={"pages": 12, "errors": 0},
    )


def test_a_message_as_images_lib_run_writes_it_is_read_also_when_it_was_cut() -> None:
    result = {"outcome": "ok", "message": "m" * 3000, "counts": {str(n): n for n in range(500)}}
    text = summary(result, {"run_id": "x"}).decode()
    assert len(text) <= MESSAGE_LIMIT
    found = row(job(conditions=objects.condition("Complete")), objects.ended(0, text))
    assert found.outcome == "ok"
    assert found.message.startswith("mmm")
    assert len(found.message) <= 1000


FAILED = objects.condition("Failed", reason="PodFailurePolicy", message="Container main failed with exit code 1")
LATE = objects.condition("Failed", reason="DeadlineExceeded", message="Job was active longer than specified deadline")


@pytest.mark.parametrize(
    ("status", "pods", "outcome", "message"),
    [
        (
            {"conditions": FAILED},
            [objects.ended(1, objects.said("failed", "no such bucket"))],
            "failed",
            "no such bucket",
        ),
        ({"conditions": FAILED}, [], "failed", "Container main failed with exit code 1"),
        (
            {"conditions": FAILED},
            [objects.ended(137, "a line\nkilled\n")],
            "failed",
            "it ended with exit code 137: killed",
        ),
        ({"conditions": LATE}, [], "time-limit", "it took longer than it may"),
        ({"conditions": FAILED}, [objects.ended(1, objects.said("ok", "fine"))], "failed", None),
        ({}, [], "running", ""),
        ({}, [objects.running()], "running", ""),
        ({}, [objects.ended(137), objects.running()], "running", ""),
        ({"conditions": objects.condition("Complete")}, [], "ok", ""),
        ({"conditions": objects.condition("Complete")}, [objects.ended(0, "no JSON at all")], "ok", ""),
        ({"conditions": objects.condition("Complete")}, [objects.ended(0, '{"outcome": "owned"}')], "ok", ""),
    ],
)
def test_how_a_run_ended(status: dict[str, Any], pods: list[dict[str, Any]], outcome: str, message: str | None) -> None:
    found = row(job(**status), *pods)
    assert found.outcome == outcome
    assert message is None or found.message == message
    if outcome == "running":
        assert found.ended is None


def test_a_stopped_run_is_a_suspended_job() -> None:
    stopped = job(conditions=objects.condition("Suspended"))
    stopped["spec"] = {"suspend": True}
    assert row(stopped).outcome == "stopped"
    assert (
        row(stopped, objects.ended(143, objects.said("stopped", "3 pages until then"))).message == "3 pages until then"
    )


def test_why_a_run_was_started() -> None:
    assert row(job()).trigger == "schedule"
    assert row(job("2026-11-21T09:00:00Z")).trigger == "catch-up"
    by_hand = objects.job_of(CRAWL, "m67", BEGAN)
    by_hand["metadata"]["annotations"] = {MANUAL: "manual"}
    assert row(by_hand).trigger == "manual"
    assert row(by_hand).scheduled is None


def test_counts_that_are_no_plain_values_are_left_out() -> None:
    text = objects.said("ok", "", pages=1, odd={"a": 1}, long="x" * 5000)
    assert row(job(conditions=objects.condition("Complete")), objects.ended(0, text)).counts == {"pages": 1}


# -- what did not run -------------------------------------------------------------------------------------------------

HOURLY = Schedule(cron="0 * * * *", timezone="UTC")
NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)


def ran(hour: int, until: int | None = None, outcome: str = "ok", day: int = 21) -> RunSeen:
    begun = datetime(2026, 11, day, hour, tzinfo=UTC)
    end = begun.replace(minute=20) if until is None else datetime(2026, 11, day, until, 30, tzinfo=UTC)
    return RunSeen(
        id=f"{begun:%Y%m%dT%H%M%SZ}-1",
        scheduled=begun,
        trigger="schedule",
        started=begun,
        ended=end,
        outcome=outcome,
        counts={},
    )


def missed(*rows: RunSeen, since: int = 9) -> list[tuple[str, str]]:
    begin = datetime(2026, 11, 21, since, 30, tzinfo=UTC)
    return [(one.id, one.outcome) for one in runs.missed(HOURLY, begin, rows, NOW)]


def test_times_without_a_run_are_told_and_those_with_one_are_not() -> None:
    assert missed(ran(10), ran(11), ran(12)) == []
    assert missed(ran(10), ran(12)) == [("20261121T110000Z", "missed")]
    assert missed() == [("20261121T120000Z", "missed"), ("20261121T110000Z", "missed"), ("20261121T100000Z", "missed")]


def test_a_time_that_came_while_a_run_went_on_was_skipped() -> None:
    assert missed(ran(10, until=11), ran(12)) == [("20261121T110000Z", "skipped")]


def test_a_time_that_is_just_now_is_not_missed_yet() -> None:
    just = datetime(2026, 11, 21, 13, 1, tzinfo=UTC)
    assert runs.missed(HOURLY, datetime(2026, 11, 21, 12, 30, tzinfo=UTC), [], just) == []


def test_many_are_one_row() -> None:
    (one,) = missed(since=1)
    assert one[1] == "missed"
    (row_,) = runs.missed(HOURLY, datetime(2026, 11, 21, 1, 30, tzinfo=UTC), [], NOW)
    assert row_.message.startswith("11 times of the schedule, 2026-11-21 02:00 to 2026-11-21 12:00")


def test_nothing_is_said_of_the_time_whose_runs_are_no_longer_kept() -> None:
    kept = [ran(hour) for hour in range(3, 13)]
    assert missed(*kept, since=0) == []
    assert ("20261121T020000Z", "missed") in missed(*kept[1:], since=0), "nine are fewer than are kept: none was lost"


def test_rows_of_the_cluster_come_before_those_kept() -> None:
    old, new = ran(10), ran(11)
    changed = new.model_copy(update={"outcome": "running"})
    assert runs.together([changed], [old, new], 10) == [changed, old]
    assert runs.together([new], [old], 1) == [new]
