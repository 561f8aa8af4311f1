"""Addresses that move between objects."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.plan.release import common, narrowed, spans, to_release, without


def pool(name: str, *addresses: str) -> dict[str, Any]:
    return {"kind": "IPAddressPool", "metadata": {"name": name, "uid": name}, "spec": {"addresses": list(addresses)}}


def gateway(name: str, four: Sequence[str] = (), six: Sequence[str] = (), **defaults: str) -> dict[str, Any]:
    pools = {**({"ipv4": list(four)} if four else {}), **({"ipv6": list(six)} if six else {}), **defaults}
    return {"kind": "EgressGateway", "metadata": {"name": name, "uid": name}, "spec": {"ippools": pools}}


def released(*pairs: tuple[dict[str, Any] | None, dict[str, Any] | None]) -> dict[str, Any]:
    """By name: what is left of each object that has to let go of something; None for nothing."""
    found = {}
    for held in to_release(pairs):
        left = narrowed(held)
        found[held.live["metadata"]["name"]] = left and left["spec"].get("addresses", left["spec"].get("ippools"))
    return found


def test_an_address_that_moves_is_let_go_of_first() -> None:
    pairs = (
        (pool("a", "192.0.2.10-192.0.2.14"), pool("a", "192.0.2.10-192.0.2.19")),
        (pool("b", "192.0.2.15-192.0.2.25"), pool("b", "192.0.2.20-192.0.2.25")),
    )
    assert released(*pairs) == {"a": ["192.0.2.10-192.0.2.14"]}


def test_an_exchange_leaves_neither_anything() -> None:
    assert released(
        (pool("a", "192.0.2.2/32"), pool("a", "192.0.2.1/32")), (pool("b", "192.0.2.1"), pool("b", "192.0.2.2"))
    ) == {"a": None, "b": None}


def test_what_only_shrinks_grows_or_goes_is_left_to_the_ordered_pass() -> None:
    assert released((pool("a", "192.0.2.1"), pool("a", "192.0.2.1-192.0.2.3")), (None, pool("b", "192.0.2.9"))) == {}
    assert released((pool("a", "192.0.2.1-192.0.2.3"), pool("a", "192.0.2.1"))) == {}


def test_a_pool_that_goes_gives_its_address_to_a_new_one() -> None:
    assert released((None, pool("a", "192.0.2.1")), (pool("b", "192.0.2.0/30"), None)) == {"a": None}


def test_new_addresses_of_a_narrowed_pool_come_later() -> None:
    pairs = (
        (pool("a", "2001:db8::1-2001:db8::2", "2001:db8::a"), pool("a", "2001:db8::1-2001:db8::9")),
        (pool("b", "2001:db8::3"), None),
    )
    assert released(*pairs) == {"a": ["2001:db8::1-2001:db8::2"]}


def test_a_gateway_keeps_as_many_of_both_families_or_nothing() -> None:
    live = gateway("a", ["192.0.2.1-192.0.2.2"], ["2001:db8::1-2001:db8::2"], ipv4DefaultEIP="192.0.2.1")
    wanted = gateway("a", ["192.0.2.1", "192.0.2.7"], ["2001:db8::1-2001:db8::2"], ipv4DefaultEIP="192.0.2.1")
    other = (gateway("b", ["192.0.2.2"]), None)
    assert released((wanted, live), other) == {
        "a": {"ipv4": ["192.0.2.1"], "ipv6": ["2001:db8::1"], "ipv4DefaultEIP": "192.0.2.1"}
    }
    moved = gateway("a", ["192.0.2.2"], ipv4DefaultEIP="192.0.2.2")
    assert released((moved, gateway("a", ["192.0.2.1"])), (gateway("b", ["192.0.2.1"]), None)) == {"a": None}


def test_what_nobody_can_read_counts_as_no_address() -> None:
    assert spans(pool("a", "192.0.2.1", "somewhere")) == (
        (4, int(ip_address("192.0.2.1")), int(ip_address("192.0.2.1"))),
    )


small = st.lists(st.integers(0, 15), max_size=8)


@given(small, small)
def test_sets_of_addresses(one: list[int], other: list[int]) -> None:
    def of(numbers: list[int]) -> tuple[tuple[int, int, int], ...]:
        return spans(pool("x", *(f"192.0.2.{number}" for number in numbers)))

    def numbers(found: tuple[tuple[int, int, int], ...]) -> set[int]:
        base = int(ip_address("192.0.2.0"))
        return {number - base for _, first, last in found for number in range(first, last + 1)}

    assert numbers(common(of(one), of(other))) == set(one) & set(other)
    assert numbers(without(of(one), of(other))) == set(one) - set(other)


@pytest.mark.parametrize("spec", [{}, {"ippools": None}, None])
def test_objects_without_addresses(spec: Any) -> None:
    assert spans({"kind": "EgressGateway", "metadata": {}, "spec": spec}) == ()
