"""What a page is told of a workload, from its objects."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.models import Tenant
from spawners.kube import seen
from spawners.kube.launch import Launch
from spawners.runtime import Seen
from tests.unit.spawners.kube import launches, objects

RECORDED: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "data/kubelet/doomed.yaml").read_text())
NOW = datetime(2026, 11, 21, 10, 30, tzinfo=UTC)
PHYSICS = launches.tenant()
CRAWL = launches.launch(launches.TENANT, "crawl", launches.CRAWL, name="news")
UPLOAD = launches.launch(launches.TENANT, "upload", launches.UPLOAD, name="camera")
COPY = launches.launch(launches.TENANT, "transfer", launches.TRANSFER, name="copy")
BOOK = launches.launch("physics-member", "notebook")
PULL = {
    "phase": "Pending",
    "containerStatuses": [
        {
            "name": "main",
            "image": "x",
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "ErrImagePull: not found"}},
        }
    ],
}
SERVES = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}


def look(launch: Launch, top: dict[str, Any], *others: dict[str, Any], tenant: Tenant | None = PHYSICS) -> Seen:
    index = objects.index_of([top, *others])
    kind = launches.KINDS[launch.workload.kind]
    return seen.seen_of(index, launch.workload, top, tenant, kind, NOW, launches.SITE)


def service(*addresses: str) -> dict[str, Any]:
    found = objects.object_of("Service", UPLOAD.name, UPLOAD)
    found["status"] = {"loadBalancer": {"ingress": [{"ip": one} for one in addresses]}}
    return found


def test_a_collector_that_serves() -> None:
    pod = objects.pod_of(UPLOAD, "camera-x", objects.running())
    found = look(UPLOAD, objects.top_of(UPLOAD, SERVES), pod, service("2001:db8:0:1::10", "192.0.2.10"))
    assert (found.state, found.message, found.restarts, found.has_password) == ("running", "", 2, True)
    assert found.address == "192.0.2.10, 2001:db8:0:1::10"
    assert ("Address", "192.0.2.10") in found.endpoints
    assert ("IPv6 address", "2001:db8:0:1::10") in found.endpoints
    assert found.changed == datetime(2026, 11, 21, 10, 20, tzinfo=UTC)


def test_a_collector_whose_image_is_not_there_goes_on_trying_and_says_so() -> None:
    status = {"observedGeneration": 1, "updatedReplicas": 1}
    found = look(UPLOAD, objects.top_of(UPLOAD, status), objects.pod_of(UPLOAD, "camera-x", PULL))
    assert found.state == "backoff"
    assert found.live
    assert found.message == "the image x cannot be loaded: the registry has no image of that name and tag"


def test_a_stopped_collector_keeps_its_place_and_its_address() -> None:
    top = objects.top_of(UPLOAD)
    top["spec"] = {"replicas": 0}
    found = look(UPLOAD, top, service("192.0.2.10"))
    assert (found.state, found.live, found.address) == ("stopped", False, "192.0.2.10")


@pytest.mark.parametrize(
    ("status", "state", "message"),
    [
        (objects.running(), "running", ""),
        ({"phase": "Pending"}, "starting", "being set up on node-1"),
        (PULL, "backoff", "the image x cannot be loaded: the registry has no image of that name and tag"),
        (objects.ended(0), "stopped", "it ended by itself"),
        (objects.ended(1, "cannot write\n"), "failed", "it ended with exit code 1: cannot write"),
    ],
)
def test_an_interactive_pod(status: dict[str, Any], state: str, message: str) -> None:
    top = {**objects.top_of(BOOK), "status": status}
    top["spec"] = objects.pod_of(BOOK, "x", {})["spec"]
    found = look(BOOK, top)
    assert (found.state, found.message, found.has_password) == (state, message, False)


def test_a_schedule_waits_for_its_next_run_in_its_own_time_zone() -> None:
    found = look(CRAWL, objects.top_of(CRAWL))
    assert (found.state, found.current_run) == ("scheduled", None)
    assert found.next_run == datetime(2026, 11, 22, 17, 30, tzinfo=UTC), "Monday, 02:30 in Tokyo"


def test_a_schedule_with_a_run_under_way() -> None:
    job = objects.job_of(CRAWL, "29920935", "2026-11-21T10:15:02Z")
    old = objects.job_of(CRAWL, "29384000", "2026-11-21T09:15:02Z", conditions=objects.condition("Complete"))
    found = look(CRAWL, objects.top_of(CRAWL), old, job, objects.pod_of(CRAWL, "p", objects.running(), job))
    assert (found.state, found.current_run) == ("running", "20261121T101500Z-29920935")
    waits = look(CRAWL, objects.top_of(CRAWL), job, objects.pod_of(CRAWL, "p", PULL, job))
    assert (waits.state, waits.current_run) == ("backoff", "20261121T101500Z-29920935")


def test_a_schedule_that_somebody_has_suspended_says_so() -> None:
    top = objects.top_of(CRAWL)
    top["spec"] = {**top["spec"], "suspend": True}
    found = look(CRAWL, top)
    assert found.next_run is None
    assert "suspended" in found.message


def test_a_schedule_that_somebody_has_made_unreadable_has_no_next_run() -> None:
    top = objects.top_of(CRAWL)
    top["spec"] = {**top["spec"], "schedule": "@every 5m"}
    assert look(CRAWL, top).next_run is None


@pytest.mark.parametrize(
    ("status", "pod", "state", "message"),
    [
        (
            {"conditions": objects.condition("Complete")},
            objects.ended(0, objects.said("ok", "3 files")),
            "finished",
            "3 files",
        ),
        (
            {"conditions": objects.condition("Failed")},
            objects.ended(1, objects.said("failed", "full")),
            "failed",
            "full",
        ),
        ({}, objects.running(), "running", ""),
    ],
)
def test_a_single_run(status: dict[str, Any], pod: dict[str, Any], state: str, message: str) -> None:
    top = objects.top_of(COPY, status)
    found = look(COPY, top, objects.pod_of(COPY, "p", pod, top))
    assert (found.state, found.message) == (state, message)


def test_it_goes_on_when_its_tenant_or_kind_is_no_longer_declared() -> None:
    found = look(UPLOAD, objects.top_of(UPLOAD, SERVES), tenant=None)
    assert (found.state, found.endpoints, found.has_password) == ("running", (), False)


def test_of_several_objects_the_live_one_stands_for_it_and_else_the_newest() -> None:
    old = objects.top_of(COPY, {"conditions": objects.condition("Complete")}, made="2026-11-21T08:00:00Z")
    new = objects.top_of(COPY, {"conditions": objects.condition("Failed")}, made="2026-11-21T09:00:00Z")
    found = seen.best([new, old], launches.SITE)
    assert found[COPY.workload.id][1]["metadata"]["uid"] == new["metadata"]["uid"]
    going = objects.top_of(COPY, made="2026-11-21T07:00:00Z")
    found = seen.best([new, going, old], launches.SITE)
    assert found[COPY.workload.id][1]["metadata"]["uid"] == going["metadata"]["uid"]


def test_a_walk_finds_what_stands_for_workloads_and_what_is_forged_is_none_of_them() -> None:
    top = objects.top_of(COPY)
    job = objects.job_of(CRAWL, "29920935", "2026-11-21T10:15:02Z")
    owned = {**objects.top_of(COPY), "metadata": {**top["metadata"], "uid": "o", "ownerReferences": [{"uid": "x"}]}}
    elsewhere = {**top, "metadata": {**top["metadata"], "uid": "f", "namespace": "tenant-history"}}
    found = seen.tops_by_namespace(objects.index_of([top, job, owned, elsewhere]), launches.SITE)
    assert {space: [one["metadata"]["uid"] for one in every] for space, every in found.items()} == {
        "tenant-physics": [top["metadata"]["uid"]],
        "tenant-history": ["f"],
    }
    assert seen.best(found["tenant-history"], launches.SITE) == {}, "its record says physics"


def test_a_record_whose_options_nobody_understands_spoils_no_list() -> None:
    odd = UPLOAD.workload.model_copy(update={"options": {"protocol": ["x"]}})
    index = objects.index_of([objects.top_of(UPLOAD, SERVES)])
    found = seen.seen_of(
        index, odd, next(index.every("Deployment")), PHYSICS, launches.KINDS["collector"], NOW, launches.SITE
    )
    assert (found.endpoints, found.has_password) == ((), False)


@pytest.mark.parametrize("name", [name for name, case in RECORDED.items() if "events" not in case])
def test_what_a_real_cluster_said_is_on_the_page_in_plain_words(name: str) -> None:
    """Recorded of a real kubelet. What has ended is failed; what the kubelet goes on trying counts as live."""
    case = RECORDED[name]
    found = seen.stand(case["object"], [], [], datetime(2026, 11, 21, 15, 30, tzinfo=UTC))
    assert f"doomed: {found.message}" == case["says"]
    over = case["object"]["status"].get("phase") == "Failed"
    assert found.state == ("failed" if over else "backoff")
