"""What outlives a workload's Pods, and how little of it is believed."""

from __future__ import annotations

import doctest
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from spawners.kube import keepsake
from spawners.kube.keepsake import Past
from spawners.runtime import RunSeen
from tests.unit.spawners.kube import launches

CRAWL = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news").workload
NOW = datetime(2026, 11, 21, 11, tzinfo=UTC)
SITE = launches.SITE


def run(number: int, outcome: str = "ok") -> RunSeen:
    begun = datetime(2026, 11, 1, tzinfo=UTC) + timedelta(hours=number)
    return RunSeen(
        id=f"{begun:%Y%m%dT%H%M%SZ}-{number}",
        trigger="schedule",
        scheduled=begun,
        started=begun,
        ended=begun,
        outcome=outcome,
        message="m",
        counts={"pages": number},
    )


def past(*rows: RunSeen, log: str = "") -> Past:
    found: Past | None = None
    for row in rows:
        found = keepsake.ran(found, CRAWL, row, log, NOW)
    assert found is not None
    return found


def test_it_comes_back_from_its_config_map_as_it_went_in() -> None:
    kept = keepsake.ended(
        past(run(1), run(2, "failed"), log="one\ntwo\n"), CRAWL, "failed", "no such\nbucket", "end\n", NOW
    )
    manifest = keepsake.config_map(kept, SITE)
    assert keepsake.past_of(manifest, SITE) == kept
    assert kept.reason == "no such bucket"
    assert kept.logs[""] == "end\n"
    assert manifest["metadata"]["name"] == "news.past"
    assert "ownerReferences" not in manifest["metadata"], "it has to outlive whatever could own it"
    listed = keepsake.past_of({"metadata": manifest["metadata"]}, SITE)
    assert listed is not None
    assert (listed.state, listed.reason, listed.changed) == ("failed", "no such bucket", NOW)


def test_it_stays_small_whatever_is_kept() -> None:
    many = past(
        *(run(number, "failed" if number % 2 else "ok") for number in range(60)), log=("ü" * 40 + "\n") * 500 + "last\n"
    )
    assert len(many.runs) == keepsake.RUNS
    assert sum(len(text.encode()) for text in many.logs.values()) <= keepsake.LOGS
    size = len(json.dumps(keepsake.config_map(many, SITE)).encode())
    assert size < 512 * 1024
    assert many.runs[0].id == run(59).id, "the newest ones stay"
    logged = [one.outcome for one in many.runs if one.id in many.logs]
    assert logged.count("ok") == 1, "failed ones' logs say more"
    assert all(text.endswith("last\n") for text in many.logs.values())


@pytest.mark.parametrize(
    ("text", "limit", "end"),
    [
        ("one\ntwo\n", 100, "one\ntwo\n"),
        ("one\ntwo\n", 4, "two\n"),
        ("one\ntwo\n", 5, "two\n"),
        ("no line at all", 4, " all"),
        ("üü", 3, "ü"),
        ("x", 0, ""),
    ],
)
def test_the_end_of_a_log(text: str, limit: int, end: str) -> None:
    assert keepsake.log_end(text, limit) == end
    assert doctest.testmod(keepsake).failed == 0


def test_a_run_noted_twice_is_there_once() -> None:
    assert len(past(run(1), run(1)).runs) == 1


def test_a_new_start_takes_the_reason_back_and_keeps_the_runs() -> None:
    failed = keepsake.ended(past(run(1)), CRAWL, "failed", "full", "log\n", NOW)
    again = keepsake.started(failed, CRAWL, NOW)
    assert (again.state, again.reason, again.runs) == (None, "", failed.runs)


def test_the_log_of_an_earlier_launch_is_not_told_for_this_one() -> None:
    first = keepsake.ended(None, CRAWL, "failed", "full", "first\n", NOW)
    later = CRAWL.model_copy(update={"asked": NOW})
    assert keepsake.ended(first, later, "failed", "no place", "", NOW).logs == {}
    assert keepsake.ended(first, CRAWL, "stopped", "", "", NOW).logs == {"": "first\n"}


def test_another_workload_of_the_name_inherits_nothing() -> None:
    other = launches.launch(launches.TENANT, "transfer", launches.TRANSFER, name="news").workload
    assert keepsake.started(past(run(1), log="x"), other, NOW).runs == ()


def test_what_nothing_was_heard_of_for_long_need_not_be_kept() -> None:
    old = NOW - keepsake.KEPT - timedelta(minutes=1)
    lost = keepsake.started(None, CRAWL, old)
    assert keepsake.surplus([lost], NOW) == [lost], "unless it is on the cluster, which the caller sees"
    assert keepsake.surplus([keepsake.started(None, CRAWL, NOW)], NOW) == []


def test_no_more_than_a_tenants_quota_bears_are_remembered() -> None:
    def one(number: int) -> Past:
        workload = CRAWL.model_copy(update={"name": f"n{number}"})
        return keepsake.ended(None, workload, "stopped", "", "", NOW - timedelta(minutes=number))

    every = [one(number) for number in range(keepsake.MOST + 2)]
    running = keepsake.started(None, CRAWL, NOW - timedelta(days=9))
    assert keepsake.surplus([*every, running], NOW) == every[-2:]


# -- what members of the tenant may have written ----------------------------------------------------------------------


def forged(**changes: Any) -> Past | None:
    manifest = keepsake.config_map(keepsake.ended(past(run(1)), CRAWL, "failed", "full", "", NOW), SITE)
    manifest["metadata"] |= changes.pop("metadata", {})
    manifest["data"] |= changes.pop("data", {})
    manifest["metadata"]["annotations"] |= changes.pop("annotations", {})
    return keepsake.past_of(manifest, SITE)


def test_one_in_another_tenants_namespace_is_no_ones() -> None:
    assert forged(metadata={"namespace": "tenant-history"}) is None


def test_one_of_another_name_is_no_ones() -> None:
    assert forged(metadata={"name": "other.past"}) is None


@pytest.mark.parametrize(
    "rows",
    [
        "no JSON",
        "{}",
        "[1, null]",
        '[{"id": "x", "trigger": 5}]',
        '[{"id": "x", "trigger": "manual", "outcome": "ok", "counts": {}, "started": "2026-11-21T10:00:00"}]',
    ],
)
def test_rows_that_are_none_are_left_out(rows: str) -> None:
    found = forged(data={"runs.json": rows})
    assert found is not None
    assert found.runs == ()


@pytest.mark.parametrize("about", ["no JSON", "[]", '{"state": "running", "changed": "2026-11-21T10:00:00Z"}'])
def test_a_state_that_is_none_is_none(about: str) -> None:
    found = forged(annotations={f"{SITE.label_domain}/past": about})
    assert found is not None
    assert found.state is None


def test_a_log_of_any_size_is_cut() -> None:
    found = forged(data={"log": "x" * 900_000})
    assert found is not None
    assert len(found.logs[""]) == keepsake.LOG
