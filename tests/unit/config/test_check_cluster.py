"""What a world must say before anything is made of it for a cluster, and what is only doubtful."""

from __future__ import annotations

from typing import Any

import pytest

from config.check.cluster import doubts, ready_for_cluster
from config.load import load_sources
from tests.unit.config.emit.small import CLUSTER, lab, small
from tests.unit.config.test_compile import CASES, DATA

ADDONS = {"metallb": True, "egressgateway": True}
GATEWAY = {"gateway_nodes": ["g"], "interface": "eth1"}


def _errors(*tenants: dict[str, Any], **site: Any) -> list[tuple[str, str]]:
    return [(one.field, one.message) for one in ready_for_cluster(small(*tenants, site=site))]


def _doubts(*tenants: dict[str, Any], **site: Any) -> list[tuple[str, str]]:
    return [(one.field, one.message) for one in doubts(small(*tenants, site=site))]


@pytest.mark.parametrize("case", CASES)
def test_golden_worlds_are_fit(case: str) -> None:
    assert ready_for_cluster(*load_sources(DATA / case)) == []


@pytest.mark.parametrize("field", ["pods", "services", "nodes"])
def test_a_wall_needs_the_clusters_ranges(field: str) -> None:
    ((where, said),) = _errors(cluster={**CLUSTER, field: []})
    assert where == f"cluster.{field}"
    assert "are not declared" in said


def test_ranges_of_nodes_are_needed_for_each_family_that_pods_speak() -> None:
    assert _errors(cluster={**CLUSTER, "nodes": ["192.0.2.0/24"]}) == [
        ("cluster.nodes", "Pods have IPv6 addresses, but no IPv6 range of the nodes is declared")
    ]


@pytest.mark.parametrize(("field", "ranges"), [("loadbalancer", "services"), ("egress", "pods")])
def test_addresses_of_a_family_that_the_cluster_does_not_speak(field: str, ranges: str) -> None:
    six = {"name": "six", "subnets": ["2001:db8::/64"], field: ["2001:db8::9"], **GATEWAY}
    cluster = {name: values[:1] for name, values in CLUSTER.items()} | {"laboratories": CLUSTER["laboratories"]}
    assert _errors({"name": "physics", "networks": [six]}, cluster=cluster) == [
        (
            f"networks[0].{field}[0]",
            f"2001:db8::9 is IPv6, but site.yaml declares no IPv6 range of the cluster's {ranges}",
        )
    ]
    assert _errors({"name": "physics", "networks": [six]}) == []


@pytest.mark.parametrize(("field", "addon"), [("loadbalancer", "metallb"), ("egress", "egressgateway")])
def test_addresses_that_no_node_answers_for(field: str, addon: str) -> None:
    tenant = {"name": "physics", "networks": [lab() | {field: ["203.0.113.9"]}]}
    ((where, said),) = _errors(tenant, addons={addon: True})
    assert where == f"networks[0].{field}"
    assert "no gateway_nodes" in said
    assert _errors(tenant) == [], "without the add-on nobody would answer anyway"


def test_a_network_that_is_the_nodes_own_is_closed_for_tenants() -> None:
    tenant = {"name": "physics", "networks": [lab()]}
    assert [
        where for where, _ in _errors(tenant, cluster={**CLUSTER, "nodes": ["203.0.112.0/22", "fd00:192::/64"]})
    ] == ["networks[0].subnets[0]"]
    assert _errors(tenant, cluster={**CLUSTER, "nodes": ["203.0.113.0/28", "fd00:192::/64"]}) == []


def test_a_network_outside_of_the_laboratories_would_be_open_to_other_tenants() -> None:
    """The wall is made of the ranges; Cilium's is made of the networks themselves."""
    tenant = {"name": "physics", "networks": [{"name": "far", "subnets": ["10.9.8.0/24", "2001:db8:9::/64"]}]}
    ((where, said),) = _errors(tenant)
    assert where == "networks[0].subnets[0]"
    assert "none of site.yaml's cluster.laboratories" in said
    assert _errors(tenant, addons={"cilium": True}) == []
    assert _errors(tenant, cluster={**CLUSTER, "laboratories": ["10.0.0.0/8", "2001:db8::/32"]}) == []


@pytest.mark.parametrize("key", ["a,b", "a=b", "", "-a", "a/b/c", "A.example.org/x", "x" * 64, "pool "])
def test_selectors_whose_key_is_none(key: str) -> None:
    ((_, said),) = _errors({"name": "physics", "workers": {"selector": {key: "x"}}})
    assert "is not the key of a label" in said


@pytest.mark.parametrize("key", ["pool", "kubernetes.io/hostname", "a.b/Zone_1.x", "x" * 63])
def test_selectors_whose_key_is_right(key: str) -> None:
    assert _errors({"name": "physics", "workers": {"selector": {key: "x"}}}) == []


@pytest.mark.parametrize("site", [{"hub_namespace": "tenant-physics"}, {"ingress_namespaces": ["tenant-physics"]}])
def test_a_tenants_namespace_is_not_one_that_every_wall_lets_through(site: dict[str, Any]) -> None:
    ((where, said),) = _errors({"name": "physics"}, cluster={**CLUSTER, **site})
    assert where.startswith("cluster.")
    assert said == "`tenant-physics` is the namespace of tenant `physics`"


@pytest.mark.parametrize(
    ("workers", "told"),
    [
        ({}, False),
        ({"nodes": ["a"], "dedicated": True}, False),
        ({"selector": {"pool": "x"}, "dedicated": False}, False),
        ({"selector": {"pool": "x"}}, True),
        ({"dedicated": True}, True),
    ],
)
def test_dedicated_without_names_of_nodes_is_said(workers: dict[str, Any], told: bool) -> None:
    assert [where for where, _ in _doubts({"name": "physics", "workers": workers})] == ["workers.dedicated"] * told


def test_an_add_on_that_is_not_there_is_said_once_and_not_by_each_tenant() -> None:
    tenants = [
        {"name": f"t{n}", "networks": [lab(loadbalancer=["203.0.113.9"], egress=["203.0.113.8"]) | GATEWAY]}
        for n in range(5)
    ]
    assert _doubts(*tenants) == [
        (
            "addons.metallb",
            "without metallb nothing announces what is declared: the LoadBalancer addresses of t0, t1, t2 and 2 more",
        ),
        (
            "addons.egressgateway",
            "without egressgateway nothing leaves from what is declared: the egress addresses of t0, t1, t2 and 2 more",
        ),
    ]
    assert _doubts(*tenants, addons=ADDONS) == []


def test_announcing_on_every_interface_is_said() -> None:
    tenant = {"name": "physics", "networks": [lab(loadbalancer=["203.0.113.9"], gateway_nodes=["g"])]}
    assert [where for where, _ in _doubts(tenant, addons=ADDONS)] == ["networks[0]"]
