"""Node labels and taints."""

from __future__ import annotations

from typing import Any

from config.emit import workers
from tests.unit.config.emit.small import DOMAIN, lab, small


def _labels(*tenants: dict[str, Any]) -> dict[str, set[str]]:
    found = list(workers.emit(small(*tenants)))
    assert [one["metadata"]["name"] for one in found] == sorted({one["metadata"]["name"] for one in found})
    for one in found:
        assert set(one["metadata"]["labels"].values()) <= {"true"}
    return {
        one["metadata"]["name"]: {name.removeprefix(f"{DOMAIN}/") for name in one["metadata"]["labels"]}
        for one in found
    }


def _taints(*tenants: dict[str, Any]) -> dict[str, list[dict[str, str]]]:
    return {one["metadata"]["name"]: one["spec"]["taints"] for one in workers.emit(small(*tenants)) if "spec" in one}


def test_workers_are_labelled_and_dedicated_ones_tainted() -> None:
    physics = {"name": "physics", "workers": {"nodes": ["a", "b"]}}
    history = {"name": "history", "workers": {"nodes": ["c"], "dedicated": False}}
    assert _labels(physics, history) == {"a": {"node_physics"}, "b": {"node_physics"}, "c": {"node_history"}}
    taint = {"key": f"{DOMAIN}/tenant", "value": "physics", "effect": "NoSchedule"}
    assert _taints(physics, history) == {"a": [taint], "b": [taint]}


def test_a_node_of_several_tenants_is_one_manifest() -> None:
    shared = [{"name": name, "workers": {"nodes": ["a"], "dedicated": False}} for name in ("physics", "history")]
    assert _labels(*shared) == {"a": {"node_physics", "node_history"}}
    assert _taints(*shared) == {}


def test_what_the_site_labels_itself_is_left_alone() -> None:
    assert _labels({"name": "physics", "workers": {"selector": {"pool": "x"}}}) == {}


def test_gateway_nodes_are_labelled_for_what_their_network_has() -> None:
    lb = lab("a", gateway_nodes=["g1"], loadbalancer=["203.0.113.9"])
    eg = {"name": "b", "subnets": ["198.51.100.0/24"], "gateway_nodes": ["g2"], "egress": ["198.51.100.9"]}
    idle = {"name": "c", "subnets": ["192.0.2.0/24"], "gateway_nodes": ["g3"]}
    assert _labels({"name": "physics", "networks": [lb, eg, idle]}) == {"g1": {"lb_physics"}, "g2": {"eg_physics"}}


def test_networks_with_fewer_gateway_nodes_have_a_label_of_their_own() -> None:
    """Selectors of such a network ask for both labels, so that nobody announces for a VLAN that it is not in."""
    networks = [
        lab("a", gateway_nodes=["g1", "g2"], loadbalancer=["203.0.113.9"]),
        {"name": "b", "subnets": ["198.51.100.0/24"], "gateway_nodes": ["g2"], "loadbalancer": ["198.51.100.9"]},
    ]
    assert _labels({"name": "physics", "networks": networks}) == {
        "g1": {"lb_physics"},
        "g2": {"lb_physics", "lb_physics_b"},
    }


def test_a_gateway_may_be_a_worker_too() -> None:
    tenant = {
        "name": "physics",
        "workers": {"nodes": ["a"]},
        "networks": [lab(gateway_nodes=["a"], loadbalancer=["203.0.113.9"])],
    }
    assert _labels(tenant) == {"a": {"node_physics", "lb_physics"}}
    assert list(_taints(tenant)) == ["a"]
