"""Services on a real API server: no port on nodes, and no address that is not the tenant's, however it is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from config.names import namespace
from tests.cluster.admission.attacks import Attack, Legal
from tests.cluster.admission.hall import BARE, HISTORY, PHYSICS, Hall, collection, merged, service, tried
from tests.cluster.admission.test_pods import MERGE, by_id, refusal, says

RANGES = "192.0.2.16/28, 203.0.113.7/32, 2001:db8:a::10/124"
BALANCED = {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}
PREFIXES = ("metallb.io", "metallb.universe.tf")


def balanced(spec: dict[str, Any] | None = None, **annotations: str) -> dict[str, Any]:
    """Laid over a Service; *annotations* are MetalLB's, by the newer prefix."""
    found: dict[str, Any] = {"spec": {**BALANCED, **(spec or {})}}
    if annotations:
        names = {"ips": "loadBalancerIPs", "pool": "address-pool", "shared": "allow-shared-ip"}
        found["metadata"] = {"annotations": {f"metallb.io/{names[key]}": text for key, text in annotations.items()}}
    return found


def annotated(values: dict[str, str], spec: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"metadata": {"annotations": values}, "spec": {**BALANCED, **(spec or {})}}


def port(**fields: Any) -> dict[str, Any]:
    return {"ports": [{"name": "ftp", "port": 21, **fields}]}


_ASKS = "the Service asks for address"
_NOT_OURS = (
    "192.0.2.64",  # history's
    "192.0.2.15",  # just below
    "192.0.2.32",  # just above
    "10.0.0.1",
    "::ffff:192.0.2.64",
    "::ffff:192.0.2.16",  # the tenant's, but in a spelling that only Go's net.ParseIP reads
    "::ffff:c000:240",
    "::192.0.2.64",
    "2001:db8:a::20",
    "2001:DB8:A::F",
    "2001:0db8:000a:0000:0000:0000:0000:0020",
    "fe80::1%eth0",
    "192.0.2.016",
    "0300.0.2.16",
    "3221225984",
    "192.0.2.16/28",
    "192.0.2.16-192.0.2.64",
    "lab.example.org",
)


def _addresses() -> Iterator[Attack]:
    for address in _NOT_OURS:
        words = (f'{_ASKS} "{address}": tenant {PHYSICS} has {RANGES}',)
        for prefix in PREFIXES:
            yield Attack("addresses", f"{prefix} {address}", annotated({f"{prefix}/loadBalancerIPs": address}), words)
        if not {"/", "%", "-"} & set(address):
            yield Attack("addresses", f"field {address}", balanced({"loadBalancerIP": address}), words)
    foreign = (f'{_ASKS} "192.0.2.64"',)
    lists = {
        "the second": "192.0.2.16,192.0.2.64",
        "blanks": " 192.0.2.16 ,\t192.0.2.64 ",
        "the first": "192.0.2.64,192.0.2.16",
        "after an empty one": "192.0.2.16,,192.0.2.64",
        "a line break": "192.0.2.16\n,192.0.2.64",
        "no-break space": "192.0.2.16,\u00a0192.0.2.64",
    }
    for title, text in lists.items():
        yield Attack("addresses", title, balanced(ips=text), foreign)
    yield Attack("addresses", "with semicolons", balanced(ips="192.0.2.16;192.0.2.64"), (_ASKS,))
    yield Attack("addresses", "only a blank", balanced(ips=" "), (f'{_ASKS} ""',))
    both = {"metallb.io/loadBalancerIPs": "192.0.2.16", "metallb.universe.tf/loadBalancerIPs": "192.0.2.64"}
    yield Attack("addresses", "hidden behind a good one", annotated(both), foreign)
    empty = {"metallb.io/loadBalancerIPs": "", "metallb.universe.tf/loadBalancerIPs": "192.0.2.64"}
    yield Attack("addresses", "hidden behind an empty one", annotated(empty), foreign)
    hidden = annotated({"metallb.io/loadBalancerIPs": "192.0.2.16"}, {"loadBalancerIP": "192.0.2.64"})
    yield Attack("addresses", "field behind an annotation", hidden, foreign)
    yield Attack(
        "addresses", "from a tenant without", balanced(ips="192.0.2.64"), (f"tenant {BARE} has none",), tenant=BARE
    )


ATTACKS = (
    Attack("type", "NodePort", {"spec": {"type": "NodePort"}}, ("type NodePort opens a port on every node",)),
    Attack("type", "NodePort of a number", {"spec": {"type": "NodePort", **port(nodePort=30021)}}, ("type NodePort",)),
    Attack(
        "type",
        "ExternalName",
        {"spec": {"type": "ExternalName", "externalName": f"db.tenant-{HISTORY}.svc.cluster.local"}},
        (f"type ExternalName (db.tenant-{HISTORY}.svc.cluster.local) leads around the wall",),
    ),
    Attack(
        "nodePortsOff",
        "by default",
        {"spec": {"type": "LoadBalancer"}},
        ("write spec.allocateLoadBalancerNodePorts: false",),
    ),
    Attack(
        "nodePortsOff",
        "asked for",
        balanced({"allocateLoadBalancerNodePorts": True}),
        ("write spec.allocateLoadBalancerNodePorts: false",),
    ),
    Attack("nodePorts", "a number", balanced(port(nodePort=30021)), ("has nodePort 30021, open on every node",)),
    Attack(
        "nodePorts",
        "the last of several",
        balanced(
            {
                "ports": [
                    {"name": "a", "port": 1},
                    {"name": "b", "port": 2, "protocol": "UDP"},
                    {"name": "c", "port": 3, "nodePort": 30022},
                ]
            }
        ),
        ("has nodePort 30022",),
    ),
    Attack("externalIPs", "another's", {"spec": {"externalIPs": ["192.0.2.64"]}}, ("spec.externalIPs has 192.0.2.64",)),
    Attack("externalIPs", "even its own", {"spec": {"externalIPs": ["192.0.2.16"]}}, ("spec.externalIPs has 192.0.2",)),
    Attack(
        "externalIPs",
        "several, IPv6",
        balanced({"externalIPs": ["203.0.113.9", "2001:db8::9"]}),
        ("has 203.0.113.9", "has 2001:db8::9"),
    ),
    Attack("hasAddresses", "whatever comes", balanced(), (f"tenant {BARE} has no LoadBalancer addresses",), BARE),
    *_addresses(),
    *(
        Attack(
            "pools",
            f"{prefix} {pool}",
            annotated({f"{prefix}/address-pool": pool}),
            (f"asks for address pool {pool}: pools of tenant {PHYSICS} begin with tenant-{PHYSICS}.",),
        )
        for prefix in PREFIXES
        for pool in (
            f"tenant-{HISTORY}.lab-h",
            "default",
            f"tenant-{PHYSICS}",
            f"tenant-{PHYSICS}-2.lab-a",
            "Tenant-x.a",
        )
    ),
    Attack(
        "pools",
        "hidden behind a good one",
        annotated({"metallb.io/address-pool": f"tenant-{PHYSICS}.lab-a", "metallb.universe.tf/address-pool": "other"}),
        ("asks for address pool other:",),
    ),
    Attack(
        "loadBalancerClass",
        "another controller",
        balanced({"loadBalancerClass": "io.cilium/l2-announcer"}),
        ("spec.loadBalancerClass is io.cilium/l2-announcer",),
    ),
)
LEGAL = (
    Legal("ClusterIP"),
    Legal("headless", {"spec": {"clusterIP": "None"}}),
    Legal("any address of the tenant", balanced()),
    Legal("first", balanced(ips="192.0.2.16")),
    Legal("last", balanced(ips="192.0.2.31")),
    Legal("of another range", balanced(ips="203.0.113.7")),
    Legal("both families, blanks", balanced(ips=" 192.0.2.17 , 2001:db8:a::1f ")),
    Legal("IPv6 at length", balanced(ips="2001:0DB8:000A:0:0:0:0:10")),
    Legal("older annotation", annotated({"metallb.universe.tf/loadBalancerIPs": "192.0.2.17"})),
    Legal("older field", balanced({"loadBalancerIP": "192.0.2.17"})),
    Legal(
        "empty, as helm charts leave it", annotated({"metallb.io/loadBalancerIPs": "", "metallb.io/address-pool": ""})
    ),
    Legal("own pool", balanced(pool=f"tenant-{PHYSICS}.lab-a")),
    Legal("address shared among its own", balanced(ips="192.0.2.17", shared="ftp")),
    Legal("sources kept", balanced({"externalTrafficPolicy": "Local", "loadBalancerSourceRanges": ["192.0.2.0/24"]})),
    Legal("MetalLB by class", balanced({"loadBalancerClass": "metallb.io/metallb"})),
    Legal("a wish that nobody reads", {"metadata": balanced(ips="192.0.2.64", pool="other")["metadata"]}),
    Legal("no addresses, no wish", {}, BARE),
)


@pytest.mark.parametrize("attack", ATTACKS, ids=by_id)
def test_service_is_refused(people: Hall, attack: Attack) -> None:
    """Created, applied, tried, and made of a good one afterwards, by whomever."""
    bad, where = merged(service(), attack.over), namespace(attack.tenant)
    at_all = collection("services", where)
    good = people.operator.request("POST", at_all, body=service())
    path = f"{at_all}/{good['metadata']['name']}"
    for who in (people.member(attack.tenant), people.admin(attack.tenant), people.operator):
        says(refusal(who.request, "POST", at_all, body=bad), "services", attack)
        says(tried(who, "services", bad, where), "services", attack)
        says(refusal(who.apply, f"{at_all}/{bad['metadata']['name']}", bad, force=True), "services", attack)
        over = merged(attack.over, {"spec": {}})
        says(refusal(who.request, "PATCH", path, body=over, content_type=MERGE), "services", attack)
    people.operator.delete(path)


@pytest.mark.parametrize("legal", LEGAL, ids=by_id)
def test_what_is_right_passes(people: Hall, legal: Legal) -> None:
    who, where = people.member(legal.tenant), namespace(legal.tenant)
    at_all = collection("services", where)
    made = who.request("POST", at_all, query={"fieldValidation": "Strict"}, body=merged(service(), legal.over))
    path = f"{at_all}/{made['metadata']['name']}"
    who.request("PATCH", path, body={"metadata": {"labels": {"note": "fine"}}}, content_type=MERGE)
    who.delete(path)


@pytest.fixture
def served(people: Hall) -> Iterator[str]:
    """Path of a Service of type LoadBalancer, as a member made it."""
    at_all = collection("services", namespace(PHYSICS))
    made = people.member().request("POST", at_all, body=merged(service(), balanced()))
    yield f"{at_all}/{made['metadata']['name']}"
    people.operator.delete(f"{at_all}/{made['metadata']['name']}")


def given(*addresses: str) -> dict[str, Any]:
    return {"status": {"loadBalancer": {"ingress": [{"ip": address} for address in addresses]}}}


@pytest.mark.parametrize("address", ["192.0.2.64", "192.0.2.32", "8.8.8.8", "2001:db8:a::20"])
def test_address_of_others_is_not_given_out(people: Hall, served: str, address: str) -> None:
    """MetalLB's own write is refused if a pool of its fails open; kube-proxy would act on it at once."""
    for addresses in ((address,), ("192.0.2.17", address)):
        message = refusal(
            people.operator.request, "PATCH", f"{served}/status", body=given(*addresses), content_type=MERGE
        )
        assert f'status gives out address "{address}": tenant {PHYSICS} has {RANGES}' in message
    whole = merged(people.operator.request("GET", served), given(address))
    assert "status gives out" in refusal(people.operator.request, "PUT", f"{served}/status", body=whole)
    assert people.operator.request("GET", served)["status"]["loadBalancer"] == {}


def test_own_address_is_given_out(people: Hall, served: str) -> None:
    body = given("192.0.2.17", "2001:db8:a::11")
    told = people.operator.request("PATCH", f"{served}/status", body=body, content_type=MERGE)
    assert [one["ip"] for one in told["status"]["loadBalancer"]["ingress"]] == ["192.0.2.17", "2001:db8:a::11"]
    # and what MetalLB writes beside it
    note = {"metadata": {"annotations": {"metallb.io/ip-allocated-from-pool": f"tenant-{PHYSICS}.lab-a"}}}
    people.operator.request("PATCH", served, body=note, content_type=MERGE)


def test_annotation_by_way_of_the_status_is_refused(people: Hall, served: str) -> None:
    over = {"metadata": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.64"}}}
    message = refusal(people.operator.request, "PATCH", f"{served}/status", body=over, content_type=MERGE)
    assert 'asks for address "192.0.2.64"' in message


def test_node_port_is_refused_afterwards(people: Hall, served: str) -> None:
    """One field at a time, each harmless by itself in the request that brings it."""
    who = people.member()
    for spec, words in (
        ({"allocateLoadBalancerNodePorts": True}, "write spec.allocateLoadBalancerNodePorts: false"),
        (port(nodePort=30023), "has nodePort 30023"),
        ({"type": "NodePort"}, "type NodePort"),
        ({"externalIPs": ["192.0.2.64"]}, "spec.externalIPs has 192.0.2.64"),
    ):
        message = refusal(who.request, "PATCH", served, body={"spec": spec}, content_type=MERGE)
        assert words in message


@pytest.mark.parametrize(
    ("over", "words"),
    [
        ({"metadata": balanced(ips="192.0.2.64")["metadata"]}, 'the Service asks for address "192.0.2.64"'),
        ({"metadata": balanced(pool="other")["metadata"]}, "the Service asks for address pool other"),
        ({"metadata": {"annotations": {"metallb.universe.tf/loadBalancerIPs": "192.0.2.64"}}}, '"192.0.2.64"'),
        ({"metadata": {"annotations": {"metallb.universe.tf/address-pool": "other"}}}, "pool other"),
    ],
)
def test_wish_counts_when_the_type_changes(people: Hall, over: dict[str, Any], words: str) -> None:
    """Asked for as ClusterIP, when nobody looks; had as LoadBalancer."""
    who, at_all = people.member(), collection("services", namespace(PHYSICS))
    made = who.request("POST", at_all, body=merged(service(), over))
    path = f"{at_all}/{made['metadata']['name']}"
    assert words in refusal(who.request, "PATCH", path, body={"spec": BALANCED}, content_type=MERGE)
    who.delete(path)
