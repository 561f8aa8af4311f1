"""What a launch becomes on a cluster: goldens for every kind and variant, and rules that hold for all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.names import keys, namespace
from images.app.settings import AppSettings
from images.collector.settings import Settings as CollectorSettings
from images.crawler.settings import CrawlSettings
from images.ide.settings import IdeSettings
from images.lib.home_settings import HomeSettings
from images.transfer.settings import TransferSettings
from spawners.kube import names
from spawners.kube.adopt import workload_of
from spawners.kube.enforce import admit
from spawners.kube.launch import launch_of
from spawners.kube.manifests import manifests, pod_of, run_now
from spawners.kube.plan import KubePlan, Ready
from spawners.refusal import Refusal
from tests.unit.config.worlds import compare
from tests.unit.spawners.kube.launches import (
    COMMAND,
    CRAWL,
    DUAL,
    IMAGES,
    KINDS,
    SITE,
    TENANT,
    TRANSFER,
    UPLOAD,
    cases,
    launch,
    tenant,
    workload,
)

ROOT = Path(__file__).parents[4]
DATA = ROOT / "tests" / "data" / "kube"
CASES = cases()
MODELS: dict[str, Any] = {
    "app": AppSettings,
    "collector": CollectorSettings,
    "crawler": CrawlSettings,
    "ide": IdeSettings,
    "transfer": TransferSettings,
}
RUN = {"run_id": "20261121T020000Z-x7k2p", "run_dir": "/var/lib/tenanthub/runs/20261121T020000Z-x7k2p"}


def pods(case: str) -> Iterator[dict[str, Any]]:
    for manifest in manifests(CASES[case]):
        found = pod_of(manifest)
        if found is not None:
            yield found


def top(case: str) -> dict[str, Any]:
    return manifests(CASES[case])[-1]


@pytest.mark.parametrize("case", CASES)
def test_the_objects_are_the_golden_ones(case: str, pytestconfig: pytest.Config) -> None:
    text = yaml.safe_dump_all(manifests(CASES[case]), sort_keys=False, allow_unicode=True, width=120)
    compare(DATA / f"{case}.yaml", text, pytestconfig)


def test_every_golden_has_its_case() -> None:
    assert {path.stem for path in DATA.glob("*.yaml")} == set(CASES)


@pytest.mark.parametrize("case", CASES)
def test_objects_are_plain_json_and_the_tenants(case: str) -> None:
    wanted = CASES[case]
    for manifest in manifests(wanted):
        assert json.loads(json.dumps(manifest)) == manifest
        assert manifest["metadata"]["namespace"] == namespace("physics") == "tenant-physics"
        assert manifest["metadata"]["labels"].items() >= names.labels(wanted.workload, SITE).items()
        assert keys(SITE).declared_by not in manifest["metadata"]["labels"]  # or `tenanthub apply` would prune it
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", manifest["metadata"]["name"])  # RFC 1035


@pytest.mark.parametrize("case", CASES)
def test_the_last_check_finds_nothing(case: str) -> None:
    assert list(pods(case))
    for manifest in manifests(CASES[case]):
        admit(manifest, CASES[case])


@pytest.mark.parametrize("case", CASES)
def test_a_hub_without_a_database_finds_the_workload_again(case: str) -> None:
    assert workload_of(top(case), SITE) == CASES[case].workload


@pytest.mark.parametrize("case", CASES)
def test_services_and_deployments_pick_the_pods_of_the_workload(case: str) -> None:
    (pod,) = pods(case)
    for manifest in manifests(CASES[case]):
        selector = manifest.get("spec", {}).get("selector")
        if selector:
            wanted = selector.get("matchLabels", selector)
            assert wanted.items() <= pod["metadata"]["labels"].items()
            assert keys(SITE).workload in wanted and keys(SITE).owner in wanted


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case].plan.settings is not None])
def test_the_program_takes_its_settings(case: str) -> None:
    plan, kind = CASES[case].plan, CASES[case].workload.kind
    (pod,) = pods(case)
    text = pod["metadata"]["annotations"][names.annotation_settings(keys(SITE))]
    run = RUN if plan.mode in ("once", "schedule") else {}
    settings = json.loads(text)
    if "images.lib.home" in plan.argv:  # it hands the program's own on
        settings = HomeSettings.model_validate(settings).settings
    assert settings is None or MODELS[kind].model_validate_json(json.dumps({**settings, **run}))


@pytest.mark.parametrize(
    "case", [case for case in CASES if CASES[case].workload.kind != "coder" and not case.endswith("address")]
)
def test_the_image_has_the_user_and_the_module(case: str) -> None:
    kind, plan = CASES[case].workload.kind, CASES[case].plan
    containerfile = (ROOT / "images" / kind / "Containerfile").read_text(encoding="utf-8")
    (user,) = re.findall(r"^USER (\d+)", containerfile, re.MULTILINE)
    assert int(user) == plan.uid
    if plan.mode == "pod" and plan.beside is None:
        assert plan.home == re.findall(r"^WORKDIR (\S+)", containerfile, re.MULTILINE)[-1]
    words = (*plan.argv, *(plan.settings or {}).get("command", ()))  # where a home is kept, around the program
    assert f"images.{kind}" in words and plan.argv[:3] == ("python", "-P", "-m")


@pytest.mark.parametrize("case", CASES)
def test_everything_that_is_written_to_or_mounted_has_a_volume(case: str) -> None:
    plan = CASES[case].plan
    (pod,) = pods(case)
    (container,) = pod["spec"]["containers"]
    every = [container, *pod["spec"].get("initContainers", [])]
    used = {mount["name"] for one in every for mount in one["volumeMounts"]}
    assert used == {one["name"] for one in pod["spec"]["volumes"]}
    mounted = [one["mountPath"] for one in container["volumeMounts"]]
    assert len(set(mounted)) == len(mounted)
    for key in ("run_dir", "state_dir", "working_folder", "data_folder", "password_file", "rclone_config"):
        path = (plan.settings or {}).get(key)
        assert path is None or any(path.startswith(f"{one}/") or path == one for one in mounted), key


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_named_and_nowhere_told(case: str) -> None:
    text = json.dumps(manifests(CASES[case]))
    assert "secret_access_key" not in text and "stringData" not in text and '"Secret"' not in text
    for pod in pods(case):
        for volume in pod["spec"]["volumes"]:
            assert volume.get("secret", {"defaultMode": 0o400})["defaultMode"] == 0o400


def test_qos_follows_the_tenant() -> None:
    (usual,) = pods("collector-ipv4")
    (equal,) = pods("collector-ipv6-guaranteed")
    assert "cpu" not in usual["spec"]["containers"][0]["resources"]["limits"]
    resources = equal["spec"]["containers"][0]["resources"]
    assert resources["limits"] == resources["requests"] == {"cpu": "500m", "memory": "1Gi"}


def test_the_egress_label_is_there_only_for_networks_with_egress_addresses() -> None:
    label = keys(SITE).egress_policy
    (with_egress,), (without,), (none,) = (
        pods(case) for case in ("crawler", "crawler-skip-ipv6", "notebook-no-network-shared-workers")
    )
    assert with_egress["metadata"]["labels"][label] == "lab-a"
    assert label not in without["metadata"]["labels"] and label not in none["metadata"]["labels"]


def test_ftp_has_every_passive_port_singly_and_the_well_known_one() -> None:
    service = next(one for one in manifests(CASES["collector-dual-stack"]) if one["kind"] == "Service")
    ports = {port["port"]: port["targetPort"] for port in service["spec"]["ports"]}
    assert ports.items() >= {21: 2121, 2121: 2121}.items()
    assert [port for port in ports if port > 29999] == list(range(30000, 30050))
    assert all(ports[port] == port for port in range(30000, 30050))
    assert len({port["name"] for port in service["spec"]["ports"]}) == len(service["spec"]["ports"])
    settings = json.loads(
        next(pods("collector-dual-stack"))["metadata"]["annotations"][f"{SITE.label_domain}/settings"]
    )
    assert settings["passive_ports"] == [30000, 30049]
    assert (settings["address"], settings["public_address"]) == ("::", "192.0.2.10")


def test_a_spool_is_refused_before_the_kubelet_evicts() -> None:
    for case in ("collector-ipv4", "collector-dual-stack"):
        plan = CASES[case].plan
        (state,) = [one for one in plan.scratch if one.name == "state"]
        assert plan.settings is not None and plan.settings["max_spool_bytes"] < state.size


def test_a_missed_run_is_caught_up_or_not() -> None:
    assert top("crawler")["spec"]["startingDeadlineSeconds"] == 168 * 3600
    assert top("crawler-skip-ipv6")["spec"]["startingDeadlineSeconds"] == 120
    assert top("crawler")["spec"]["timeZone"] == "Asia/Tokyo"


def test_a_schedule_says_all_that_would_otherwise_be_left_to_chance() -> None:
    spec, run = top("crawler")["spec"], top("crawler")["spec"]["jobTemplate"]["spec"]
    assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == ("30 2 * * 1", "Asia/Tokyo", "Forbid")
    assert (spec["successfulJobsHistoryLimit"], spec["failedJobsHistoryLimit"], spec["suspend"]) == (10, 10, False)
    assert run["backoffLimit"] == 1 and run["podReplacementPolicy"] == "Failed"
    assert run["activeDeadlineSeconds"] == CASES["crawler"].plan.time_limit_s and run["activeDeadlineSeconds"] > 0
    assert run["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("case", "ranges"),
    [
        ("collector-dual-stack", ["192.0.2.0/24", "2001:db8:0:1::/64"]),
        ("collector-ipv4", ["192.0.2.0/24"]),
        ("collector-ipv6-guaranteed", ["2001:db8:0:1::/64"]),
        ("coder", ["192.0.2.0/24", "2001:db8:0:1::/64"]),
        ("coder-open-ipv6", None),  # asked for by name, and by nobody else
    ],
)
def test_only_a_networks_own_addresses_may_connect_where_nothing_says_otherwise(
    case: str, ranges: list[str] | None
) -> None:
    (service,) = [one for one in manifests(CASES[case]) if one["kind"] == "Service"]
    assert service["spec"]["type"] == "LoadBalancer"
    assert service["spec"].get("loadBalancerSourceRanges") == ranges
    assert service["spec"]["allocateLoadBalancerNodePorts"] is False


def test_a_workload_that_names_no_network_is_open_to_that_of_its_address_alone() -> None:
    named = CASES["collector-dual-stack"]
    without = replace(named, workload=named.workload.model_copy(update={"network": None}))
    (service,) = [one for one in manifests(without) if one["kind"] == "Service"]
    assert service["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24", "2001:db8:0:1::/64"]


def test_asked_for_twice_it_runs_once_and_anew_it_runs_again() -> None:
    first = launch(TENANT, "transfer", TRANSFER)
    again = first.workload.model_copy(update={"asked": first.workload.asked.replace(minute=16)})
    assert names.run_name(first.workload) == names.run_name(launch(TENANT, "transfer", TRANSFER).workload)
    assert names.run_name(first.workload) != names.run_name(again)


def test_a_run_by_hand_is_the_schedules_own_job() -> None:
    live = {**top("crawler"), "metadata": {**top("crawler")["metadata"], "uid": "4711"}}
    job = run_now(live, CASES["crawler"], 1_795_000_000.5)
    assert job["spec"] == live["spec"]["jobTemplate"]["spec"]
    assert job["metadata"]["ownerReferences"][0]["uid"] == "4711"
    assert job["metadata"]["name"] == "news-m6afd86c0"
    assert job["metadata"]["namespace"] == "tenant-physics"
    admit(job, CASES["crawler"])


def test_options_that_no_object_can_hold_are_refused() -> None:
    long = {**CRAWL, "start_urls": [f"https://example.org/{'x' * 2000}{number}" for number in range(200)]}
    with pytest.raises(Refusal, match="KiB") as refused:
        manifests(launch(TENANT, "crawl", long))
    assert refused.value.reason == "options"


def test_what_a_cluster_cannot_do_is_refused_in_words() -> None:
    here = {"source": "shared:a", "destination": "data:b"}
    with pytest.raises(Refusal, match=r"source: .*no shared folder"):
        launch(TENANT, "transfer", here)
    lonely = tenant(networks=[{**DUAL, "loadbalancer": []}])
    with pytest.raises(Refusal, match="network lab-a has no LoadBalancer addresses"):
        launch(TENANT, "upload", UPLOAD, tenant=lonely)
    found = workload("physics-member", "own-app", COMMAND)
    with pytest.raises(Refusal, match="names no image"):
        launch_of(KINDS["app"], found, tenant(), SITE, (), {})


def test_the_profiles_image_comes_before_the_installations_own() -> None:
    assert CASES["app"].plan.image != IMAGES["app"]
    assert next(pods("app"))["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


def test_nothing_in_a_variable_or_command_is_expanded() -> None:
    url = "https://$(CODER_PG_CONNECTION_URL).example.org"
    made = launch(TENANT, "coder", {"database_secret": "db", "access_url": url})
    (container,) = next(filter(None, map(pod_of, manifests(made))))["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in container["env"]}
    assert told["CODER_ACCESS_URL"] == "https://$$(CODER_PG_CONNECTION_URL).example.org"


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "schedule"},
        {"mode": "keep"},
        {"mode": "pod", "home": "/root"},
        {"mode": "pod", "uid": 0},
    ],
)
def test_a_plan_that_could_not_work_is_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"schedule|serves|scratch|greater"):
        KubePlan.model_validate({"image": "x", "argv": ["true"], **wrong})
    with pytest.raises(ValueError, match="HTTP path"):
        Ready(file="/a", http="/b")
