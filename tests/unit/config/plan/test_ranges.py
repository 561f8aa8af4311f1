"""Ranges that site.yaml got wrong: a wall around the wrong addresses is none."""

from __future__ import annotations

from typing import Any

import pytest

from config.models.site import ClusterNetworks
from config.plan.ranges import outside

DECLARED = {"pods": ["10.244.0.0/16"], "services": ["10.96.0.0/16"], "nodes": ["192.0.2.0/24"]}


def _node(*addresses: tuple[str, str]) -> dict[str, Any]:
    told = [{"type": kind, "address": address} for kind, address in addresses]
    return {"kind": "Node", "metadata": {"name": "n1"}, "status": {"addresses": told}}


def _service(*addresses: str) -> dict[str, Any]:
    return {"kind": "Service", "metadata": {"name": "kubernetes"}, "spec": {"clusterIPs": list(addresses)}}


def _pod(*addresses: str, **spec: Any) -> dict[str, Any]:
    told = [{"ip": address} for address in addresses]
    return {"kind": "Pod", "metadata": {"name": "dns"}, "spec": spec, "status": {"podIPs": told}}


def _told(*seen: dict[str, Any], **declared: list[str]) -> list[tuple[str, str, str]]:
    ranges = ClusterNetworks.model_validate({**DECLARED, **declared})
    return [(field, who, str(address)) for field, who, address in outside(ranges, seen)]


@pytest.mark.parametrize(
    ("seen", "field", "who", "address"),
    [
        (_node(("Hostname", "n1"), ("InternalIP", "198.51.100.7")), "nodes", "Node n1", "198.51.100.7"),
        (_service("10.176.0.1"), "services", "Service kubernetes", "10.176.0.1"),
        (_pod("10.0.3.4"), "pods", "Pod dns", "10.0.3.4"),
    ],
)
def test_what_lies_outside_is_told_with_its_field(seen: dict[str, Any], field: str, who: str, address: str) -> None:
    assert _told(seen) == [(field, who, address)]


def test_what_lies_inside_is_not() -> None:
    inside = (_node(("InternalIP", "192.0.2.7"), ("ExternalIP", "198.51.100.7")), _service("10.96.0.1"))
    assert _told(*inside, _pod("10.244.1.2"), {"kind": "Namespace", "metadata": {"name": "x"}}) == []


def test_a_pod_in_its_nodes_network_says_nothing_about_pods() -> None:
    assert _told(_pod("192.0.2.7", hostNetwork=True)) == []


def test_a_family_that_pods_do_not_speak_reaches_nothing() -> None:
    six = (_service("10.96.0.1", "fd00::1"), _node(("InternalIP", "2001:db8::1")))
    assert _told(*six) == []
    dual = DECLARED["pods"] + ["fd00:244::/56"]
    assert [field for field, _, _ in _told(*six, pods=dual)] == ["services", "nodes"]


def test_one_of_a_field_is_told_however_many_there_are() -> None:
    assert len(_told(*(_node(("InternalIP", f"198.51.100.{n}")) for n in range(100)))) == 1
