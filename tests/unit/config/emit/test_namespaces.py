"""Namespaces, and the default ServiceAccount in each."""

from __future__ import annotations

import json
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.emit import accounts, namespaces
from config.models import Tenant
from tests.unit.config.emit.small import DOMAIN, lab, small

SELECTOR = "scheduler.alpha.kubernetes.io/node-selector"
TOLERATIONS = "scheduler.alpha.kubernetes.io/defaultTolerations"


def _emitted(tenant: dict[str, Any], site: dict[str, Any] | None = None) -> dict[str, Any]:
    (found,) = namespaces.emit(small({"name": "physics", **tenant}, site=site))
    metadata: dict[str, Any] = found["metadata"]
    return metadata


def _annotations(tenant: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = _emitted(tenant).get("annotations", {})
    return found


def test_labels_hold_the_tenant_and_pod_security_restricted() -> None:
    found = _emitted({})
    assert found["name"] == "tenant-physics"
    assert found["labels"] == {
        f"{DOMAIN}/tenant": "physics",
        "pod-security.kubernetes.io/enforce": "restricted",
        "pod-security.kubernetes.io/enforce-version": "latest",
        "pod-security.kubernetes.io/audit": "restricted",
        "pod-security.kubernetes.io/audit-version": "latest",
        "pod-security.kubernetes.io/warn": "restricted",
        "pod-security.kubernetes.io/warn-version": "latest",
    }
    assert "annotations" not in found, "a tenant without workers and networks is given none"


def test_capsules_label_only_with_capsule() -> None:
    assert _emitted({}, site={"addons": {"capsule": True}})["labels"]["capsule.clastix.io/tenant"] == "physics"


@pytest.mark.parametrize(
    ("workers", "selector", "tolerated"),
    [
        ({}, None, False),
        ({"dedicated": True}, None, False),
        ({"nodes": ["a", "b"]}, f"{DOMAIN}/node_physics=true", True),
        ({"nodes": ["a"], "dedicated": False}, f"{DOMAIN}/node_physics=true", False),
        ({"selector": {"zone": "b", "pool": ""}, "dedicated": False}, "pool=,zone=b", False),
        ({"selector": {"zone": "b"}}, "zone=b", True),
        ({"nodes": ["a"], "selector": {"zone": "b"}}, f"{DOMAIN}/node_physics=true,zone=b", True),
    ],
)
def test_where_pods_run(workers: dict[str, Any], selector: str | None, tolerated: bool) -> None:
    found = _annotations({"workers": workers})
    assert found.get(SELECTOR) == selector
    taint = {"key": f"{DOMAIN}/tenant", "operator": "Equal", "value": "physics", "effect": "NoSchedule"}
    assert json.loads(found.get(TOLERATIONS, "[]")) == ([taint] if tolerated else [])


def test_networks_that_pods_may_leave_by_are_those_with_egress_addresses() -> None:
    networks = [
        lab("b", egress=["203.0.113.9"]),
        {"name": "none", "subnets": ["198.51.100.0/24"], "loadbalancer": ["198.51.100.9"]},
        {"name": "a", "subnets": ["2001:db8::/64"], "egress": ["2001:db8::9"]},
    ]
    assert _annotations({"networks": networks})[f"{DOMAIN}/egress-networks"] == "b a"


def test_loadbalancer_addresses_are_the_fewest_cidrs_of_all_networks() -> None:
    networks = [
        lab(loadbalancer=["203.0.113.12-203.0.113.15", "203.0.113.10-203.0.113.11", "203.0.113.8-203.0.113.9"]),
        {"name": "six", "subnets": ["2001:db8::/64"], "loadbalancer": ["2001:db8::10-2001:db8::1f", "2001:db8::20"]},
    ]
    found = _annotations({"networks": networks})[f"{DOMAIN}/loadbalancer-addresses"]
    assert found == "203.0.113.8/29 2001:db8::10/124 2001:db8::20/128"


@given(st.lists(st.tuples(st.integers(1, 254), st.integers(0, 20)), min_size=1, max_size=6))
def test_the_cidrs_hold_the_declared_addresses_and_no_other(ranges: list[tuple[int, int]]) -> None:
    ends = [(first, min(254, first + more)) for first, more in ranges]
    declared = {number for first, last in ends for number in range(first, last + 1)}
    texts = [f"203.0.113.{first}-203.0.113.{last}" for first, last in ends]
    tenant = Tenant.model_validate({"name": "t", "admins": ["a"], "networks": [lab(loadbalancer=texts)]})
    given = [address for cidr in namespaces.loadbalancer_cidrs(tenant) for address in ip_network(cidr)]
    assert sorted(given) == sorted(ip_address(f"203.0.113.{number}") for number in declared)


def test_no_pod_gets_a_token_unless_it_asks() -> None:
    (found,) = accounts.emit(small({"name": "physics"}))
    assert (found["metadata"]["namespace"], found["metadata"]["name"]) == ("tenant-physics", "default")
    assert found["automountServiceAccountToken"] is False
