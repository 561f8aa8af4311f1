"""Pods and their templates on a real API server: every rule has attacks that must fail, and what is right must pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from config.cluster.client import ApiError, Cluster
from config.emit import admission
from config.names import namespace
from tests.cluster.admission.attacks import LEGAL_PODS, OF_PODS, Attack, Legal, image, label, tolerate
from tests.cluster.admission.hall import (
    BARE,
    HISTORY,
    KEYS,
    OF_PEOPLE,
    PHYSICS,
    TEMPLATES,
    WORLD,
    Hall,
    at,
    collection,
    config_map,
    container,
    merged,
    path_of,
    pod,
    service,
    tried,
    unique_name,
    until,
    workload,
)

MERGE = "application/merge-patch+json"


def by_id(case: Attack | Legal) -> str:
    return case.id if isinstance(case, Attack) else case.title


def refusal(call: Callable[..., Any], *args: Any, **more: Any) -> str:
    """What the API server says against `call(*args, **more)`."""
    with pytest.raises(ApiError) as caught:
        call(*args, **more)
    assert caught.value.status == 403, caught.value.message
    return caught.value.message


def says(message: str, policy: str, attack: Attack) -> None:
    assert f"'{policy}.{WORLD.site.label_domain}'" in message
    for words in attack.says:
        assert words in message


@pytest.mark.parametrize("attack", OF_PODS, ids=by_id)
def test_pod_is_refused(people: Hall, attack: Attack) -> None:
    """Whoever asks, and whichever way: create, dry run, a name made by the server, server-side apply."""
    bad, where = merged(pod(), attack.over), namespace(attack.tenant)
    at_all = collection("pods", where)
    unnamed = merged(bad, {"metadata": {"name": None, "generateName": "x-"}})
    for who in (people.member(attack.tenant), people.admin(attack.tenant), people.operator):
        says(refusal(who.request, "POST", at_all, body=bad), "pods", attack)
        says(tried(who, "pods", bad, where), "pods", attack)
        says(refusal(who.request, "POST", at_all, body=unnamed), "pods", attack)
        says(refusal(who.apply, f"{at_all}/{bad['metadata']['name']}", bad, force=True), "pods", attack)


FIRST_OF_EACH_RULE = {attack.rule: attack for attack in reversed(OF_PODS)}.values()
ON_TEMPLATES = [
    pytest.param(kind, attack, id=f"{kind}: {attack.id}")
    for kind in TEMPLATES
    for attack in (OF_PODS if kind in ("Deployment", "CronJob") else FIRST_OF_EACH_RULE)
]


@pytest.mark.parametrize(("kind", "attack"), ON_TEMPLATES)
def test_template_is_refused(people: Hall, kind: str, attack: Attack) -> None:
    """At `kubectl apply`, and when a good one is changed; a CronJob's is one floor deeper."""
    plural, where = TEMPLATES[kind], namespace(attack.tenant)
    who = people.member(attack.tenant) if plural in OF_PEOPLE else people.operator
    policy = "cronjobs" if kind == "CronJob" else "templates"
    over = at(kind, attack.over)
    says(tried(who, plural, merged(workload(kind), over), where), policy, attack)
    if kind == "Job":
        return  # its template does not change, but for what the next test tries
    good = workload(kind)
    path = collection(plural, where, good["metadata"]["name"])
    people.operator.request("POST", collection(plural, where), body=good)
    says(refusal(who.request, "PATCH", path, body=over, content_type=MERGE), policy, attack)
    people.operator.delete(path)


LATE = [attack for attack in OF_PODS if attack.rule in ("nodeSelector", "requiredNodes", "tolerations")]


@pytest.mark.parametrize("attack", LATE, ids=by_id)
def test_where_it_runs_is_not_changed_later(people: Hall, attack: Attack) -> None:
    """Kubernetes lets suspended Jobs and Pods behind a scheduling gate be placed anew."""
    who, where = people.member(attack.tenant), namespace(attack.tenant)
    gated = merged(pod(), {"spec": {"schedulingGates": [{"name": "example.org/wait"}]}})
    tries = [("jobs", workload("Job"), at("Job", attack.over), "templates"), ("pods", gated, attack.over, "pods")]
    for plural, good, over, policy in tries:
        made = who.request("POST", collection(plural, where), body=good)
        path = collection(plural, where, made["metadata"]["name"])
        if plural == "pods" and "tolerations" in over["spec"]:
            over = {"spec": {"tolerations": [*made["spec"].get("tolerations", []), *over["spec"]["tolerations"]]}}
        says(refusal(who.request, "PATCH", path, body=over, content_type=MERGE), policy, attack)
        who.delete(path)


@pytest.mark.parametrize("legal", LEGAL_PODS, ids=by_id)
def test_what_is_right_passes(people: Hall, legal: Legal) -> None:
    who, where = people.member(legal.tenant), namespace(legal.tenant)
    assert tried(who, "pods", merged(pod(), legal.over), where) == ""
    for kind, plural in TEMPLATES.items():
        asker = who if plural in OF_PEOPLE else people.operator
        assert tried(asker, plural, merged(workload(kind), at(kind, legal.over)), where) == ""


@pytest.mark.parametrize("kind", TEMPLATES)
def test_template_of_others_workers_is_refused(people: Hall, kind: str) -> None:
    """PodNodeSelector would refuse its Pods, one by one and out of sight."""
    over = at(kind, {"spec": {"nodeSelector": {"lab": "history"}}})
    message = tried(people.operator, TEMPLATES[kind], merged(workload(kind), over), namespace(PHYSICS))
    assert f'has lab: "history", but Pods of tenant {PHYSICS} run where it is "physics": leave it out' in message
    right = at(kind, {"spec": {"nodeSelector": {"lab": "physics"}}})
    assert tried(people.operator, TEMPLATES[kind], merged(workload(kind), right), namespace(PHYSICS)) == ""


@pytest.fixture
def running(people: Hall) -> Iterator[Any]:
    """A good Pod of physics, as a member made it."""
    where = collection("pods", namespace(PHYSICS))
    made = people.member().request("POST", where, body=pod())
    yield made
    people.operator.request("DELETE", f"{where}/{made['metadata']['name']}", body={"gracePeriodSeconds": 0})


@pytest.mark.parametrize(
    ("over", "words"),
    [
        (label(KEYS.egress_policy, "lab-h"), "says lab-h"),
        (label("io.cilium.k8s.policy.cluster", "x"), "for Cilium alone"),
        (image("evil.example.org/x"), "image evil.example.org/x does not come"),
        (tolerate(operator="Exists"), "every taint (operator Exists)"),
    ],
)
def test_pod_made_worse_is_refused(people: Hall, running: Any, over: dict[str, Any], words: str) -> None:
    """What of a Pod may change at all; by three sorts of patch and a replacement."""
    path = collection("pods", namespace(PHYSICS), running["metadata"]["name"])
    if "tolerations" in over.get("spec", {}):
        over = {"spec": {"tolerations": [*running["spec"]["tolerations"], *over["spec"]["tolerations"]]}}
    if "containers" in over.get("spec", {}):
        (one,) = running["spec"]["containers"]
        over = {"spec": {"containers": [{**one, "image": over["spec"]["containers"][0]["image"]}]}}
    for who in (people.member(), people.admin(), people.operator):
        for sort in (MERGE, "application/strategic-merge-patch+json"):
            assert words in refusal(who.request, "PATCH", path, body=over, content_type=sort)
        whole = merged(who.request("GET", path), over)
        assert words in refusal(who.request, "PUT", path, body=whole)
    assert people.operator.request("GET", path)["metadata"]["resourceVersion"] == running["metadata"]["resourceVersion"]


def test_ephemeral_container_from_elsewhere_is_refused(people: Hall, running: Any) -> None:
    path = collection("pods", namespace(PHYSICS), running["metadata"]["name"]) + "/ephemeralcontainers"

    def debug(name: str) -> Any:
        body = {"spec": {"ephemeralContainers": [container(name, "debug")]}}
        sort = "application/strategic-merge-patch+json"
        return people.operator.request("PATCH", path, body=body, content_type=sort)

    assert "image evil.example.org/sh does not come from" in refusal(debug, "evil.example.org/sh")
    assert debug("python:3")["spec"]["ephemeralContainers"][0]["image"] == "python:3"


def test_label_by_way_of_the_status_is_refused(people: Hall, running: Any) -> None:
    """The API server takes labels from there as well; the status itself is the kubelet's to write."""
    path = collection("pods", namespace(PHYSICS), running["metadata"]["name"]) + "/status"
    over = label(KEYS.egress_policy, "lab-h")
    assert "says lab-h" in refusal(people.operator.request, "PATCH", path, body=over, content_type=MERGE)
    told = people.operator.request("PATCH", path, body={"status": {"message": "well"}}, content_type=MERGE)
    assert told["status"]["message"] == "well"


@pytest.mark.parametrize("resource", ["pods/binding", "bindings"])
def test_only_the_scheduler_places_pods(people: Hall, running: Any, resource: str) -> None:
    name, where = running["metadata"]["name"], namespace(PHYSICS)
    path = collection("pods", where, name) + "/binding" if "/" in resource else collection("bindings", where)
    body = {
        "apiVersion": "v1",
        "kind": "Binding",
        "metadata": {"name": name},
        "target": {"apiVersion": "v1", "kind": "Node", "name": "n2"},
    }
    _grant(people, where, resource)
    said = f"Pod {name} may not be bound to node n2 by hand"
    message = ""

    def bound_by_member() -> bool:
        nonlocal message
        message = refusal(people.member().request, "POST", path, body=body)
        return "cannot create resource" not in message  # the API server's authorizer has not seen the Role yet

    until("the Role is in force", bound_by_member)
    assert said in message
    assert people.acting("system:kube-scheduler").request("POST", path, body=body)["status"] == "Success"


def _grant(people: Hall, where: str, resource: str) -> None:
    """A Role that no tenant has: even an operator's mistake does not let people place Pods."""
    api = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{where}"
    name, group = unique_name(), "rbac.authorization.k8s.io"
    role = {"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": [resource], "verbs": ["create"]}]}
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": group, "kind": "User", "name": "grace"}],
    }
    people.operator.request("POST", f"{api}/roles", body=role)
    people.operator.request("POST", f"{api}/rolebindings", body=binding)


@pytest.mark.parametrize("plural", ["configmaps", "pods", "services", "deployments"])
def test_nobody_claims_anothers_label(people: Hall, plural: str) -> None:
    bodies = {"configmaps": config_map(), "pods": pod(), "services": service(), "deployments": workload("Deployment")}
    body, where, who = bodies[plural], namespace(PHYSICS), people.member()
    words = f"label {KEYS.tenant} says {HISTORY}, but this namespace belongs to tenant {PHYSICS}"
    bad = merged(body, label(KEYS.tenant, HISTORY))
    assert words in refusal(who.request, "POST", collection(plural, where), body=bad)
    assert words in refusal(who.apply, collection(plural, where, bad["metadata"]["name"]), bad, force=True)
    good = who.request("POST", collection(plural, where), body=merged(body, label(KEYS.tenant, PHYSICS)))
    path = collection(plural, where, good["metadata"]["name"])
    over = label(KEYS.tenant, HISTORY)
    assert words in refusal(who.request, "PATCH", path, body=over, content_type=MERGE)
    who.request("PATCH", path, body=label("note", "fine"), content_type=MERGE)
    who.delete(path)


def test_template_claims_no_other_tenant(people: Hall) -> None:
    for kind, plural in TEMPLATES.items():
        bad = merged(workload(kind), at(kind, label(KEYS.tenant, HISTORY)))
        assert f"belongs to tenant {PHYSICS}" in tried(people.operator, plural, bad, namespace(PHYSICS))


def test_every_rule_is_attacked() -> None:
    """No rule without an attack in these files; taking one out then fails a test, since each asks for its words."""
    from tests.cluster.admission.test_services import ATTACKS

    of_tests = {attack.rule for attack in (*OF_PODS, *ATTACKS)} | {"workers", "tenantLabel", "bindings", "assigned"}
    assert {rule.name for policy in admission.policies(WORLD) for rule in policy.rules} == of_tests


def test_other_namespaces_are_left_alone(people: Hall) -> None:
    wild = {"spec": {"nodeName": "n9", "tolerations": [{"operator": "Exists"}]}}
    assert tried(people.operator, "pods", merged(pod(), wild), "default") == ""
    assert tried(people.operator, "services", merged(service(), {"spec": {"type": "NodePort"}}), "default") == ""


def test_controllers_make_pods_of_good_templates(people: Hall) -> None:
    """Deployment → ReplicaSet → Pod, Job → Pod, DaemonSet → Pod on one node, all by the real controllers."""
    where, operator = namespace(PHYSICS), people.operator
    node = {"metadata": {"name": unique_name(), "labels": {KEYS.node(PHYSICS): "true", "lab": "physics"}}}
    operator.request("POST", "/api/v1/nodes", body=node)
    made = []
    try:
        for kind, over in (("Deployment", {"replicas": 1}), ("Job", {"suspend": False}), ("DaemonSet", {})):
            mark = {"run": unique_name()}
            more = {"selector": {"matchLabels": mark}} if kind != "Job" else {}
            body = merged(merged(workload(kind), {"spec": {**over, **more}}), at(kind, {"metadata": {"labels": mark}}))
            made.append(collection(TEMPLATES[kind], where, body["metadata"]["name"]))
            operator.request("POST", collection(TEMPLATES[kind], where), body=body)
            selector = f"run={mark['run']}"
            until(f"a Pod of the {kind}", partial(_pods, operator, selector))
            first = _pods(operator, selector)[0]
            assert first["spec"]["nodeSelector"] == {KEYS.node(PHYSICS): "true", "lab": "physics"}
    finally:
        for path in made:
            operator.delete(path)
        operator.delete(f"/api/v1/nodes/{node['metadata']['name']}")


def _pods(operator: Cluster, selector: str) -> list[Any]:
    return list(operator.list(collection("pods", namespace(PHYSICS)), labelSelector=selector))


def test_applied_twice_changes_nothing(people: Hall) -> None:
    """Not by resource version: that moves when the API server sorts managedFields anew after a status was written."""
    for manifest in admission.emit(WORLD):
        before = people.operator.request("GET", path_of(manifest))
        after = people.operator.apply(path_of(manifest), manifest)
        assert after["metadata"]["generation"] == before["metadata"]["generation"] == 1
        assert after["spec"] == before["spec"]


def test_tenant_without_anything_still_works(people: Hall) -> None:
    who, where = people.member(BARE), namespace(BARE)
    for plural, body in (("pods", pod()), ("services", service()), ("deployments", workload("Deployment"))):
        assert tried(who, plural, body, where) == ""
