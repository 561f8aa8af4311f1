"""Large objects and large tenants: CEL's cost limits hold, and a long refusal is still ours."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import pytest

from config.emit.admission.policy import MESSAGE_LIMIT
from config.names import namespace
from tests.cluster.admission.hall import (
    HISTORY,
    KEYS,
    PHYSICS,
    RUN,
    TEMPLATES,
    Hall,
    at,
    collection,
    container,
    in_force,
    merged,
    pod,
    service,
    tried,
    workload,
)
from tests.cluster.admission.test_services import balanced

BIG = f"big{RUN}"
WHERE = namespace(BIG)
RANGES = [str(net) for net in ip_network("2001:db8:b::/56").subnets(new_prefix=64)][:200]
MANY_PORTS = {"ports": [{"name": f"p{number}", "port": number} for number in range(1, 101)]}


@pytest.fixture(scope="module")
def big(people: Hall) -> Iterator[str]:
    """A tenant of 200 ranges and 100 networks."""
    home = {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": WHERE,
            "labels": {KEYS.tenant: BIG},
            "annotations": {
                KEYS.loadbalancer_addresses: " ".join(RANGES),
                KEYS.egress_networks: " ".join(f"lab-{number}" for number in range(100)),
            },
        },
    }
    people.operator.request("POST", "/api/v1/namespaces", body=home)
    in_force(people, BIG)
    yield WHERE
    people.operator.delete(f"/api/v1/namespaces/{WHERE}")


def test_service_of_a_hundred_ports_and_forty_addresses(people: Hall, big: str) -> None:
    """Forty in the last range, so that every range is looked at for each."""
    last = RANGES[-1].removesuffix("/64")
    good = ",".join(f"{last}{number:x}" for number in range(1, 41))
    over = merged(
        balanced(MANY_PORTS, ips=good), {"metadata": {"annotations": {"metallb.universe.tf/loadBalancerIPs": good}}}
    )
    assert tried(people.operator, "services", merged(service(), over), big) == ""
    bad = merged(over, balanced(MANY_PORTS, ips=good + ",192.0.2.64"))
    assert 'asks for address "192.0.2.64"' in tried(people.operator, "services", merged(service(), bad), big)
    made = people.operator.request("POST", collection("services", big), body=merged(service(), over))
    path = collection("services", big, made["metadata"]["name"])
    people.operator.request(
        "PATCH", path, body={"metadata": {"labels": {"a": "b"}}}, content_type="application/merge-patch+json"
    )


@pytest.mark.parametrize("kind", ["Pod", *TEMPLATES])
def test_fifty_containers_and_tolerations(people: Hall, big: str, kind: str) -> None:
    every = [container(f"registry.example.org/research/tool:{number}", f"c{number}") for number in range(50)]
    tolerated = [{"key": f"node.kubernetes.io/x{number}", "operator": "Exists"} for number in range(50)]
    terms = [{"matchExpressions": [{"key": f"k{number}", "operator": "Exists"}]} for number in range(50)]
    chosen = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}
    over = {
        "metadata": {
            "labels": {**{f"l{number}": "x" for number in range(50)}, KEYS.egress_policy: "lab-99", "app": "x"}
        },
        "spec": {
            "containers": every,
            "initContainers": [{**one, "name": f"i{one['name']}"} for one in every],
            "tolerations": tolerated,
            "nodeSelector": {f"s{number}": "x" for number in range(50)},
            "affinity": {"nodeAffinity": chosen},
        },
    }
    body = merged(pod(), over) if kind == "Pod" else merged(workload(kind), at(kind, over))
    plural = "pods" if kind == "Pod" else TEMPLATES[kind]
    assert tried(people.operator, plural, body, big) == ""
    broken = {"spec": {"containers": [*every[:-1], container("evil.example.org/x", "c49")]}}
    bad = merged(body, broken if kind == "Pod" else at(kind, broken))
    assert "image evil.example.org/x does not come" in tried(people.operator, plural, bad, big)


def test_long_refusal_is_cut_and_stays_ours(people: Hall) -> None:
    """Above 5 KiB, or with a line break, the API server would say its fixed message."""
    name = "evil.example.org/" + "x" * 80
    bad = {"spec": {"containers": [container(f"{name}:{number}", f"c{number}") for number in range(50)]}}
    message = tried(people.member(), "pods", merged(pod(), bad), namespace(PHYSICS))
    assert f"image {name}:0 does not come" in message
    assert message.endswith(" ... and more")
    assert len(message) < MESSAGE_LIMIT + 300
    breaks = merged(service(), balanced(ips="192.0.2.64\nand\rthis"))
    said = tried(people.member(), "services", breaks, namespace(PHYSICS))
    assert 'asks for address "192.0.2.64 and this"' in said
    wide = merged(service(), balanced(ips="研" * 5000))
    assert "asks for address" in tried(people.member(HISTORY), "services", wide, namespace(HISTORY))
