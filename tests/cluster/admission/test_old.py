"""Objects that were there before a policy, or that their tenant has lost the right to: they can be kept and removed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from config.cluster.client import ApiError
from config.emit import rbac
from config.models import World
from config.names import namespace
from tests.cluster.admission.attacks import image, label, tolerate
from tests.cluster.admission.hall import (
    HISTORY,
    KEYS,
    RUN,
    SITE,
    TEMPLATES,
    Hall,
    at,
    collection,
    in_force,
    merged,
    path_of,
    pod,
    service,
    tenant,
    workload,
)
from tests.cluster.admission.test_pods import MERGE, refusal

OLD = f"old{RUN}"
WHERE = namespace(OLD)
BAD_POD = merged(
    merged(pod(), label(KEYS.egress_policy, "lab-x")),
    merged(image("evil.example.org/x"), merged(tolerate(operator="Exists"), {"spec": {"nodeName": "n2"}})),
)
BAD_SERVICE = merged(
    service(),
    {
        "metadata": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.64", "metallb.io/address-pool": "other"}},
        "spec": {"type": "LoadBalancer", "externalIPs": ["192.0.2.65"]},
    },
)


@dataclass(frozen=True)
class Old:
    """Paths of what is not allowed any more."""

    paths: dict[str, str]


@pytest.fixture(scope="module")
def old(people: Hall) -> Iterator[Old]:
    """A namespace that becomes a tenant's when all sorts of things are already in it."""
    operator = people.operator
    # the API server refuses a Pod whose ServiceAccount has not come yet, so that one is made here
    home = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": WHERE}}
    operator.request("POST", "/api/v1/namespaces", body=home)
    account = {"metadata": {"name": "default"}}
    operator.request("PATCH", f"/api/v1/namespaces/{WHERE}/serviceaccounts/default", **_applied(account))
    bodies = {"pods": BAD_POD, "services": BAD_SERVICE}
    for kind, plural in TEMPLATES.items():
        bodies[plural] = merged(workload(kind), at(kind, image("evil.example.org/x")))
    for plural, body in bodies.items():
        operator.request("POST", collection(plural, WHERE), body=body)
    body = {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.64"}]}}}
    where = collection("services", WHERE, BAD_SERVICE["metadata"]["name"])
    operator.request("PATCH", f"{where}/status", body=body, content_type=MERGE)
    for manifest in rbac.emit(World(SITE, {}, {OLD: tenant(OLD)})):
        operator.apply(path_of(manifest), manifest)
    operator.request("PATCH", f"/api/v1/namespaces/{WHERE}", body=label(KEYS.tenant, OLD), content_type=MERGE)
    in_force(people, OLD)
    yield Old({plural: collection(plural, WHERE, body["metadata"]["name"]) for plural, body in bodies.items()})
    operator.delete(f"/api/v1/namespaces/{WHERE}")


def _applied(body: dict[str, Any]) -> dict[str, Any]:
    body = {"apiVersion": "v1", "kind": "ServiceAccount", **body}
    return {"body": body, "content_type": "application/apply-patch+yaml", "query": {"fieldManager": "test"}}


@pytest.mark.parametrize("plural", ["pods", "services", *TEMPLATES.values()])
def test_old_fault_does_not_block_what_has_nothing_to_do_with_it(people: Hall, old: Old, plural: str) -> None:
    for finalizers in (["example.org/held"], []):
        over = {"metadata": {"finalizers": finalizers, "labels": {"note": "x"}, "annotations": {"note": "y"}}}
        people.operator.request("PATCH", old.paths[plural], body=over, content_type=MERGE)


@pytest.mark.parametrize(
    ("plural", "over", "words"),
    [
        ("pods", label(KEYS.egress_policy, "lab-y"), "says lab-y"),
        ("services", {"metadata": {"annotations": {"metallb.io/loadBalancerIPs": "192.0.2.66"}}}, '"192.0.2.66"'),
        ("services", {"metadata": {"annotations": {"metallb.universe.tf/loadBalancerIPs": "192.0.2.66"}}}, '2.66"'),
        ("services", {"spec": {"externalIPs": ["192.0.2.65", "192.0.2.66"]}}, "has 192.0.2.66"),
        ("services", {"spec": {"type": "NodePort"}}, "type NodePort"),
        ("deployments", at("Deployment", image("evil.example.org/y")), "image evil.example.org/y"),
        ("cronjobs", at("CronJob", image("evil.example.org/y")), "image evil.example.org/y"),
        ("daemonsets", at("DaemonSet", {"spec": {"nodeName": "n1"}}), "spec.nodeName is n1"),
    ],
)
def test_old_fault_excuses_no_new_one(people: Hall, old: Old, plural: str, over: dict[str, Any], words: str) -> None:
    message = refusal(people.operator.request, "PATCH", old.paths[plural], body=over, content_type=MERGE)
    assert words in message
    # the old ones are not told again
    assert "evil.example.org/x" not in message
    assert "192.0.2.65" not in message


def test_old_address_is_not_had_again(people: Hall, old: Old) -> None:
    """What is set right stays right: back as LoadBalancer it is a new fault, even in the same words."""
    path = old.paths["services"]
    right = {"spec": {"type": "ClusterIP", "externalIPs": None}}
    people.operator.request("PATCH", path, body=right, content_type=MERGE)
    over = {"spec": {"type": "LoadBalancer", "allocateLoadBalancerNodePorts": False}}
    message = refusal(people.operator.request, "PATCH", path, body=over, content_type=MERGE)
    assert 'the Service asks for address "192.0.2.64"' in message
    assert "the Service asks for address pool other" in message


def test_status_of_an_old_pod_is_written(people: Hall, old: Old) -> None:
    body = {"status": {"phase": "Running"}}
    told = people.operator.request("PATCH", f"{old.paths['pods']}/status", body=body, content_type=MERGE)
    assert told["status"]["phase"] == "Running"


@pytest.mark.parametrize("plural", [*TEMPLATES.values(), "services", "pods"])
def test_old_objects_are_removed_by_their_people(people: Hall, old: Old, plural: str) -> None:
    """With a finaliser, too: whoever holds it lets go by an update of the object as it is."""
    path = old.paths[plural]
    people.operator.request("PATCH", path, body={"metadata": {"finalizers": ["example.org/held"]}}, content_type=MERGE)
    own = plural in ("pods", "services", "deployments", "jobs", "cronjobs")
    who = people.member(OLD) if own else people.operator
    body: dict[str, Any] = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}
    who.request("DELETE", path, body=body)
    assert people.operator.request("GET", path)["metadata"]["deletionTimestamp"]
    people.operator.request("PATCH", path, body={"metadata": {"finalizers": []}}, content_type=MERGE)
    assert people.operator.get(path) is None


def test_new_objects_are_refused_all_the_same(people: Hall, old: Old) -> None:
    for plural, body in (("pods", BAD_POD), ("services", BAD_SERVICE)):
        again = merged(body, {"metadata": {"name": "again"}})
        with pytest.raises(ApiError, match="denied request"):
            people.operator.request("POST", collection(plural, WHERE), body=again)
    bad = merged(pod(), label(KEYS.tenant, HISTORY))
    message = refusal(people.member(OLD).request, "POST", collection("pods", WHERE), body=bad)
    assert f"belongs to tenant {OLD}" in message
