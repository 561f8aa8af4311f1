"""MetalLB's pools: closed to everybody else, in the order of the networks, and addresses as MetalLB reads them."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from config.emit import workers
from config.emit.metallb import addresses, emit
from config.models.addresses import AddressRange
from tests.unit.config.emit.addon_worlds import addon_cases, addon_world, by_name, golden_test, world_of

test_golden = golden_test("metallb", emit)
EVERY_CASE = pytest.mark.parametrize("case", addon_cases("metallb"))


def pools(case: str) -> dict[str, dict[str, Any]]:
    return by_name(emit(addon_world("metallb", case)), "IPAddressPool")


def advertisements(case: str) -> dict[str, dict[str, Any]]:
    return by_name(emit(addon_world("metallb", case)), "L2Advertisement")


def test_nothing_without_the_addon(tmp_path: Path) -> None:
    network = "networks: [{name: lab, subnets: [192.0.2.0/24], loadbalancer: [192.0.2.10]}]"
    assert list(emit(world_of(tmp_path, site="title: none", physics=f"admins: [ada]\n{network}"))) == []


@EVERY_CASE
def test_no_pool_can_fail_open(case: str) -> None:
    """A selector that matches nothing would, without a name: then any namespace may ask for the pool."""
    assert pools(case)
    for name, spec in pools(case).items():
        assert spec["serviceAllocation"]["namespaces"] == [name.split(".")[0]]
        (selector,) = spec["serviceAllocation"]["namespaceSelectors"]
        assert list(selector["matchLabels"].values()) == [name.split(".")[0].removeprefix("tenant-")]


@EVERY_CASE
def test_each_pool_is_announced_and_no_other_with_it(case: str) -> None:
    assert {name: spec["ipAddressPools"] for name, spec in advertisements(case).items()} == {
        name: [name] for name in pools(case)
    }


def test_the_first_network_comes_first() -> None:
    assert {name: spec["serviceAllocation"]["priority"] for name, spec in pools("two-networks").items()} == {
        "tenant-physics.lab-a": 1,
        "tenant-physics.lab-b": 2,
    }


@pytest.mark.parametrize(
    ("declared", "written"),
    [
        ("192.0.2.10", "192.0.2.10/32"),
        ("2001:db8::10", "2001:db8::10/128"),
        ("192.0.2.10-192.0.2.19", "192.0.2.10-192.0.2.19"),
        ("192.0.2.16/28", "192.0.2.16-192.0.2.31"),
        ("2001:db8::8000:0/97", "2001:db8::8000:0-2001:db8::ffff:ffff"),
    ],
)
def test_addresses_as_metallb_reads_them(declared: str, written: str) -> None:
    one = AddressRange.parse(declared)
    assert addresses(one) == written
    assert as_metallb(written) == (one.first, one.last)


def as_metallb(text: str) -> tuple[Any, Any]:
    """ParseCIDR of internal/config/config.go: what has no hyphen must be a CIDR."""
    if "-" in text:
        first, last = map(ip_address, text.split("-"))
        return first, last
    assert "/" in text, f"MetalLB: invalid CIDR {text!r}"
    network = ip_network(text)
    return network[0], network[-1]


def test_announced_from_the_nodes_that_are_labelled_for_it() -> None:
    """The union of MetalLB's selectors and the labels of the workers emitter is each network's gateway nodes."""
    world = addon_world("metallb", "two-networks")
    labels = {node["metadata"]["name"]: node["metadata"]["labels"] for node in workers.emit(world)}
    for network in world.tenants["physics"].networks[:2]:
        (selector,) = advertisements("two-networks")[f"tenant-physics.{network.name}"]["nodeSelectors"]
        found = {node for node, has in labels.items() if selector["matchLabels"].items() <= has.items()}
        assert found == set(network.gateway_nodes)


def test_without_gateway_nodes_all_nodes_announce() -> None:
    for spec in advertisements("flat").values():
        assert set(spec) == {"ipAddressPools"}
