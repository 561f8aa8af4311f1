"""The test bed by use: nodes, pods, logs, exec, both address families, several beds, and what a failed test shows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Mapping
from functools import partial
from ipaddress import IPv4Network, IPv6Network
from itertools import combinations, product
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster import traces
from tests.cluster.bed import Bed, BedError, cgroups, crds, down, limits, missing, processes, up
from tests.cluster.bed.binaries import BED, ensure
from tests.cluster.bed.images import TOOL, TOOL_PROGRAM
from tests.cluster.bed.names import NODES, SLOTS, bed_of, bridges, check_name
from tests.cluster.bed.needs import unbuilt
from tests.cluster.conftest import ControlPlane
from tests.cluster.kube import Kube, eventually
from tests.tiers import need

PORT = 8080
ROOT = Path(__file__).parents[2]


def pod(name: str, *args: str, node: str | None = None, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A pod of the test image; with a node's name it goes there past the scheduler."""
    container = {"name": "main", "image": TOOL, "imagePullPolicy": "Never", "args": list(args)}
    spec: dict[str, Any] = {"containers": [container], "terminationGracePeriodSeconds": 1}
    if node:
        spec["nodeName"] = node
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": dict(labels or {})}, "spec": spec}


@pytest.fixture
def namespace(kube: Kube, unique: str) -> str:
    kube.must("create", "namespace", unique)
    return unique


def run(kube: Kube, namespace: str, *pods: dict[str, Any]) -> None:
    for each in pods:
        each["metadata"]["namespace"] = namespace
    kube.apply(*pods)
    names = [each["metadata"]["name"] for each in pods]
    kube.must("wait", "pod", *names, "--namespace", namespace, "--for=condition=Ready", "--timeout=60s")


def ask(kube: Kube, namespace: str, pod_name: str, url: str) -> dict[str, Any]:
    """What a pod hears from a server of the test image."""
    text = kube.must("exec", pod_name, "--namespace", namespace, "--", TOOL_PROGRAM, "get", url)
    return dict(json.loads(text))


def test_three_nodes_with_networks_of_both_families(bed: Bed, kube: Kube) -> None:
    items = kube.get("nodes")["items"]
    assert {item["metadata"]["name"] for item in items} == {"n1", "n2", "n3"}
    for item in items:
        node = bed.node(item["metadata"]["name"])
        assert item["status"]["nodeInfo"]["kubeletVersion"] == "v1.36.3"
        assert item["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://2.")
        assert item["spec"]["podCIDRs"] == [str(each) for each in node.pods]
        addresses = {each["address"] for each in item["status"]["addresses"] if each["type"] == "InternalIP"}
        assert addresses == {str(node.ipv4), str(node.ipv6)}


def test_a_pod_runs_on_each_node_with_logs_and_exec(bed: Bed, kube: Kube, namespace: str) -> None:
    run(kube, namespace, *(pod(f"on-{node.name}", "lines", "1000", "0.1", node=node.name) for node in bed.nodes))
    for node in bed.nodes:
        where = ["--namespace", namespace, f"on-{node.name}"]
        eventually("three lines", partial(three_lines, kube, where))
        assert kube.must("exec", *where, "--", TOOL_PROGRAM, "cat", "/etc/hostname").strip() == f"on-{node.name}"


def three_lines(kube: Kube, where: list[str]) -> bool:
    return len(kube.must("logs", *where).splitlines()) >= 3


def test_the_scheduler_places_a_pod(kube: Kube, namespace: str) -> None:
    run(kube, namespace, pod("anywhere", "sleep"))
    assert kube.get("pod", "anywhere", "--namespace", namespace)["spec"]["nodeName"] in {"n1", "n2", "n3"}


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_pods_of_different_nodes_meet(kube: Kube, namespace: str, family: int) -> None:
    run(kube, namespace, pod("server", "http", str(PORT), node="n2"), pod("asks", "sleep", node="n1"))
    server, asks = (
        kube.get("pod", name, "--namespace", namespace)["status"]["podIPs"][family]["ip"] for name in ("server", "asks")
    )
    heard = ask(kube, namespace, "asks", f"http://{bracketed(server)}:{PORT}/")
    assert (heard["pod"], heard["client"]) == ("server", asks)  # no address is translated on the way


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("node", ["n1", "n2"], ids=["from another node", "from its own node"])
def test_a_service_is_reached(kube: Kube, namespace: str, family: int, node: str) -> None:
    labels = {"app": "web"}
    run(kube, namespace, pod("server", "http", str(PORT), node="n2", labels=labels), pod("asks", "sleep", node=node))
    service = {"selector": labels, "ipFamilyPolicy": "RequireDualStack", "ports": [{"port": 80, "targetPort": PORT}]}
    meta = {"name": "web", "namespace": namespace}
    kube.apply({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": service})
    address = kube.get("service", "web", "--namespace", namespace)["spec"]["clusterIPs"][family]
    command = ["exec", "asks", "--namespace", namespace, "--", TOOL_PROGRAM, "get", f"http://{bracketed(address)}/"]
    # kube-proxy follows the Service within moments, not at once
    heard = eventually("an answer", lambda: kube.kubectl(*command).stdout, patience_s=20)
    assert json.loads(heard)["pod"] == "server"


def bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def test_a_node_may_change_only_itself(bed: Bed, kube: Kube) -> None:
    way_in = bed.node_state("n1") / "kubelet.kubeconfig"
    refused = kube.kubectl("annotate", "node", "n2", "touched=by-n1", kubeconfig=way_in)
    assert refused.returncode != 0
    assert "forbidden" in refused.stderr


def test_pods_do_not_reach_etcd(bed: Bed, kube: Kube, namespace: str) -> None:
    run(kube, namespace, pod("asks", "sleep"))
    command = ["exec", "asks", "--namespace", namespace, "--", TOOL_PROGRAM, "tcp"]
    assert kube.kubectl(*command, str(bed.host[0]), "6443").returncode == 0
    for address in (bed.host[0], bed.loopback):
        assert kube.kubectl(*command, str(address), "2379").returncode != 0


def test_anyone_by_impersonation(kube: Kube, namespace: str) -> None:
    groups = ["tenanthub:physics"]
    kube.must(
        "create", "rolebinding", "members", "--namespace", namespace, "--clusterrole=view", f"--group={groups[0]}"
    )
    asked = ["auth", "can-i", "list", "pods", "--namespace"]
    assert kube.kubectl(*asked, namespace, as_user="taro", groups=groups).stdout.strip() == "yes"
    assert kube.kubectl(*asked, "kube-system", as_user="taro", groups=groups).stdout.strip() == "no"


def test_what_is_done_is_in_the_audit_log(bed: Bed, kube: Kube, namespace: str) -> None:
    kube.kubectl("get", "secrets", "--namespace", namespace, as_user="taro")
    rows = [json.loads(line) for line in (bed.logs / "audit.log").read_text(encoding="utf-8").splitlines()]
    [row] = [row for row in rows if row.get("objectRef", {}).get("namespace") == namespace and row["verb"] == "list"]
    assert (row["impersonatedUser"]["username"], row["responseStatus"]["code"]) == ("taro", 403)


def test_beds_side_by_side_have_nothing_in_common(control_plane: ControlPlane, unique: str) -> None:
    one, two = control_plane("none"), control_plane("paper")
    Kube(one).must("create", "namespace", unique)
    assert Kube(two).kubectl("get", "namespace", unique).returncode != 0
    assert "tenants.capsule.clastix.io" in Kube(two).must("get", "crds")
    assert "No resources" in Kube(one).kubectl("get", "crds").stderr


def test_up_on_a_bed_that_is_up_says_so(control_plane: ControlPlane) -> None:
    there, said = control_plane("none"), list[str]()
    before = processes.pid_of(there, "kube-apiserver")
    again = up(there.name, 0, "none", said.append)
    assert said == [f"{there.name} is up already"]
    assert (again.slot, processes.pid_of(again, "kube-apiserver")) == (there.slot, before)


def test_stand_ins_take_every_field(
    control_plane: ControlPlane, unique: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    control_plane("none")  # says what this machine lacks
    said = list[str]()
    monkeypatch.setattr(crds, "REPOSITORY", tmp_path / "clone")
    monkeypatch.delenv("TENANTHUB_CRDS", raising=False)
    try:
        kube = Kube(up(unique, 0, "current", said.append, own=True))
        assert any("stand-ins that take every field" in line for line in said)
        meta = {"name": unique, "namespace": "default"}
        kube.apply({"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": meta, "spec": {"new": 1}})
        assert kube.get("ipaddresspools.metallb.io", unique)["spec"] == {"new": 1}
    finally:
        down(unique, said.append)


def test_stand_ins_are_of_the_same_kinds_as_the_real_definitions() -> None:
    """Against all of them where they are at hand, else against MetalLB's own, which come with its source."""

    def kinds(items: list[dict[str, Any]]) -> set[tuple[str, ...]]:
        return {
            (spec["group"], spec["names"]["kind"], spec["names"]["plural"], spec["scope"], version["name"])
            for spec in (item["spec"] for item in items)
            for version in spec["versions"]
            if version["storage"]
        }

    def read(folder: Path) -> set[tuple[str, ...]]:
        return kinds([yaml.safe_load(file.read_text(encoding="utf-8")) for file in folder.glob("*.yaml")])

    reasons = unbuilt(BED)
    need("cluster", not reasons, "; ".join(reasons))
    ours, every = kinds(crds.stand_ins()), crds.folder("current")
    metallb = {kind for kind in ours if kind[0] == "metallb.io"}
    assert len(metallb) == 3
    assert metallb <= read(ensure(lambda _: None, BED).metallb_crds)
    if every is not None:
        assert ours == read(every)


def test_a_folder_of_definitions_without_the_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BedError, match="there is no folder paper in it"):
        crds.folder("paper", {"TENANTHUB_CRDS": str(tmp_path)})


def networks(bed: Bed) -> list[IPv4Network | IPv6Network]:
    return [*bed.room, *bed.pods, *bed.services]


def clash(one: IPv4Network | IPv6Network, two: IPv4Network | IPv6Network) -> bool:
    return one.version == two.version and one.overlaps(two)


def test_slots_share_no_network_and_no_device() -> None:
    beds = [bed_of("bed", slot) for slot in SLOTS]
    for one, two in combinations(beds, 2):
        assert not [pair for pair in product(networks(one), networks(two)) if clash(*pair)]
        assert not set(bridges(one.slot)) & set(bridges(two.slot))
    for bed in beds:
        assert not [pair for pair in combinations(networks(bed), 2) if clash(*pair)]
        assert len(bed.nodes) == NODES
        assert all(node.ipv4 in bed.room[0] and node.ipv6 in bed.room[1] for node in bed.nodes)


def test_control_groups_of_either_version_are_found() -> None:
    old = "30 25 0:26 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n"
    new = "31 25 0:27 / /sys/fs/cgroup rw,relatime shared:8 - cgroup2 cgroup2 rw,nsdelegate\n"
    other = "32 25 0:28 / /tmp rw - tmpfs tmpfs rw\n"
    found = {each.place: each for each in cgroups.hierarchies(old + new + other)}
    assert {place: each.version for place, each in found.items()} == {
        Path("/sys/fs/cgroup/memory"): 1,
        Path("/sys/fs/cgroup"): 2,
    }
    assert "memory" in found[Path("/sys/fs/cgroup/memory")].options


def test_limits_are_lifted_and_put_back(tmp_path: Path) -> None:
    [name] = limits.WANTED
    setting = tmp_path / name
    setting.parent.mkdir(parents=True)
    setting.write_text("128\n")
    limits.lift(tmp_path, tmp_path)
    limits.lift(tmp_path, tmp_path)  # a second bed
    assert int(setting.read_text()) == limits.WANTED[name]
    limits.put_back(tmp_path, tmp_path)
    assert int(setting.read_text()) == 128
    limits.lift(tmp_path, tmp_path)
    setting.write_text("9000")  # by the machine's administrator
    limits.put_back(tmp_path, tmp_path)
    assert int(setting.read_text()) == 9000


@pytest.mark.parametrize("name", ["", "Bed", "a-b", "ninechars", "../x"])
def test_names_that_no_bed_can_have(name: str) -> None:
    with pytest.raises(BedError, match="1 to 8 characters"):
        check_name(name)


def test_what_a_machine_lacks_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == ["a test bed needs root (network namespaces, mounts)"]
    monkeypatch.undo()
    monkeypatch.setenv("PATH", "/nonexistent")
    monkeypatch.setattr("tests.cluster.bed.needs.GO", Path("/nonexistent/go"))
    assert any(line.startswith("Go is not") for line in missing(built=False))
    assert not any(line.startswith("Go is not") for line in missing(built=True))


def test_a_failed_test_shows_events_and_logs(bed: Bed, kube: Kube, namespace: str) -> None:
    run(kube, namespace, pod("talks", "lines", "1000", "0.01"))
    eventually("its lines", lambda: kube.must("logs", "talks", "--namespace", namespace))
    shown = dict(traces.sections(bed, namespace))
    assert "Started" in shown[f"events in {namespace} of bed {bed.name}"]
    assert [text for title, text in shown.items() if title.startswith(f"pod {namespace}/talks: Running on n") and text]
    assert "kube-apiserver:" in shown[f"logs of bed {bed.name} ({bed.logs})"]


def test_a_report_has_them(bed: Bed, tmp_path: Path) -> None:
    """A whole run of pytest with a test that fails, on the bed that is up."""
    (tmp_path / "tests" / "cluster").mkdir(parents=True)
    (tmp_path / "tests" / "cluster" / "test_fails.py").write_text(
        textwrap.dedent(
            """
            def test_fails(kube, unique):
                kube.must("create", "namespace", unique)
                kube.must("run", "doomed", "--namespace", unique, "--image=tenanthub.test/none:1")
                assert False, "as meant"
            """
        )
    )
    environ = {**os.environ, "TENANTHUB_BED_NAME": bed.name, "PYTHONPATH": str(ROOT)}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.cluster.conftest",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
    assert "as meant" in done.stdout
    assert "/doomed: Pending" in done.stdout
    assert f"logs of bed {bed.name}" in done.stdout
