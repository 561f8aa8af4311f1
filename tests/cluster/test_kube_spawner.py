"""TenantKubeSpawner in a real JupyterHub on real nodes: launched, refused, found again, stopped."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from config.names import namespace
from spawners.kube.manifests import pod_of
from tests.cluster import laboratory
from tests.cluster.bed import Bed, binaries, node
from tests.cluster.kube import Kube, eventually
from tests.cluster.kubehub import PORT, KubeHub
from tests.cluster.kubeworld import raised


@pytest.fixture(scope="module")
def hub(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeHub]:
    """A hub over a tenant whose one worker is n1, with room for three workloads."""
    with raised(bed, tmp_path_factory, workers={"nodes": ["n1"]}, workloads=3) as made:
        yield made


def _pods(hub: KubeHub, name: str) -> list[dict[str, Any]]:
    label = f"--selector={hub.keys.workload}={name}"
    found: list[dict[str, Any]] = Kube(hub.bed).get("pods", f"--namespace={namespace(hub.tenant)}", label)["items"]
    return found


def test_a_launch_is_a_restricted_pod_on_the_tenants_worker_and_answers_through_the_proxy(hub: KubeHub) -> None:
    assert hub.launch("ada", "web", "tool").status_code in (201, 202)
    server = hub.ready("ada", "web")
    (pod,) = _pods(hub, "web")
    assert pod["spec"]["nodeName"] == "n1"
    assert pod_of(pod) is pod
    (container,) = pod["spec"]["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    token = next(one for one in container["env"] if one["name"] == "JUPYTERHUB_API_TOKEN")
    assert "value" not in token
    assert token["valueFrom"]["secretKeyRef"]["name"] == pod["metadata"]["name"]
    kept = Kube(hub.bed).get("secret", pod["metadata"]["name"], f"--namespace={namespace(hub.tenant)}")
    assert kept["metadata"]["ownerReferences"][0]["uid"] == pod["metadata"]["uid"]
    answer = httpx.get(f"http://127.0.0.1:{hub.port}{server['url']}", timeout=30, trust_env=False)
    assert answer.status_code == 200
    assert str(PORT) in str(container["ports"])
    assert hub.api("DELETE", "/users/ada/servers/web").status_code in (202, 204)
    eventually("its Pod is gone", lambda: not _pods(hub, "web"))


@pytest.mark.parametrize(
    ("name", "profile", "options", "told"),
    [
        ("lost", "lost", {}, "cannot be loaded"),
        ("none", "tool", {"words": ["python", "-c", "1"]}, "the image has no program python"),
        ("ends", "tool", {"words": ["nonsense"]}, "it ended with exit code 2: tenanthub-test: no such tool"),
        ("huge", "tool", {"size": "huge"}, "1 node has too little cpu left"),
    ],
)
def test_a_doomed_launch_says_why_and_leaves_nothing_running(
    hub: KubeHub, name: str, profile: str, options: dict[str, Any], told: str
) -> None:
    answer = hub.launch("ada", name, profile, **options)
    said = answer.text if answer.status_code >= 400 else hub.until("it has failed", lambda: _failure(hub, name))
    assert told in said
    eventually("nothing of it runs", lambda: not [one for one in _pods(hub, name) if _going(one)])
    assert hub.server("ada", name) is None or not hub.server("ada", name)["ready"]  # type: ignore[index]


def _failure(hub: KubeHub, name: str) -> str:
    said = hub.why("ada", name)
    return said if '"failed": true' in said else ""


def _going(pod: dict[str, Any]) -> bool:
    return pod["status"]["phase"] in ("Pending", "Running") and "deletionTimestamp" not in pod["metadata"]


def test_the_tenants_quota_counts_what_runs_on_the_cluster(hub: KubeHub) -> None:
    for number in range(3):
        assert hub.launch("ada", f"q{number}", "tool").status_code in (201, 202)
    refused = hub.launch("ada", "q3", "tool")
    assert refused.status_code == 409
    assert "runs 3 of 3 workloads" in refused.text
    for number in range(3):
        hub.ready("ada", f"q{number}")
        assert hub.api("DELETE", f"/users/ada/servers/q{number}").status_code in (202, 204)
    eventually("none is left", lambda: not any(_pods(hub, f"q{number}") for number in range(3)))


def test_a_hub_that_was_away_finds_what_runs_and_what_was_deleted(hub: KubeHub) -> None:
    for name in ("stays", "goes"):
        hub.launch("ada", name, "tool")
        hub.ready("ada", name)
    (before,) = _pods(hub, "stays")
    (goes,) = _pods(hub, "goes")
    hub.stop()
    Kube(hub.bed).must("delete", "pod", goes["metadata"]["name"], f"--namespace={namespace(hub.tenant)}")
    hub.start()
    hub.until("the deleted one is known to be gone", lambda: hub.server("ada", "goes") is None)
    server = hub.ready("ada", "stays")
    (after,) = _pods(hub, "stays")
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert httpx.get(f"http://127.0.0.1:{hub.port}{server['url']}", timeout=30, trust_env=False).status_code == 200
    # deleted while the hub watches: noticed without being asked
    Kube(hub.bed).must("delete", "pod", after["metadata"]["name"], f"--namespace={namespace(hub.tenant)}")
    hub.until("it is gone from the hub", lambda: hub.server("ada", "stays") is None)


def _objects(hub: KubeHub, kind: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = Kube(hub.bed).get(kind, f"--namespace={namespace(hub.tenant)}")["items"]
    return found


def test_what_is_kept_running_is_scaled_to_nothing_and_finds_its_address_and_password_again(hub: KubeHub) -> None:
    owner = f"tenant-{hub.tenant}"

    def launched() -> tuple[dict[str, Any], dict[str, Any], str]:
        assert hub.launch(owner, "camera", "tool", mode="keep").status_code in (201, 202)
        hub.ready(owner, "camera")
        deployment, (service,) = _deployment(hub, "camera"), _objects(hub, "services")
        secret = next(one for one in _objects(hub, "secrets") if one["metadata"]["name"] == "camera")
        assert secret["metadata"]["ownerReferences"][0]["uid"] == deployment["metadata"]["uid"]
        return deployment, service, secret["data"]["password"]

    deployment, service, password = launched()
    assert deployment["status"]["availableReplicas"] == 1
    asked = service["metadata"]["annotations"]["metallb.io/loadBalancerIPs"]
    assert asked == "192.0.2.240,2001:db8:120::240"
    eventually("MetalLB gives it", lambda: _objects(hub, "services")[0]["status"]["loadBalancer"].get("ingress"))
    assert hub.api("DELETE", f"/users/{owner}/servers/camera").status_code in (202, 204)
    eventually("its Pods are gone", lambda: not _pods(hub, "camera"))
    assert _deployment(hub, "camera")["spec"]["replicas"] == 0
    again, same, kept = launched()
    assert again["metadata"]["uid"] == deployment["metadata"]["uid"]
    assert same["metadata"]["annotations"]["metallb.io/loadBalancerIPs"] == asked
    assert kept == password
    assert hub.api("DELETE", f"/users/{owner}/servers/camera").status_code in (202, 204)


def test_a_schedule_ends_without_its_runs(hub: KubeHub) -> None:
    owner = f"tenant-{hub.tenant}"
    assert hub.launch(owner, "news", "tool", mode="schedule", words=["id"]).status_code in (201, 202)
    hub.ready(owner, "news")
    Kube(hub.bed).must("create", "job", "news-m1", "--from=cronjob/news", f"--namespace={namespace(hub.tenant)}")
    eventually("the run has ended", lambda: _objects(hub, "jobs")[0]["status"].get("succeeded"))
    assert hub.api("DELETE", f"/users/{owner}/servers/news").status_code in (202, 204)
    eventually("the schedule is gone", lambda: not _objects(hub, "cronjobs"))
    assert [one["metadata"]["name"] for one in _objects(hub, "jobs")] == ["news-m1"]


def test_a_hub_that_lost_its_database_takes_back_what_is_the_tenants(hub: KubeHub) -> None:
    owner = f"tenant-{hub.tenant}"
    assert hub.launch(owner, "kept", "tool", mode="keep").status_code in (201, 202)
    hub.ready(owner, "kept")
    for name in ("mine", "lost"):
        assert hub.launch("ada", name, "tool").status_code in (201, 202)
        hub.ready("ada", name)
    before = _deployment(hub, "kept")
    hub.stop()
    (hub.state / "hub.sqlite").unlink()
    hub.start()
    assert hub.server(owner, "kept") is None
    assert hub.launch(owner, "kept", "tool", service="reviver").status_code in (201, 202)
    hub.ready(owner, "kept")
    assert _deployment(hub, "kept")["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
    refused = hub.launch("ada", "lost", "tool", service="reviver")
    assert "lost its database" in refused.text
    eventually("a person's server that cannot be taken back ends", lambda: not _pods(hub, "lost"))
    # its owner starts it again: the old Pod makes room for the new one
    (old,) = _pods(hub, "mine")
    assert hub.launch("ada", "mine", "tool").status_code in (201, 202)
    hub.ready("ada", "mine")
    (new,) = _pods(hub, "mine")
    assert new["metadata"]["uid"] != old["metadata"]["uid"]
    assert hub.api("DELETE", "/users/ada/servers/mine").status_code in (202, 204)
    assert hub.api("DELETE", f"/users/{owner}/servers/kept").status_code in (202, 204)
    eventually("all have ended", lambda: not _pods(hub, "kept") and not _pods(hub, "mine"))


def _deployment(hub: KubeHub, name: str) -> dict[str, Any]:
    return next(one for one in _objects(hub, "deployments") if one["metadata"]["name"] == name)


def test_a_single_run_is_over_when_it_has_ended(hub: KubeHub) -> None:
    owner = f"tenant-{hub.tenant}"
    assert hub.launch(owner, "copy", "tool", mode="once", words=["id"]).status_code in (201, 202)
    hub.until("the hub knows that it is over", lambda: hub.server(owner, "copy") is None)
    (job,) = [one for one in _objects(hub, "jobs") if one["metadata"]["name"].startswith("copy")]
    assert job["status"]["succeeded"] == 1
    answer = hub.launch(owner, "bad", "tool", mode="once", words=["exit", "1"])
    said = answer.text if answer.status_code >= 400 else hub.until("it ends", lambda: _over(hub, owner, "bad"))
    assert "exit code 1" in said or said == "over"


def _over(hub: KubeHub, owner: str, name: str) -> str:
    return "over" if hub.server(owner, name) is None else ""


def test_what_runs_on_a_lost_worker_is_never_run_twice_and_goes_on_when_it_is_back(hub: KubeHub) -> None:
    owner = f"tenant-{hub.tenant}"
    assert hub.launch(owner, "kept", "tool", mode="keep").status_code in (201, 202)
    assert hub.launch("ada", "there", "tool").status_code in (201, 202)
    hub.ready(owner, "kept")
    hub.ready("ada", "there")
    (lost,) = _pods(hub, "there")
    laboratory.kill(hub.bed, "n1")
    try:
        assert hub.api("DELETE", "/users/ada/servers/there").status_code in (202, 204)
        hub.until("the hub has given it up", lambda: hub.server("ada", "there") is None)
        answer = hub.launch("ada", "there", "tool")
        said = answer.text if answer.status_code >= 400 else hub.until("refused", lambda: _failure(hub, "there"))
        assert "worker n1 may be lost" in said
        assert [one["metadata"]["uid"] for one in _pods(hub, "there")] == [lost["metadata"]["uid"]]
        assert hub.ready(owner, "kept")  # nobody has said that it ended
    finally:
        laboratory.revive(hub.bed, "n1", binaries.ensure())
    node.wait_ready(hub.bed)
    eventually("the old Pod is gone", lambda: not _pods(hub, "there"), patience_s=120)
    assert hub.launch("ada", "there", "tool").status_code in (201, 202)
    hub.ready("ada", "there")
    eventually("the other one serves again", lambda: _deployment(hub, "kept")["status"].get("availableReplicas"))
    assert hub.ready(owner, "kept")
    assert len([one for one in _pods(hub, "kept") if _going(one)]) == 1
    for who, name in (("ada", "there"), (owner, "kept")):
        assert hub.api("DELETE", f"/users/{who}/servers/{name}").status_code in (202, 204)
