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
TENANT = "k8s:io.cilium.k8s.namespace.labels.edge.kudpc.kyoto-u.ac.jp/tenant"


def policies(case: str) -> dict[str, dict[str, Any]]:
    return by_name(emit(addon_world("cilium", case)), "CiliumClusterwideNetworkPolicy")


def physics(tmp_path: Path, text: str, site: str = "addons: {cilium: true}") -> dict[str, Any]:
    world = world_of(tmp_path, site=site, physics=f"admins: [ada]\n{text}", history=HISTORY)
    return by_name(emit(world), "CiliumClusterwideNetworkPolicy")["tenant-physics"]


HISTORY = """admins: [ada]
workers: {nodes: [node-2]}
networks:
  - {name: archive, vlan: 102, interface: vlan102, gateway_nodes: [gw-1], subnets: [198.51.100.0/24]}
"""


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
    spec = policies("shared-gateways")["tenant-physics"]
    assert spec["ingressDeny"] == [{"fromEndpoints": [others]}]
    assert spec["egressDeny"][0] == {"toEndpoints": [others]}
    assert spec["endpointSelector"] == {"matchLabels": {TENANT: "physics"}}


@EVERY_CASE
def test_both_directions_are_closed_and_no_rule_is_empty(case: str) -> None:
    """A direction without a section stays open; a rule without a peer allows everybody, an empty list nobody."""
    assert policies(case)
    for spec in policies(case).values():
        assert {"ingress", "ingressDeny", "egress", "egressDeny"} <= set(spec)
        for rule in (rule for section in spec.values() if isinstance(section, list) for rule in section):
            assert any(key.startswith(("from", "to")) and key != "toPorts" for key in rule)
        assert all(_values(spec))


def _values(part: Any) -> Iterator[Any]:
    yield part
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from _values(each)


def test_only_who_has_loadbalancer_addresses_lets_the_outside_in() -> None:
    specs = policies("shared-gateways")
    assert specs["tenant-drama"]["ingress"][1:] == [{"fromEntities": ["host"]}]
    assert specs["tenant-physics"]["ingress"][1:] == [
        {"fromEntities": ["host", "remote-node"]},
        {"fromCIDR": ["192.0.2.0/24", "2001:db8:101::/64"]},
    ]


def denied(spec: dict[str, Any]) -> list[str]:
    found: list[str] = spec["egressDeny"][1]["toCIDR"]
    return found


def test_vlans_of_others_on_nodes_of_its_own_are_denied(tmp_path: Path) -> None:
    lab = "networks: [{name: lab, vlan: 101, interface: vlan101, gateway_nodes: [%s], subnets: [192.0.2.0/24]}]"
    named = "workers: {nodes: [node-1]}\n"
    assert "198.51.100.0/24" not in denied(physics(tmp_path / "1", named + lab % "gw-2"))
    assert "198.51.100.0/24" in denied(physics(tmp_path / "2", named + lab % "gw-1"))
    assert "198.51.100.0/24" in denied(physics(tmp_path / "3", "workers: {nodes: [gw-1], dedicated: false}"))
    assert "198.51.100.0/24" in denied(physics(tmp_path / "4", lab % "gw-2")), "any node may be a worker"
    assert "192.0.2.0/24" not in denied(physics(tmp_path / "5", lab % "gw-1")), "its own"


def test_metadata_is_denied_and_the_clusters_networks_are_not_allowed() -> None:
    spec = policies("shared-gateways")["tenant-physics"]
    assert {"169.254.0.0/16", "fd00:ec2::254/128"} <= set(denied(spec))
    four, six = spec["egress"][2]["toCIDRSet"]
    assert set(four["except"]) == {"169.254.0.0/16", "10.244.0.0/16", "10.96.0.0/16", "10.0.0.0/24"}
    assert {"fd00:10:244::/56", "fd00:10:96::/112"} <= set(six["except"])


def test_nodes_and_the_api_server_are_nowhere_allowed() -> None:
    for spec in policies("shared-gateways").values():
        assert not any("toEntities" in rule for rule in spec["egress"])
