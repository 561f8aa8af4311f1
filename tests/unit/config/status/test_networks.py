"""Addresses, who announces them, and egress: against ServiceL2Status, EgressGateway and events made by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from config.models import Tenant
from config.status import live
from config.status.addresses import JSON_LARGEST, Place, Ranges
from config.status.model import LoadBalancer, Network, ServiceUse
from config.status.model import Tenant as Block
from tests.unit.config.status.cluster import (
    EARLY,
    HISTORY,
    KEYS,
    LATE,
    PHYSICS,
    STATUS,
    WORLD,
    announcement,
    block,
    carrying,
    event,
    gateway,
    healthy,
    node,
    objects,
    pod,
    says,
    service,
)

APP = {"app": "ftp"}
BEHIND = pod("ftp-0", "n1", labels=APP)


def lab(found: Block) -> Network:
    return found.networks[0]


def pool(found: Block) -> LoadBalancer:
    got = lab(found).loadbalancer
    assert got is not None
    return got


def use(found: Block) -> ServiceUse:
    (got,) = pool(found).services
    return got


def current(found: Block) -> list[str]:
    return [item.node for item in use(found).announced_by if item.current]


def serving(**more: Any) -> live.Live:
    """A Service with both addresses, one ready Pod behind it."""
    ftp = service("ftp", "192.0.2.10", "2001:db8:120::10", selector=APP)
    return healthy(**{"services": (ftp,), "pods": (BEHIND,), "announcements": (announcement("ftp", "n1"),), **more})


def test_an_address_is_announced() -> None:
    found = block(serving())
    assert use(found).addresses == ("192.0.2.10", "2001:db8:120::10")
    assert current(found) == ["n1"] and use(found).announced_by[0].interfaces == ("vlan120",)
    assert (pool(found).total, pool(found).used, pool(found).free) == (20, 2, 18)
    assert found.as_declared and not use(found).why


def test_the_labels_tell_before_the_speaker_has_written_status() -> None:
    raw = {
        "metadata": {
            "name": "l2-abc",
            "creationTimestamp": EARLY,
            "labels": {
                "metallb.io/node": "n1",
                "metallb.io/service-name": "ftp",
                "metallb.io/service-namespace": "tenant-physics",
            },
        }
    }
    assert current(block(serving(announcements=(live.announcement(raw),)))) == ["n1"]


def test_a_node_whose_kubelet_is_silent_is_named_with_a_doubt() -> None:
    nodes = {**healthy().nodes, "n1": node("n1", ready="Unknown")}
    found = block(serving(nodes=nodes))
    assert current(found) == ["n1"] and not use(found).announced_by[0].node_ready
    assert any("n1, which is not ready; no other node says that it is" in text for text in says(found, "wrong"))


def word(on: str, last: str) -> live.Event:
    return event("ftp", "nodeAssigned", f'announcing from node "{on}" with protocol "layer2"', last, "Normal")


@pytest.mark.parametrize("ready", ["True", "Unknown"])
def test_the_newer_status_counts(ready: str) -> None:
    """Within the first 40 s after its death a node still counts as ready."""
    nodes = {**healthy().nodes, "n1": node("n1", ready=ready)}
    found = block(
        serving(nodes=nodes, announcements=(announcement("ftp", "n2", LATE), announcement("ftp", "n1", EARLY)))
    )
    assert [(item.node, item.current) for item in use(found).announced_by] == [("n2", True), ("n1", False)]


@pytest.mark.parametrize("ready", ["True", "Unknown"])
def test_the_event_of_a_successor_counts_more_than_the_status_of_the_dead(ready: str) -> None:
    """MetalLB before 0.16 cannot replace the dead node's ServiceL2Status."""
    nodes = {**healthy().nodes, "n1": node("n1", ready=ready)}
    found = block(serving(nodes=nodes, events=(word("n1", EARLY), word("n2", LATE))))
    told = [(item.node, item.source, item.current) for item in use(found).announced_by]
    assert told == [("n2", "event", True), ("n1", "ServiceL2Status", False)]


def test_an_old_event_of_another_node_is_history() -> None:
    """n2 announced once, then n1 took over, and now n1's kubelet alone is silent: its speaker goes on."""
    nodes = {**healthy().nodes, "n1": node("n1", ready="Unknown")}
    found = block(serving(nodes=nodes, announcements=(announcement("ftp", "n1", LATE),), events=(word("n2", EARLY),)))
    assert [item.node for item in use(found).announced_by] == ["n1"]


def test_a_node_that_came_back_counts_by_its_newer_event() -> None:
    statuses = (announcement("ftp", "n1", EARLY), announcement("ftp", "n2", LATE))
    found = block(serving(announcements=statuses, events=(word("n1", "2026-11-21T12:00:00Z"),)))
    assert current(found) == ["n1"] and use(found).announced_by[0].interfaces == ("vlan120",)


def test_a_way_in_through_a_gateway_node_of_two_tenants() -> None:
    network = HISTORY.networks[0].model_copy(update={"gateway_nodes": ("n2", "n3")})
    world = replace(WORLD, tenants={**WORLD.tenants, "history": HISTORY.model_copy(update={"networks": (network,)})})
    open_one = block(serving(objects=objects(world)), world=world)
    assert says(open_one, "note") == [
        "tenant-physics/ftp: no loadBalancerSourceRanges, so networks of history have a way in by n2"
    ]
    fenced = service("ftp", "192.0.2.10", selector=APP, loadBalancerSourceRanges=["192.0.2.0/24"])
    assert says(block(serving(services=(fenced,), objects=objects(world)), world=world), "note") == []
    assert says(block(serving()), "note") == [], "n1 and n2 are gateway nodes of one tenant"


def test_an_announcement_from_a_node_that_is_no_gateway_is_an_alarm() -> None:
    found = block(serving(announcements=(announcement("ftp", "n3"),)))
    assert says(found, "alarm") == ["tenant-physics/ftp is announced by n3, which is no gateway node of lab-a"]


@pytest.mark.parametrize(
    ("changed", "why", "own"),
    [
        ({"pods": ()}, "none is ready", True),
        ({"pods": (pod("ftp-0", "n1", labels=APP, ready="False"),)}, "none is ready", True),
        ({"speakers": {"n3": True}}, "speaker runs on none of its gateway nodes", False),
        ({"events": (event("ftp", "announceFailed", "no vlan120"),)}, "announceFailed: no vlan120", False),
        (
            {"nodes": {**healthy().nodes, "n1": node("n1", ready="False"), "n2": node("n2", ready="False")}},
            "none of its gateway nodes is ready (n1, n2)",
            False,
        ),
        ({}, "do MetalLB's speakers run", False),
        ({"unread": {"servicel2statuses": "not allowed"}}, "cannot be read: not allowed", False),
    ],
)
def test_why_nobody_announces(changed: dict[str, Any], why: str, own: bool) -> None:
    found = block(serving(announcements=(), **changed))
    assert why in use(found).why
    assert any(why in text for text in says(found, "note" if own else "wrong"))


def test_local_traffic_policy_needs_a_pod_on_a_gateway_node() -> None:
    local = service("ftp", "192.0.2.10", selector=APP, externalTrafficPolicy="Local")
    tenant = PHYSICS.model_copy(
        update={"networks": (PHYSICS.networks[0].model_copy(update={"gateway_nodes": ("n2",)}),)}
    )
    world = replace(WORLD, tenants={**WORLD.tenants, "physics": tenant})
    found = block(serving(services=(local,), announcements=(), objects=objects(world)), world=world)
    assert "externalTrafficPolicy: Local" in use(found).why


def test_metallb_without_status_objects_tells_by_its_events() -> None:
    served = frozenset(item for item in healthy().served if item[1] != "servicel2statuses")
    word = event("ftp", "nodeAssigned", 'announcing from node "n2" with protocol "layer2"', kind="Normal")
    assert current(block(serving(announcements=(), served=served, events=(word,)))) == ["n2"]


def test_a_service_that_waits_says_why() -> None:
    ask = {"metallb.io/loadBalancerIPs": "192.0.2.15, 2001:db8:120::15"}
    failed = event("web", "AllocationFailed", 'Failed to allocate IP for "tenant-physics/web": no available IPs')
    found = block(healthy(services=(service("web", annotations=ask),), events=(failed,)))
    (waiting,) = found.waiting
    assert waiting.wanted == ("192.0.2.15", "2001:db8:120::15")
    assert waiting.why.startswith("AllocationFailed: Failed to allocate IP")
    assert not found.as_declared
    silent = block(healthy(services=(service("web", loadBalancerIP="192.0.2.15"),)))
    assert silent.waiting[0].wanted == ("192.0.2.15",)
    assert "does MetalLB's controller run?" in silent.waiting[0].why


def test_an_old_complaint_counts_no_more_once_something_good_came() -> None:
    old = event("web", "AllocationFailed", "no", EARLY)
    good = event("web", "IPAllocated", "Assigned IP", LATE, "Normal")
    found = block(healthy(services=(service("web"),), events=(old, good)))
    assert "AllocationFailed" not in found.waiting[0].why


def test_addresses_in_the_wrong_hands_are_alarms() -> None:
    thief = service("thief", "192.0.2.11", room="tenant-history")
    outsider = service("outsider", "192.0.2.12", room="kube-system")
    astray = service("astray", "203.0.113.5")
    found = block(healthy(services=(thief, outsider, astray)))
    assert set(says(found, "alarm")) == {
        "192.0.2.11 of lab-a is held by Service tenant-history/thief",
        "192.0.2.12 of lab-a is held by Service kube-system/outsider",
        "Service tenant-physics/astray has 203.0.113.5, which is nobody's by declaration",
    }
    assert pool(found).used == 2


def test_a_tenants_service_with_anothers_address_is_an_alarm_in_both_blocks() -> None:
    seen = healthy(services=(service("thief", "192.0.2.11", room="tenant-history"),))
    assert says(block(seen), "alarm")
    assert "thief has 192.0.2.11, which is an address of physics" in " ".join(says(block(seen, "history"), "alarm"))


def test_a_gateway_node_without_its_label_or_speaker() -> None:
    nodes = {**healthy().nodes, "n2": node("n2", labels={KEYS.node("physics"): "true"})}
    found = block(healthy(nodes=nodes, speakers={"n1": True, "n3": True}))
    gateways = {item.name: item for item in lab(found).gateways}
    assert set(gateways["n2"].lacks) == {KEYS.lb("physics"), KEYS.eg("physics")}
    assert any("no speaker of MetalLB is ready on n2" in text for text in says(found, "wrong"))


def test_a_node_with_the_label_that_is_no_gateway() -> None:
    extra = node("n3")
    nodes = {**healthy().nodes, "n3": replace(extra, labels={**extra.labels, KEYS.lb("physics"): "true"})}
    found = block(healthy(nodes=nodes))
    assert any("node n3 carries" in text and "no gateway node" in text for text in says(found, "wrong"))


def test_egress_that_works() -> None:
    users = (pod("a", "n1", labels={KEYS.egress_policy: "lab-a"}), pod("b", "n2"))
    egress = lab(block(healthy(pods=users))).egress
    assert egress is not None
    assert (egress.policy_addresses, egress.policy_node) == (("192.0.2.30", "2001:db8:120::30"), "n1")
    assert {item.name: (item.status, len(item.addresses)) for item in egress.nodes} == {
        "n1": ("Ready", 2),
        "n2": ("Ready", 0),
    }
    assert egress.pods == 1 and not egress.why


@pytest.mark.parametrize(
    ("kind", "status", "level", "text"),
    [
        ("EgressGateway", {}, "wrong", "egressgateway has not reported on it"),
        ("EgressGateway", gateway(carrying("n1", "HeartbeatTimeout")), "wrong", "n1 is HeartbeatTimeout"),
        ("EgressClusterPolicy", {}, "wrong", "no address has been given to its policy yet"),
        (
            "EgressClusterPolicy",
            {"eip": {"ipv4": "192.0.2.30"}, "node": "n2"},
            "wrong",
            "the policy says that 192.0.2.30 is on n2, the gateway n1",
        ),
        (
            "EgressGateway",
            gateway(carrying("n3", ipv4="192.0.2.30")),
            "alarm",
            "192.0.2.30 is on n3, which is no gateway node of lab-a",
        ),
        (
            "EgressClusterPolicy",
            {"eip": {"ipv4": "192.0.2.99"}, "node": "n1"},
            "alarm",
            "192.0.2.99 is used for the egress of lab-a and is not among its addresses",
        ),
    ],
)
def test_egress_that_does_not(kind: str, status: dict[str, Any], level: str, text: str) -> None:
    changed = {**STATUS, (kind, "tenant-physics.lab-a"): status}
    found = block(healthy(objects=objects(status=changed)))
    assert any(text in line for line in says(found, level)), found.findings


def test_egress_on_a_node_that_is_dead_or_whose_tunnel_is_down() -> None:
    dead = block(healthy(nodes={**healthy().nodes, "n1": node("n1", ready="Unknown")}))
    assert any("30 is said to be on n1, which is not ready" in text for text in says(dead, "wrong"))
    down = block(healthy(tunnels={"n1": "HeartbeatTimeout"}))
    assert any("whose tunnel is HeartbeatTimeout" in text for text in says(down, "wrong"))


def test_egress_without_the_add_on() -> None:
    served = frozenset(item for item in healthy().served if "egressgateway" not in item[0])
    assert any("egressgateway is not installed" in text for text in says(block(healthy(served=served)), "wrong"))
    site = WORLD.site.model_copy(update={"addons": WORLD.site.addons.model_copy(update={"egressgateway": False})})
    world = replace(WORLD, site=site)
    none = block(healthy(objects=objects(world)), world=world)
    assert any("site.yaml names no egressgateway" in text for text in says(none, "note")) and none.as_declared


def test_a_pod_with_the_label_of_no_network() -> None:
    found = block(healthy(pods=(pod("a", "n1", labels={KEYS.egress_policy: "lab-z"}),)))
    assert any("asks for the egress 'lab-z'" in text for text in says(found, "wrong"))


def test_whose_an_address_is() -> None:
    ranges = Ranges(WORLD)
    for address, owner in (
        ("192.0.2.10", "physics"),
        ("192.0.2.19", "physics"),
        ("192.0.2.9", None),
        ("192.0.2.20", None),
        ("2001:db8:120::10", "physics"),
        ("2001:db8:120::1a", None),
        ("198.51.100.12", "history"),
        ("0.0.0.1", None),
        ("::1", None),
        ("nonsense", None),
    ):
        found = ranges.of(address)
        assert (found.tenant if found else None) == owner, address
    assert ranges.of("192.0.2.10") == Place("physics", "lab-a")


def test_a_range_too_large_for_json_is_cut() -> None:
    network = {"name": "v6", "subnets": ["2001:db8::/32"], "loadbalancer": ["2001:db8:1::/48"]}
    tenant = Tenant.model_validate({"name": "wide", "networks": [network]})
    world = replace(WORLD, tenants={"wide": tenant})
    assert pool(block(healthy(objects=objects(world)), "wide", world)).free == JSON_LARGEST
