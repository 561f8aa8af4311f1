"""What people are told of a launch: recorded statuses of a real kubelet, and cases that are hard to record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from spawners.kube import doom
from spawners.kube.doom import READY

RECORDED: dict[str, Any] = yaml.safe_load((Path(__file__).parents[3] / "data/kubelet/doomed.yaml").read_text())
NOW = datetime(2026, 11, 21, 15, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", RECORDED)
def test_what_a_real_cluster_said_is_told_in_plain_words(name: str) -> None:
    case = RECORDED[name]
    if case["object"]["kind"] == "Deployment":
        found = doom.of_deployment(case["object"], [], NOW)
    else:
        found = doom.of_pod(case["object"], NOW, case.get("events", []))
    assert f"{found.state}: {found.words}" == case["says"]


def _pod(status: dict[str, Any], **meta: Any) -> dict[str, Any]:
    return {"kind": "Pod", "metadata": {"name": "x", **meta}, "spec": {"nodeName": "n1"}, "status": status}


def _running(ready: str, **container: Any) -> dict[str, Any]:
    one = {"name": "main", "image": "tool:1", "ready": ready == "True", "restartCount": 0, **container}
    conditions = [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": ready}]
    return _pod({"phase": "Running", "podIP": "192.0.2.9", "conditions": conditions, "containerStatuses": [one]})


def test_it_is_ready_when_kubernetes_says_so_and_it_has_an_address() -> None:
    assert doom.of_pod(_running("True", state={"running": {}}), NOW) == READY
    assert doom.of_pod(_running("False", state={"running": {}}), NOW).words == (
        "started on n1; waiting until it can be used"
    )
    assert doom.of_pod(None, NOW).state == "waiting"


def test_a_pod_that_somebody_deletes_is_lost_even_while_it_runs() -> None:
    pod = _running("True", state={"running": {}})
    pod["metadata"]["deletionTimestamp"] = "2026-11-21T15:00:00Z"
    assert doom.of_pod(pod, NOW).state == "doomed"


def test_no_place_is_given_some_time() -> None:
    pod = RECORDED["toobig"]["object"]
    since = datetime.fromisoformat(pod["status"]["conditions"][0]["lastTransitionTime"])
    assert doom.of_pod(pod, since + timedelta(seconds=9)).state == "waiting"
    assert doom.of_pod(pod, since + timedelta(seconds=10)).state == "doomed"
    assert doom.of_pod(pod, since + timedelta(seconds=10), patience_s=600).state == "waiting"


def test_a_registry_that_is_slow_once_is_asked_again_one_that_says_no_is_not() -> None:
    def pulling(message: str) -> doom.Verdict:
        waiting = {"waiting": {"reason": "ErrImagePull", "message": message}}
        return doom.of_pod(_pod({"phase": "Pending", "containerStatuses": [{"image": "a:1", "state": waiting}]}), NOW)

    assert pulling("dial tcp 192.0.2.1:443: i/o timeout").state == "waiting"
    assert pulling("pull access denied, repository does not exist").state == "doomed"


def test_memory_is_named_however_it_shows() -> None:
    killed = {"terminated": {"reason": "OOMKilled", "exitCode": 137}}
    whole = _pod({"phase": "Failed", "containerStatuses": [{"state": killed}]})
    again = _running("False", state={"running": {}}, lastState=killed, restartCount=1)
    for pod in (whole, again):
        assert doom.of_pod(pod, NOW).words == "it needed more memory than its size gives: choose a larger size"


def test_a_job_is_started_once_it_runs_and_a_refused_one_says_why() -> None:
    job = {"kind": "Job", "metadata": {"name": "copy"}, "status": {}}
    assert doom.of_job(job, [], NOW).state == "waiting"
    assert doom.of_job(job, [_running("False", state={"running": {}})], NOW) == READY
    said = 'pods "x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=3, limited: pods=3'
    found = doom.of_job(job, [], NOW, [{"reason": "FailedCreate", "message": said}])
    assert found.state == "doomed"
    assert "it needs 1 pods, 3 pods are in use, 3 pods are allowed" in found.words
    failed = {
        **job,
        "status": {"conditions": [{"type": "Failed", "status": "True", "message": "BackoffLimitExceeded"}]},
    }
    assert doom.of_job(failed, [], NOW).words == "BackoffLimitExceeded"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            'pods "x" is forbidden: violates PodSecurity "restricted:latest": privileged (c must not set it)',
            "the cluster's Pod Security rules refuse it: privileged (c must not set it)",
        ),
        (
            "pods \"x\" is forbidden: ValidatingAdmissionPolicy 'tenanthub-egress' with binding 'egress' denied"
            " request: lab-b is not a network of this namespace",
            "the cluster's rules refuse it: lab-b is not a network of this namespace",
        ),
        (
            'admission webhook "pods.capsule.example.org" denied the request: registry is not allowed',
            "the cluster refuses it (pods.capsule.example.org): registry is not allowed",
        ),
        (
            'pods "x" is forbidden: maximum memory usage per Container is 4Gi, but limit is 8Gi',
            "the tenant's limits on the cluster refuse it: maximum memory usage per Container is 4Gi, but limit is 8Gi",
        ),
        ("the server is on fire", "the cluster refuses it: the server is on fire"),
    ],
)
def test_a_refusal_is_told_by_its_sort(said: str, told: str) -> None:
    assert doom.refused(said) == told


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("CreateContainerConfigError", "failed to sync secret cache: timed out waiting for the condition"),
        ("CreateContainerError", "context deadline exceeded"),
        ("CreateContainerError", 'failed to reserve container name "x": name "x" is reserved for "4711"'),
    ],
)
def test_a_busy_worker_is_no_doom(reason: str, message: str) -> None:
    waiting = {"waiting": {"reason": reason, "message": message}}
    found = doom.of_pod(_pod({"phase": "Pending", "containerStatuses": [{"image": "a:1", "state": waiting}]}), NOW)
    assert found == doom.waits("the cluster is busy; it is tried again")


def test_many_that_write_to_one_quota_are_no_doom() -> None:
    said = 'Operation cannot be fulfilled on resourcequotas "tenanthub": the object has been modified'
    job = {"kind": "Job", "metadata": {"name": "copy"}, "status": {}}
    assert doom.of_job(job, [], NOW, [{"reason": "FailedCreate", "message": said}]).state == "waiting"
    condition = {"type": "ReplicaFailure", "status": "True", "message": said}
    deployment = {"kind": "Deployment", "metadata": {"name": "x"}, "status": {"conditions": [condition]}}
    assert doom.of_deployment(deployment, [], NOW).state == "waiting"
    condition["message"] = "exceeded quota: tenanthub, requested: pods=1, used: pods=3, limited: pods=3"
    assert doom.of_deployment(deployment, [], NOW).state == "doomed"
