"""ResourceQuota and LimitRange."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.emit import quota
from config.models.quantity import parse_cpu, parse_memory
from tests.unit.config.emit.small import lab, small

SIX = {"name": "six", "subnets": ["2001:db8::/32"]}


def _emitted(**tenant: Any) -> tuple[dict[str, str], dict[str, Any]]:
    limits, hard = sorted(quota.emit(small({"name": "physics", **tenant})), key=lambda one: str(one["kind"]))
    assert [limits["kind"], hard["kind"]] == ["LimitRange", "ResourceQuota"]
    (one,) = limits["spec"]["limits"]
    return hard["spec"]["hard"], one


def test_the_quota_is_what_the_tenant_declares() -> None:
    hard, _ = _emitted(quota={"workloads": 3, "cpu": "1500m", "memory": "10Gi"})
    assert hard["requests.cpu"] == "1500m"
    assert hard["requests.memory"] == hard["limits.memory"] == "10Gi"
    assert "limits.cpu" not in hard, "CPU above the request is a burst that nobody else wants"


def test_pods_that_have_ended_do_not_take_the_place_of_running_ones() -> None:
    """`pods` counts those that have not ended; a Job's finished ones go by count/pods, which is far wider."""
    hard, _ = _emitted(quota={"workloads": 3})
    assert int(hard["pods"]) == 30
    assert int(hard["count/pods"]) >= 10 * int(hard["pods"])


def test_no_node_port_at_all() -> None:
    assert _emitted()[0]["services.nodeports"] == "0"


@pytest.mark.parametrize(
    ("networks", "services"),
    [
        ([], "0"),
        ([lab()], "0"),
        ([lab(loadbalancer=["203.0.113.9", "203.0.113.12-203.0.113.13"])], "3"),
        ([lab(loadbalancer=["203.0.113.9"]), SIX | {"loadbalancer": ["2001:db8::1"]}], "2"),
        # More addresses than a 64-bit number can count are as many as there may be Services.
        ([SIX | {"loadbalancer": ["2001:db8::/48"]}], "200"),
    ],
)
def test_loadbalancers_are_bounded_by_the_addresses(networks: list[dict[str, Any]], services: str) -> None:
    assert _emitted(networks=networks)[0]["services.loadbalancers"] == services


def test_a_burstable_container_gets_a_request_and_no_cpu_limit() -> None:
    _, limits = _emitted()
    assert limits == {
        "type": "Container",
        "default": {"memory": "512Mi"},
        "defaultRequest": {"cpu": "100m", "memory": "512Mi"},
    }


def test_a_guaranteed_container_gets_equal_request_and_limit_and_cannot_choose_otherwise() -> None:
    _, limits = _emitted(workers={"qos": "Guaranteed"})
    assert limits["default"] == limits["defaultRequest"] == {"cpu": "500m", "memory": "512Mi"}
    assert limits["maxLimitRequestRatio"] == {"cpu": "1", "memory": "1"}


@given(st.integers(1, 10**5), st.integers(2**20, 2**45), st.sampled_from(["Burstable", "Guaranteed"]))
def test_four_containers_that_say_nothing_fit_into_any_quota(millis: int, memory: int, qos: str) -> None:
    _, limits = _emitted(quota={"cpu": f"{millis}m", "memory": memory}, workers={"qos": qos})
    each = limits["defaultRequest"]
    assert 4 * parse_cpu(each["cpu"]) <= max(millis / 1000, 0.004)
    taken = each["memory"]
    if memory >= 4 * 2**20:
        assert 4 * parse_memory(taken) <= memory
        assert taken.endswith(("Mi", "Gi"))


@pytest.mark.parametrize(
    ("amount", "canonical"),
    [
        (2**31, "2Gi"),
        (3 * 2**29, "1536Mi"),
        (10**9, "1G"),
        (1_500_000_000, "1500M"),
        (1_000_001, "1000001"),
        (1_024_000, "1000Ki"),
        (10**6 + 10**3, "1001k"),
        (5 * 10**18, "4882812500000000Ki"),  # a multiple of 1024 is written so, however it was declared
    ],
)
def test_memory_is_written_as_the_api_server_writes_it(amount: int, canonical: str) -> None:
    assert quota.memory_quantity(amount) == canonical
