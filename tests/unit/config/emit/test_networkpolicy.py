"""The wall as a plain NetworkPolicy, asked as a packet would ask it."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from config.emit import networkpolicy
from config.models import Profile
from tests.unit.config.emit.small import CLUSTER, DOMAIN, lab, small

PHYSICS = {
    "name": "physics",
    "networks": [lab(loadbalancer=["203.0.113.9"]), {"name": "six", "subnets": ["2001:db8:1::/64"]}],
}
HISTORY = {"name": "history", "networks": [{"name": "archive", "subnets": ["198.51.100.0/25", "2001:db8:2::/64"]}]}


def _policy(*tenants: dict[str, Any], site: dict[str, Any] | None = None) -> dict[str, Any]:
    """The first tenant's."""
    first = next(iter(networkpolicy.emit(small(*tenants, site=site))))
    spec: dict[str, Any] = first["spec"]
    return spec


def _blocks(spec: dict[str, Any], direction: str) -> list[dict[str, Any]]:
    key = {"ingress": "from", "egress": "to"}[direction]
    return [peer["ipBlock"] for rule in spec[direction] for peer in rule[key] if "ipBlock" in peer]


def _passes(spec: dict[str, Any], direction: str, address: str) -> bool:
    """Whether an ipBlock lets *address* through, as Kubernetes defines it."""
    wanted = ip_address(address)

    def matches(block: dict[str, Any]) -> bool:
        inside = wanted in ip_network(block["cidr"])
        return inside and not any(wanted in ip_network(one) for one in block.get("except", ()))

    return any(matches(block) for block in _blocks(spec, direction))


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        ("203.0.113.77", True),  # an instrument on its own VLAN
        ("2001:db8:1::77", True),
        ("1.1.1.1", True),
        ("2606:4700::1111", True),
        ("198.51.100.9", False),  # another tenant's network
        ("198.51.100.200", True),  # beside it
        ("2001:db8:2::9", False),
        ("10.244.3.4", False),  # Pods and Services: by selectors only
        ("10.96.0.1", False),
        ("fd00:10:244::1", False),
        ("fd00:10:96::1", False),
        ("192.0.2.10", False),  # nodes: kubelet, node ports, the API server
        ("fd00:192::10", False),
        ("169.254.169.254", False),  # metadata
        ("fe80::a9fe:a9fe", False),
        ("fd00:ec2::254", False),
        ("fd20:ce::254", False),
    ],
)
def test_where_pods_may_go(address: str, passes: bool) -> None:
    assert _passes(_policy(PHYSICS, HISTORY), "egress", address) is passes


@pytest.mark.parametrize(
    ("address", "passes"),
    [
        ("203.0.113.77", True),  # an instrument, its address kept (externalTrafficPolicy: Local)
        ("2001:db8:1::77", True),
        ("192.0.2.10", True),  # the node that forwards (externalTrafficPolicy: Cluster)
        ("fd00:192::10", True),
        ("198.51.100.9", False),
        ("10.244.3.4", False),
        ("1.1.1.1", False),
        ("2606:4700::1111", False),
    ],
)
def test_who_may_come_in_by_address(address: str, passes: bool) -> None:
    assert _passes(_policy(PHYSICS, HISTORY), "ingress", address) is passes


def test_both_directions_are_closed_for_every_pod() -> None:
    spec = _policy({"name": "physics"})
    assert spec["podSelector"] == {}
    assert spec["policyTypes"] == ["Ingress", "Egress"]
    assert _blocks(_policy({"name": "physics"}), "ingress") == [{"cidr": one} for one in CLUSTER["nodes"]]


@pytest.mark.parametrize(("direction", "key"), [("ingress", "from"), ("egress", "to")])
def test_which_namespaces_are_let_through(direction: str, key: str) -> None:
    site = {"cluster": {**CLUSTER, "hub_namespace": "hub", "ingress_namespaces": ["ingress-nginx", "hub"]}}
    spec = _policy(PHYSICS, HISTORY, site=site)
    selected = [peer["namespaceSelector"]["matchLabels"] for peer in spec[direction][0][key] if "ipBlock" not in peer]
    named = "kubernetes.io/metadata.name"
    assert selected == [{f"{DOMAIN}/tenant": "physics"}, {named: "hub"}, {named: "ingress-nginx"}]


def test_of_kube_system_only_dns() -> None:
    _, dns = _policy(PHYSICS)["egress"]
    assert dns == {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"protocol": "UDP", "port": 53}, {"protocol": "TCP", "port": 53}],
    }


def test_nodes_in_the_laboratorys_network_stay_closed() -> None:
    """A small site whose nodes stand in the laboratory: the rest of the network is reached, the nodes are not."""
    site = {"cluster": {**CLUSTER, "nodes": ["203.0.113.0/28"]}}
    spec = _policy(PHYSICS, site=site)
    assert _passes(spec, "egress", "203.0.113.77")
    assert not _passes(spec, "egress", "203.0.113.7")
    inside = small(PHYSICS, site={"cluster": {**CLUSTER, "nodes": ["203.0.112.0/23"]}})
    (found,) = networkpolicy.emit(inside)
    assert not _passes(found["spec"], "egress", "203.0.113.77"), "wholly inside: config.check.cluster refuses it"


def test_a_tenant_that_comes_changes_nobodys_wall() -> None:
    """Whoever reads the plan of a new tenant sees that tenant and nothing else."""
    assert _policy(PHYSICS) == _policy(PHYSICS, HISTORY)


def test_exceptions_lie_strictly_inside_and_never_overlap() -> None:
    """What the API server asks of an ipBlock; ranges that lie side by side are one."""
    ranges = [f"10.1.{n}.0/24" for n in range(256)]
    spec = _policy(PHYSICS, site={"cluster": {**CLUSTER, "laboratories": [*CLUSTER["laboratories"], *ranges]}})
    for direction in ("ingress", "egress"):
        for block in _blocks(spec, direction):
            exceptions = [ip_network(one) for one in block.get("except", ())]
            for one in exceptions:
                assert one.subnet_of(ip_network(block["cidr"]))  # type: ignore[arg-type]
                assert str(one) != block["cidr"]
            for number, one in enumerate(exceptions):
                assert not any(one.overlaps(other) for other in exceptions[:number])
    everywhere = next(block for block in _blocks(spec, "egress") if block["cidr"] == "0.0.0.0/0")
    assert "10.1.0.0/16" in everywhere["except"]


def test_only_coders_pods_of_a_tenant_that_may_have_one_reach_the_api_server() -> None:
    world = small({**PHYSICS, "profiles": ["workspaces"]}, HISTORY)
    sizes = [{"name": "small", "cpu": 1, "memory": "1Gi"}]
    profile = {"name": "workspaces", "kind": "coder", "title": "Coder", "sizes": sizes}
    world.profiles["workspaces"] = Profile.model_validate(profile)  # type: ignore[index]
    made = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in networkpolicy.emit(world)}
    opened = {place for place in made if place[1] != networkpolicy.NAME}
    assert opened == {("tenant-physics", networkpolicy.API_SERVER)}
    spec = made["tenant-physics", networkpolicy.API_SERVER]["spec"]
    kind = {"key": f"{DOMAIN}/kind", "operator": "In", "values": ["coder"]}
    assert spec["podSelector"] == {"matchExpressions": [kind]} and spec["policyTypes"] == ["Egress"]
    assert _passes(spec, "egress", "10.96.0.1") and _passes(spec, "egress", "fd00:192::10")
    assert not _passes(spec, "egress", "10.244.3.4"), "other tenants' Pods"
    (rule,) = spec["egress"]
    assert [one["port"] for one in rule["ports"]] == [443, 6443], "no kubelet, no node port"
    wall = made["tenant-physics", networkpolicy.NAME]
    assert wall == next(iter(networkpolicy.emit(small(PHYSICS, HISTORY)))), "the wall itself is as without it"


def test_cilium_has_a_wall_of_its_own() -> None:
    assert list(networkpolicy.emit(small(PHYSICS, site={"addons": {"cilium": True}}))) == []
