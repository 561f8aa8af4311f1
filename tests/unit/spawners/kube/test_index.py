"""What a write of ours answers never hides what the watch has told before that answer was read."""

from __future__ import annotations

from typing import Any

from config.names import keys
from spawners.kube.index import Index, key_of
from tests.unit.spawners.kube import launches, objects

LAUNCH = launches.cases()["notebook"]
KEY = key_of(LAUNCH.workload)


def pod(version: str, phase: str) -> dict[str, Any]:
    found = objects.pod_of(LAUNCH, "one", {"phase": phase})
    found["metadata"] |= {"uid": "4711", "resourceVersion": version}
    return found


def phases(index: Index) -> list[str]:
    return [one["status"]["phase"] for one in index.of(KEY, "Pod")]


def test_an_answer_that_is_read_late_does_not_hide_that_a_pod_runs() -> None:
    index = Index(keys(launches.SITE))
    index.put(pod("1000", "Running"))
    index.put_made(pod("999", "Pending"))  # as numbers, not as texts
    assert phases(index) == ["Running"]


def test_an_answer_that_is_read_first_is_there_at_once() -> None:
    index = Index(keys(launches.SITE))
    index.put_made(pod("999", "Pending"))
    assert phases(index) == ["Pending"]
    index.put_made(pod("1000", "Running"))
    assert phases(index) == ["Running"]


def test_what_has_gone_does_not_come_again_by_a_late_answer() -> None:
    index = Index(keys(launches.SITE))
    index.put(pod("1000", "Running"))
    index.drop(pod("1001", "Running"))
    index.put_made(pod("999", "Pending"))
    assert phases(index) == []
