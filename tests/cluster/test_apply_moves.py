"""Addresses that move between tenants, and applies that end between any two requests."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from config.cluster.apply import Settings, carry_out
from config.cluster.client import Cluster
from config.cluster.planning import plan_for
from config.emit.common import Manifest
from config.names import Keys, namespace
from config.order import key
from config.plan.decide import Options
from tests.cluster.bed import Bed
from tests.cluster.fake_metallb_webhook import no_overlaps
from tests.cluster.kube import Kube
from tests.cluster.operator import state
from tests.unit.config.plan.objects import tenant_objects

OPTIONS = Options()


class Killed(Exception):
    """In place of SIGKILL: nothing is sent any more."""


class Mortal(Cluster):
    """Sends so many writes, then never anything again; counts them."""

    writes = 0
    most: int | None = None
    lock = threading.Lock()

    def request(self, method: str, path: str, **more: Any) -> Any:
        query = more.get("query") or {}
        if method != "GET" and "dryRun" not in query:
            with self.lock:
                if self.most is not None and self.writes >= self.most:
                    raise Killed
                self.writes += 1
        return super().request(method, path, **more)


class Site:
    """Two states of a small world, and the cluster that they alternate in."""

    def __init__(self, bed: Bed, unique: str) -> None:
        self.kubeconfig = bed.kubeconfig
        self.unique = unique
        self.keys = Keys(f"{unique}.example.org")
        self.metallb = f"{unique}-metallb"
        self.nodes = [f"{unique}-n{number}" for number in (1, 2)]

    def tenant(self, name: str, lb: Sequence[str], egress: str | None, node: int, pods: str = "20") -> list[Manifest]:
        return tenant_objects(
            f"{self.unique}{name}",
            domain=self.keys.domain,
            lb=lb,
            egress=egress,
            pods=pods,
            metallb=self.metallb,
            nodes=[self.nodes[node]],
        )

    def to(self, wanted: Sequence[Manifest], most: int | None = None) -> int:
        """Plan and apply, ended after *most* writes; how many there were."""
        cluster = Mortal(Cluster.connect(self.kubeconfig).api)
        cluster.most = most
        found = plan_for(cluster, wanted, self.keys, OPTIONS)
        assert not found.problems
        try:
            carry_out(cluster, found, Settings(self.keys))
        except Killed:
            assert cluster.writes == most
        return cluster.writes


@pytest.fixture
def site(control_plane: Callable[[str], Bed], unique: str) -> Iterator[Site]:
    bed = control_plane("current")
    kube, found = Kube(bed), Site(bed, unique)
    cluster = Cluster.connect(bed.kubeconfig)
    assert kube.kubectl("create", "namespace", found.metallb).returncode == 0
    for name in found.nodes:
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}
        assert kube.kubectl("create", "-f", "-", input=json.dumps(node)).returncode == 0
    yield found
    found.to([])
    for name in found.nodes:
        cluster.delete(f"/api/v1/nodes/{name}")
    assert state(cluster, found.keys) == {}


def test_two_tenants_exchange_addresses_though_overlaps_are_refused(site: Site, tmp_path: Path) -> None:
    cluster = Cluster.connect(site.kubeconfig)
    one = [*site.tenant("a", ["10.0.0.10-10.0.0.19"], None, 0), *site.tenant("b", ["10.0.0.20-10.0.0.29"], None, 1)]
    two = [*site.tenant("a", ["10.0.0.20-10.0.0.29"], None, 0), *site.tenant("b", ["10.0.0.10-10.0.0.19"], None, 1)]
    # a gives a few to b
    three = [*site.tenant("a", ["10.0.0.25-10.0.0.29"], None, 0), *site.tenant("b", ["10.0.0.10-10.0.0.24"], None, 1)]
    with no_overlaps(cluster, site.metallb, tmp_path) as refused:
        for wanted in (one, two, three, one):
            wanted.sort(key=key)
            site.to(wanted)
            assert not plan_for(cluster, wanted, site.keys, OPTIONS).changes
        assert refused == []
        # The rule is in force: without the order above it would have said no.
        path = f"/apis/metallb.io/v1beta1/namespaces/{site.metallb}/ipaddresspools"
        body = {"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": {"name": "x"}}
        with pytest.raises(Exception, match="overlaps"):
            cluster.request("POST", path, body={**body, "spec": {"addresses": ["10.0.0.12/32"]}})


@pytest.mark.parametrize("offset", range(4))
def test_ended_after_any_write_and_run_again_it_ends_the_same(site: Site, offset: int) -> None:
    cluster = Cluster.connect(site.kubeconfig)
    one = [
        *site.tenant("a", ["10.0.0.10-10.0.0.19"], "10.0.0.100", 0),
        *site.tenant("b", ["10.0.0.20-10.0.0.29"], "10.0.0.101", 1),
    ]
    # addresses, policies, quota and nodes change; b has no more egress
    two = [
        *site.tenant("a", ["10.0.0.15-10.0.0.24"], "10.0.0.101", 1, pods="30"),
        *site.tenant("b", ["10.0.0.10-10.0.0.14"], None, 0),
    ]
    for wanted in (one, two):
        wanted.sort(key=key)
    site.to(one)
    first = state(cluster, site.keys)
    there = site.to(two)
    second = state(cluster, site.keys)
    back = site.to(one)
    assert state(cluster, site.keys) == first
    for most in range(offset, max(there, back), 4):
        for wanted, ended in ((two, second), (one, first)):
            site.to(wanted, most)
            site.to(wanted)
            assert state(cluster, site.keys) == ended, most
            assert not plan_for(cluster, wanted, site.keys, OPTIONS).changes


def test_a_namespace_that_is_still_ending_is_waited_for(site: Site) -> None:
    cluster = Cluster.connect(site.kubeconfig)
    wanted = sorted(site.tenant("a", ["10.0.0.10"], None, 0), key=key)
    site.to(wanted)
    space = f"/api/v1/namespaces/{namespace(site.unique + 'a')}"
    held = f"{space}/configmaps/held"
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "held", "finalizers": ["example.org/wait"]}}
    cluster.request("POST", f"{space}/configmaps", body=body)
    cluster.delete(space)
    said: list[str] = []

    def told(_done: int, _all: int, words: str) -> None:
        said.append(words)
        if words.startswith("waiting for"):  # only when the operator has been told is it let go
            cluster.merge(held, {"metadata": {"finalizers": None}})

    found = plan_for(cluster, wanted, site.keys, OPTIONS)
    carry_out(cluster, found, Settings(site.keys, progress=told))
    assert any(words.startswith(f"waiting for Namespace {namespace(site.unique + 'a')} to end") for words in said)
    assert not plan_for(cluster, wanted, site.keys, OPTIONS).changes
