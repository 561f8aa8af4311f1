"""Which address a workload gets."""

from __future__ import annotations

from typing import Any

import pytest

from spawners.kube.addresses import allot
from spawners.refusal import Refusal
from tests.unit.spawners.kube.launches import DUAL, ONLY_FOUR, ONLY_SIX, tenant

A, B = "192.0.2.10", "192.0.2.11"
SIX, SIX_NEXT = "2001:db8:0:1::10", "2001:db8:0:1::11"


@pytest.mark.parametrize(
    ("network", "taken", "kept", "expected"),
    [
        (ONLY_FOUR, [], [], (A,)),
        (ONLY_FOUR, [A], [], (B,)),
        (ONLY_SIX, [], [], (SIX,)),
        (DUAL, [], [], (A, SIX)),
        (DUAL, [A], [], (B, SIX)),
        (DUAL, [SIX], [], (A, SIX_NEXT)),
        (DUAL, ["2001:0db8:0:1:0:0:0:10"], [], (A, SIX_NEXT)),  # written otherwise, the same
        (DUAL, [], [B, SIX_NEXT], (B, SIX_NEXT)),  # it had them before
        (DUAL, [B], [B], (A, SIX)),  # somebody else has it by now
        (DUAL, [], ["198.51.100.7"], (A, SIX)),  # no longer the network's
        (DUAL, [A, "198.51.100.1"], [], (B, SIX)),
        ({**ONLY_SIX, "loadbalancer": ["2001:db8:0:1::/64"]}, ["2001:db8:0:1::"], [], ("2001:db8:0:1::1",)),
    ],
)
def test_allot(network: dict[str, Any], taken: list[str], kept: list[str], expected: tuple[str, ...]) -> None:
    of = tenant(networks=[network])
    assert allot(of, of.networks[0], taken, kept) == expected


@pytest.mark.parametrize(
    ("network", "taken", "said"),
    [
        (DUAL, [A, B], "all 2 IPv4 addresses of network lab-a of physics are in use"),
        ({**DUAL, "loadbalancer": [A]}, [A], "the only IPv4 address"),
        ({**DUAL, "loadbalancer": []}, [], "network lab-a has no LoadBalancer addresses"),
        (None, [], "it has no networks"),
    ],
)
def test_nothing_left(network: dict[str, Any] | None, taken: list[str], said: str) -> None:
    of = tenant(networks=[network] if network else [])
    with pytest.raises(Refusal, match=said) as refused:
        allot(of, of.network(None), taken)
    assert refused.value.reason == "place"
