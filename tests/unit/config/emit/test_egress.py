"""egressgateway's objects, against the rules of its webhooks."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from config.emit import workers
from config.emit.common import Manifest
from config.emit.egress import POOL, emit
from config.order import kind_of
from tests.unit.config.emit.addon_worlds import addon_cases, addon_world, by_name, golden_test, world_of

test_golden = golden_test("egress", emit)
EVERY_CASE = pytest.mark.parametrize("case", addon_cases("egress"))
SITE = "addons: {egressgateway: true}"


def gateways(objects: list[Manifest]) -> dict[str, dict[str, Any]]:
    return by_name(objects, "EgressGateway")


def policies(objects: list[Manifest]) -> dict[str, dict[str, Any]]:
    return by_name(objects, "EgressClusterPolicy")


def lab(tmp_path: Path, egress: str, gateway_nodes: str = "gw-1") -> list[Manifest]:
    network = f"""admins: [ada]
networks:
  - name: lab
    vlan: 101
    interface: vlan101
    gateway_nodes: [{gateway_nodes}]
    subnets: [192.0.2.0/24, "2001:db8:1::/64"]
    egress: [{egress}]
"""
    return list(emit(world_of(tmp_path, site=SITE, physics=network)))


def expand(ranges: list[str]) -> list[Any]:
    """Every address, one by one, as pkg/utils/ip does."""
    found = []
    for text in ranges:
        first, _, last = text.partition("-")
        found += [
            type(ip_address(first))(number)
            for number in range(int(ip_address(first)), int(ip_address(last or first)) + 1)
        ]
    return found


def test_nothing_without_the_addon(tmp_path: Path) -> None:
    network = "networks: [{name: lab, gateway_nodes: [gw], subnets: [192.0.2.0/24], egress: [192.0.2.10]}]"
    assert list(emit(world_of(tmp_path, site="title: none", physics=f"admins: [ada]\n{network}"))) == []


def test_no_gateway_where_no_node_is_in_the_network(tmp_path: Path) -> None:
    network = "networks: [{name: lab, subnets: [192.0.2.0/24], egress: [192.0.2.10]}]"
    assert list(emit(world_of(tmp_path, site=SITE, physics=f"admins: [ada]\n{network}"))) == []


@EVERY_CASE
def test_what_the_webhooks_ask_for(case: str) -> None:
    objects = list(emit(addon_world("egress", case)))
    assert gateways(objects)
    assert gateways(objects).keys() == policies(objects).keys()
    for name, gateway in gateways(objects).items():
        pool, policy = gateway["ippools"], policies(objects)[name]
        four, six = expand(pool.get("ipv4", [])), expand(pool.get("ipv6", []))
        assert len(four) == len(six) or not (four and six), "The number of ipv4 and ipv6 is not equal"
        assert max(len(four), len(six)) <= POOL
        assert gateway["nodeSelector"]["selector"]["matchLabels"]
        assert policy["appliedTo"]["podSelector"]["matchLabels"], "podSelector must not be empty"
        assert policy["egressGatewayName"] == name
        for family, addresses in (("ipv4", four), ("ipv6", six)):
            assert policy["egressIP"].get(family) == pool.get(f"{family}DefaultEIP"), "they can only be used together"
            assert (family in policy["egressIP"]) == bool(addresses)
            assert not addresses or ip_address(policy["egressIP"][family]) == addresses[0]


def test_pairs_where_the_families_differ_in_number(tmp_path: Path) -> None:
    (spec,) = gateways(
        lab(tmp_path, '192.0.2.10-192.0.2.19, "2001:db8:1::10-2001:db8:1::11", "2001:db8:1::20"')
    ).values()
    assert spec["ippools"]["ipv4"] == ["192.0.2.10-192.0.2.12"]
    assert spec["ippools"]["ipv6"] == ["2001:db8:1::10-2001:db8:1::11", "2001:db8:1::20"]


def test_a_policy_is_of_its_network_in_its_tenant_only() -> None:
    for name, spec in policies(list(emit(addon_world("egress", "two-networks")))).items():
        pods, namespaces = (spec["appliedTo"][part]["matchLabels"] for part in ("podSelector", "namespaceSelector"))
        assert list(pods.values()) == [name.split(".")[1]]
        assert list(namespaces.values()) == ["physics"]
        assert "destSubnet" not in spec


def test_sent_from_the_nodes_that_are_labelled_for_it() -> None:
    world = addon_world("egress", "two-networks")
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in workers.emit(world)}
    specs = gateways(list(emit(world)))
    for network in world.tenants["physics"].networks[:2]:
        wanted = specs[f"tenant-physics.{network.name}"]["nodeSelector"]["selector"]["matchLabels"]
        assert {node for node, has in labels.items() if wanted.items() <= has.items()} == set(network.gateway_nodes)


def value_at(manifest: Manifest, path: tuple[str, ...]) -> Any:
    found: Any = manifest
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found


@pytest.mark.parametrize(
    ("before", "after", "anew"),
    [
        ("192.0.2.10", "192.0.2.10-192.0.2.12", False),  # the pool grows
        ("192.0.2.10-192.0.2.12", "192.0.2.10", False),  # what leaves it was not in use
        ("192.0.2.10-192.0.2.12", "192.0.2.11-192.0.2.12", True),  # the address in use leaves it
        ("192.0.2.10", '192.0.2.10, "2001:db8:1::10"', True),  # a family comes
        ('192.0.2.10, "2001:db8:1::10"', "192.0.2.10", True),  # a family goes
    ],
)
def test_what_the_webhooks_refuse_to_change_is_marked_as_immutable(
    tmp_path: Path, before: str, after: str, anew: bool
) -> None:
    old, new = lab(tmp_path / "before", before), lab(tmp_path / "after", after)
    for one, other in zip(old, new, strict=True):
        paths = kind_of(one).immutable
        assert paths
        assert any(value_at(one, path) != value_at(other, path) for path in paths) == anew
