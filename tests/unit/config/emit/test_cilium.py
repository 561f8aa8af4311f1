"""The wall's shape. What Cilium makes of it is asked of Cilium itself: tests/cluster/test_cilium_policy.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from config.emit.cilium import emit
from tests.unit.config.emit.addon_worlds import addon_cases, addon_world, by_name, golden_test, world_of

test_golden = golden_test("cilium", emit)
EVERY_CASE = pytest.mark.parametrize("case", addon_cases("cilium"))
KIND = "CiliumClusterwideNetworkPolicy"
WORLD = "world.edge.kudpc.kyoto-u.ac.jp"
API_SERVER = "tenant-physics.api-server"
TENANT = "k8s:io.cilium.k8s.namespace.labels.edge.kudpc.kyoto-u.ac.jp/tenant"


def policies(case: str) -> dict[str, dict[str, Any]]:
    return by_name(emit(addon_world("cilium", case)), KIND)


def test_nothing_without_the_addon(tmp_path: Path) -> None:
    assert list(emit(world_of(tmp_path, site="title: none", physics="admins: [ada]"))) == []


def test_others_are_who_has_the_label_with_another_value() -> None:
    """Both expressions in one selector, where they hold together: NotIn alone would hit the hub and DNS."""
    others = {
        "matchExpressions": [
            {"key": TENANT, "operator": "Exists"},
            {"key": TENANT, "operator": "NotIn", "values": ["physics"]},
        ]
    }
    spec = policies("dual-stack")["tenant-physics"]
    assert spec["ingressDeny"] == [{"fromEndpoints": [others]}]
    assert spec["egressDeny"] == [{"toEndpoints": [others]}]
    assert spec["endpointSelector"] == {"matchLabels": {TENANT: "physics"}}


@EVERY_CASE
def test_both_directions_are_closed_and_no_rule_is_empty(case: str) -> None:
    """A direction without a section stays open; a rule without a peer allows everybody, an empty list nobody."""
    assert policies(case)
    for name, spec in policies(case).items():
        both = {"ingress", "ingressDeny", "egress", "egressDeny"}
        if name != API_SERVER:  # which only opens; the tenant's own closes
            assert (both if name.startswith("tenant-") else {"egress", "egressDeny"}) <= set(spec)
        for rule in (rule for section in spec.values() if isinstance(section, list) for rule in section):
            assert any(key.startswith(("from", "to")) and key != "toPorts" for key in rule)
        assert all(_values(spec))


def _values(part: Any) -> Iterator[Any]:
    yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _values(each)


def test_only_who_has_loadbalancer_addresses_lets_the_outside_in() -> None:
    specs = policies("dual-stack")
    assert specs["tenant-drama"]["ingress"][1:] == [{"fromEntities": ["host"]}]
    assert specs["tenant-physics"]["ingress"][1:] == [
        {"fromEntities": ["host", "remote-node"]},
        {"fromCIDR": ["192.0.2.0/24", "2001:db8:101::/64"]},
    ]


def test_each_tenants_networks_are_its_own() -> None:
    """None of them is part of the world; each tenant's policy lets its own back in. So no policy lists all others'."""
    specs = policies("dual-stack")
    four, six = specs[WORLD]["egress"][0]["toCIDRSet"]
    closed = {*four["except"], *six["except"]}
    for name in ("physics", "history"):
        own = {cidr for rule in specs[f"tenant-{name}"]["egress"] for cidr in rule.get("toCIDR", ())}
        assert own == {
            str(subnet)
            for network in addon_world("cilium", "dual-stack").tenants[name].networks
            for subnet in network.subnets
        }
        assert own <= closed
    assert not any("toCIDR" in rule for rule in specs["tenant-drama"]["egress"])


def test_metadata_is_denied_and_the_clusters_networks_are_not_allowed() -> None:
    spec = policies("dual-stack")[WORLD]
    assert spec["endpointSelector"] == {"matchExpressions": [{"key": TENANT, "operator": "Exists"}]}
    assert {"169.254.0.0/16", "fd00:ec2::254/128"} <= set(spec["egressDeny"][0]["toCIDR"])
    four, six = spec["egress"][0]["toCIDRSet"]
    assert {"169.254.0.0/16", "10.244.0.0/16", "10.96.0.0/16", "10.0.0.0/24"} <= set(four["except"])
    assert {"fd00:10:244::/56", "fd00:10:96::/112"} <= set(six["except"])


def test_nodes_and_the_api_server_are_nowhere_allowed() -> None:
    for name, spec in policies("dual-stack").items():
        assert name == API_SERVER or not any("toEntities" in rule for rule in spec["egress"])


def test_the_api_server_is_open_to_the_pods_of_a_kind_that_needs_it_and_in_a_tenant_that_may_launch_one() -> None:
    assert [name for name in policies("dual-stack") if name.endswith("api-server")] == [API_SERVER]
    chosen = policies("dual-stack")[API_SERVER]["endpointSelector"]
    assert chosen["matchLabels"] == {TENANT: "physics"}
    kind = {"key": "k8s:edge.kudpc.kyoto-u.ac.jp/kind", "operator": "In", "values": ["coder"]}
    assert chosen["matchExpressions"] == [kind]


def test_a_namespace_that_is_two_things_is_named_once(tmp_path: Path) -> None:
    site = "addons: {cilium: true}\ncluster: {hub_namespace: hub, ingress_namespaces: [hub]}"
    spec = by_name(emit(world_of(tmp_path, site=site, physics="admins: [ada]")), KIND)["tenant-physics"]
    assert len(spec["ingress"][0]["fromEndpoints"]) == 2
