"""tenanthub status on a real API server with the add-ons' real definitions; kubelets and add-ons are stood in for."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.cluster.client import Cluster
from config.cluster.status import read
from config.compile import compile_world
from config.load import load
from tests.cluster import onlooker
from tests.cluster.bed import Bed
from tests.cluster.kube import Kube, eventually
from tests.cluster.onlooker import Said
from tests.cluster.operator import Operator, state

ADDRESS = "192.0.2.10"
EGRESS = "192.0.2.200"


class Site:
    """Two tenants, applied, with a node each; every name is this test's own."""

    def __init__(self, kube: Kube, folder: Path, unique: str) -> None:
        self.kube, self.unique = kube, unique
        self.a, self.b = f"{unique}a", f"{unique}b"
        self.nodes = {tenant: f"{unique}-{tenant[-1]}1" for tenant in (self.a, self.b)}
        self.metallb = f"{unique}-metallb"
        self.operator = Operator(kube.bed.kubeconfig, folder, f"{unique}.example.org", self.metallb)
        self.cluster = self.operator.cluster

    def tenant(self, name: str, number: int) -> dict[str, Any]:
        network = {
            "name": "lab",
            "vlan": 100 + number,
            "interface": "vlan120",
            "gateway_nodes": [self.nodes[name]],
            "subnets": [f"192.0.{number}.0/24"],
            "loadbalancer": [f"192.0.{number}.10-192.0.{number}.19"],
            "egress": [f"192.0.{number}.200"],
        }
        return {"name": name, "admins": ["ada"], "workers": {"nodes": [self.nodes[name]]}, "networks": [network]}

    def raise_up(self) -> None:
        self.kube.must("create", "namespace", self.metallb)
        self.operator.declare(self.tenant(self.a, 2), self.tenant(self.b, 3))
        self.heartbeat()
        self.operator.apply()

    def heartbeat(self) -> None:
        for name in self.nodes.values():
            onlooker.ready_node(self.cluster, name)

    def status(self, *more: str) -> Said:
        return onlooker.status(self.operator.folder, self.kube.bed.kubeconfig, *more)

    def quiet(self) -> Said:
        """The status once the quota controller has counted and the admission policies are at work."""
        return eventually("a status without doubts", self._quiet)

    def _quiet(self) -> Said | None:
        self.heartbeat()
        said = self.status()
        counted = all(tenant["quota"] for tenant in said.report["tenants"])
        return said if counted and said.report["walls"]["state"] == "up" else None

    def egress_works(self, tenant: str, number: int) -> None:
        name, node, address = f"tenant-{tenant}.lab", self.nodes[tenant], f"192.0.{number}.200"
        root = "/apis/egressgateway.spidernet.io/v1beta1"
        eips = [{"ipv4": address, "policies": [{"name": name}]}]
        usage = {"ipv4Total": 1, "ipv4Free": 0, "ipv6Total": 0, "ipv6Free": 0}
        found = {"nodeList": [{"name": node, "status": "Ready", "eips": eips}], "ipUsage": usage}
        onlooker.put_status(self.cluster, f"{root}/egressgateways/{name}", found)
        policy = {"eip": {"ipv4": address}, "node": node}
        onlooker.put_status(self.cluster, f"{root}/egressclusterpolicies/{name}", policy)

    def take_down(self) -> None:
        for tenant in (self.a, self.b):  # no kubelet ends them
            self.kube.kubectl("delete", "pods", "--all", "--force", "--grace-period=0", f"--namespace=tenant-{tenant}")
        self.operator.declare()
        there = {place[2] for place in state(self.cluster, self.operator.keys)}
        gone = {name.removeprefix("tenant-").partition(".")[0] for name in there if name.startswith("tenant-")}
        self.operator.run("apply", "--yes", "--force-conflicts", *(f"--remove-tenant={name}" for name in gone))
        self.kube.kubectl("delete", "node", *self.nodes.values())
        of_site = f"{self.operator.domain}/declared-by"
        self.kube.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", "-l", of_site)


@pytest.fixture(params=["paper", "current"])
def site(
    control_plane: Callable[[str], Bed], request: pytest.FixtureRequest, unique: str, tmp_path: Path
) -> Iterator[Site]:
    found = Site(Kube(control_plane(request.param)), tmp_path / "world", unique)
    try:
        found.raise_up()
        yield found
    finally:
        found.take_down()


@pytest.fixture
def one(control_plane: Callable[[str], Bed], unique: str, tmp_path: Path) -> Iterator[Site]:
    """The same, with one version of the definitions: where they do not matter."""
    found = Site(Kube(control_plane("current")), tmp_path / "world", unique)
    try:
        found.raise_up()
        yield found
    finally:
        found.take_down()


def test_what_add_ons_and_kubelets_report(site: Site) -> None:
    room, node, other = f"tenant-{site.a}", site.nodes[site.a], site.nodes[site.b]
    bare = site.quiet()
    assert bare.code == 2
    assert [addon["name"] for addon in bare.report["addons"] if addon["declared"] and addon["installed"]] == [
        "capsule", "metallb", "egressgateway",
    ]  # fmt: skip
    assert bare.tenant(site.a)["objects"]["as_declared"] == bare.tenant(site.a)["objects"]["declared"] > 5
    assert bare.report["shared"]["as_declared"] == bare.report["shared"]["declared"] > 5
    assert all("egress" in text for text in bare.findings("wrong", site.a))

    site.egress_works(site.a, 2)
    site.egress_works(site.b, 3)
    domain = site.operator.domain
    onlooker.placed_pod(site.cluster, room, "ftp-0", node, {"app": "ftp", f"{domain}/egress-policy": "lab"})
    onlooker.service(site.cluster, room, "ftp", [ADDRESS], {"app": "ftp"})
    onlooker.announced(site.cluster, site.metallb, room, "ftp", node)
    said = site.quiet()
    assert said.code == 0, said.report
    tenant = said.tenant(site.a)
    (network,) = tenant["networks"]
    (use,) = network["loadbalancer"]["services"]
    assert (use["service"], use["addresses"]) == (f"{room}/ftp", [ADDRESS])
    assert [(word["node"], word["interfaces"]) for word in use["announced_by"]] == [(node, ["vlan120"])]
    assert network["loadbalancer"]["free"] == 9
    assert (network["egress"]["policy_node"], network["egress"]["policy_addresses"]) == (node, [EGRESS])
    assert network["egress"]["pods"] == 1
    assert tenant["workers"]["nodes"][0] == {
        "name": node, "exists": True, "ready": True, "cordoned": False, "labelled": True, "tainted": True, "pods": 1,
    }  # fmt: skip
    assert {use["resource"]: use["used"] for use in tenant["quota"]}["services.loadbalancers"] == "1"

    onlooker.placed_pod(site.cluster, room, "astray", other, {})
    loud = site.status(site.a)
    assert loud.findings("alarm", site.a) == [f"Pod {room}/astray runs on {other}, a worker of {site.b}"]
    assert [one["name"] for one in loud.report["tenants"]] == [site.a]


def test_what_is_not_as_declared(one: Site) -> None:
    room = f"tenant-{one.a}"
    one.quiet()
    path = f"/api/v1/namespaces/{room}/resourcequotas/tenanthub"
    one.cluster.request(
        "PATCH", path, body={"spec": {"hard": {"pods": "7"}}}, content_type="application/merge-patch+json"
    )
    one.cluster.delete(f"/apis/networking.k8s.io/v1/namespaces/{room}/networkpolicies/tenanthub-wall")
    node = {"metadata": {"labels": {f"{one.operator.domain}/node_{one.a}": None}}, "spec": {"taints": None}}
    one.cluster.request(
        "PATCH", f"/api/v1/nodes/{one.nodes[one.a]}", body=node, content_type="application/merge-patch+json"
    )
    onlooker.service(one.cluster, room, "web", [], {})
    said = one.status(one.a)
    objects = said.tenant(one.a)["objects"]
    assert objects["missing"] == [f"NetworkPolicy {room}/tenanthub-wall"]
    assert objects["drifted"] == [{"object": f"ResourceQuota {room}/tenanthub", "fields": ["spec.hard.pods"]}]
    (worker,) = said.tenant(one.a)["workers"]["nodes"]
    assert (worker["labelled"], worker["tainted"]) == (False, False)
    assert [wait["service"] for wait in said.tenant(one.a)["waiting"]] == [f"{room}/web"]
    assert said.code == 2

    one.operator.apply("--force-conflicts")
    again = one.status(one.a).tenant(one.a)
    assert (again["objects"]["missing"], again["objects"]["drifted"]) == ([], [])
    assert again["workers"]["nodes"][0]["labelled"] and again["workers"]["nodes"][0]["tainted"]


def test_our_label_taken_away_is_drift_and_not_absence(one: Site) -> None:
    room = f"tenant-{one.a}"
    one.kube.must("label", "resourcequota", "tenanthub", f"-n{room}", f"{one.operator.domain}/declared-by-")
    (drift,) = one.status(one.a).tenant(one.a)["objects"]["drifted"]
    assert drift["object"] == f"ResourceQuota {room}/tenanthub"
    assert drift["fields"] == [f"metadata.labels[{one.operator.domain}/declared-by]"]


def test_a_tenant_that_nobody_declares_any_more(one: Site) -> None:
    one.operator.declare(one.tenant(one.a, 2))
    said = one.status()
    assert f"Namespace tenant-{one.b}" in said.report["shared"]["surplus"]
    assert said.code == 2


def test_walls_that_are_down_are_an_alarm(one: Site) -> None:
    one.quiet()
    of_site = f"{one.operator.domain}/declared-by"
    one.kube.must("delete", "validatingadmissionpolicybinding", "-l", of_site)

    def down() -> Said | None:
        said = one.status()
        return said if said.report["walls"]["state"] == "down" else None

    said = eventually("walls that are down", down)
    states = {check["name"]: check["state"] for check in said.report["walls"]["checks"]}
    assert states["placement"] == "up", "that one is the admission plugins'"
    assert states["host network"] == "up", "and that one Pod Security's"
    assert {states[name] for name in ("node name", "address", "egress label")} == {"down"}
    assert states["NodePort"] == "unknown", "the quota refuses it still"
    assert said.code == 2 and any("is let in" in text for text in said.findings("alarm"))


def test_an_account_that_may_read_a_part_only(one: Site, tmp_path: Path) -> None:
    """`view` reads no nodes, no Roles, and creates nothing, not even as a dry run."""
    room = f"tenant-{one.a}"
    one.quiet()
    one.kube.must("create", "serviceaccount", "onlooker", f"-n{room}")
    name = f"{one.unique}-onlooker"
    one.kube.must("create", "clusterrolebinding", name, "--clusterrole=view", f"--serviceaccount={room}:onlooker")
    try:
        token = one.kube.must("create", "token", "onlooker", f"-n{room}").strip()
        settings = yaml.safe_load(one.kube.bed.kubeconfig.read_text())
        for user in settings["users"]:
            user["user"] = {"token": token}
        narrow = tmp_path / "narrow.yaml"
        narrow.touch(mode=0o600)
        narrow.write_text(yaml.safe_dump(settings))
        said = onlooker.status(one.operator.folder, narrow)
    finally:
        one.kube.kubectl("delete", "clusterrolebinding", name)
    notes = said.findings("note")
    assert any(text.startswith("roles cannot be read") for text in notes)
    assert any(text.startswith("nodes cannot be read") for text in notes)
    assert said.report["walls"]["state"] == "unknown"
    missing = {text for tenant in said.report["tenants"] for text in tenant["objects"]["missing"]}
    assert missing == set()
    assert not any("is not in the cluster" in text for text in said.findings("wrong", one.a))


def test_the_number_of_requests_does_not_grow_with_the_tenants(one: Site, tmp_path: Path) -> None:
    def count(folder: Path) -> int:
        world = load(folder)
        cluster, asked = Cluster.connect(one.kube.bed.kubeconfig), []
        pool = cluster.api.rest_client.pool_manager
        send = pool.request
        pool.request = lambda method, url, **more: asked.append(url) or send(method, url, **more)
        read(cluster, world, compile_world(world))
        return len(asked)

    one.quiet()
    few = count(one.operator.folder)
    more = [
        {"name": f"{one.unique}x{number}", "admins": ["ada"], "workers": {"dedicated": False}} for number in range(20)
    ]  # fmt: skip
    one.operator.declare(one.tenant(one.a, 2), one.tenant(one.b, 3), *more)
    one.operator.apply()
    assert count(one.operator.folder) == few < 50


def test_text_and_watch(one: Site) -> None:
    one.quiet()
    text = onlooker.run(one.operator.folder, one.kube.bed.kubeconfig).stdout
    assert all(len(line) <= 100 for line in text.splitlines())
    assert "walls     ✓ up" in text and "\x1b" not in text
    argv = onlooker.command(one.operator.folder, one.kube.bed.kubeconfig, one.a, "--watch", "0.1", "-o", "json")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout is not None
            rounds = [json.loads(watching.stdout.readline()) for _ in range(3)]
        finally:
            watching.terminate()
    assert [len(each["tenants"]) for each in rounds] == [1, 1, 1]
