"""Namespace, objects, workers, quota, walls, add-ons: what is declared against a cluster made by hand."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from config.emit.common import NODE_SELECTOR
from config.emit.namespaces import DEFAULT_TOLERATIONS
from config.names import keys
from config.order import KINDS
from config.status import live, model, walls
from config.status.asjson import as_json
from config.status.model import Level, State
from config.status.paint import Paint
from config.status.quota import amount
from config.status.report import to_try
from config.status.text import as_text
from tests.unit.config.status.cluster import (
    COMPILED,
    HISTORY,
    KEYS,
    PHYSICS,
    SITE,
    WORLD,
    block,
    healthy,
    node,
    objects,
    pod,
    says,
    told,
)


def test_a_healthy_site_is_as_declared() -> None:
    found = told(healthy(pods=(pod("a", "n1"), pod("b", "n3", "history"))))
    assert [finding for tenant in found.tenants for finding in tenant.findings] == []
    assert found.as_declared
    assert all(tenant.objects.as_declared == tenant.objects.declared > 0 for tenant in found.tenants)
    assert found.shared.as_declared == found.shared.declared > 0


def test_a_missing_namespace_and_object_are_named() -> None:
    found = block(healthy(objects=objects(without=["Namespace tenant-physics", "ResourceQuota tenanthub"])))
    assert found.phase == "missing"
    assert set(found.objects.missing) == {"Namespace tenant-physics", "ResourceQuota tenant-physics/tenanthub"}
    assert any("namespace tenant-physics is missing" in text for text in says(found, "wrong"))


def test_a_namespace_that_is_going_is_not_active() -> None:
    status = {("Namespace", "tenant-physics"): {"phase": "Terminating"}}
    found = block(healthy(objects=objects(status=status)))
    assert found.phase == "Terminating" and not found.as_declared


def test_a_hand_edit_is_drift_with_its_field() -> None:
    seen = objects()
    place = next(place for place in seen if KINDS[place[0]].kind == "ResourceQuota" and place[1] == "tenant-physics")
    edited = json.loads(json.dumps(seen[place]))
    edited["spec"]["hard"]["pods"] = "3"
    found = block(healthy(objects={**seen, place: edited}))
    (drift,) = found.objects.drifted
    assert (drift.object, drift.fields) == ("ResourceQuota tenant-physics/tenanthub", ("spec.hard.pods",))
    assert not found.as_declared


def test_what_the_api_server_would_leave_alone_is_no_drift() -> None:
    seen = objects()
    place = next(place for place in seen if KINDS[place[0]].kind == "LimitRange" and place[1] == "tenant-physics")
    filled = json.loads(json.dumps(seen[place]))
    filled["metadata"].pop("managedFields")  # nobody knows whose the fields are: the comparison alone is not sure
    found = block(healthy(objects={**seen, place: filled}, previews={place: filled}))
    assert found.objects.drifted == ()


def test_objects_that_nobody_declares_any_more_are_listed_where_they_belong() -> None:
    seen = objects()
    place = next(place for place in seen if KINDS[place[0]].kind == "Role" and place[1] == "tenant-physics")
    extra = {**seen[place], "metadata": {**seen[place]["metadata"], "name": "old"}}
    gone = {**extra, "metadata": {**extra["metadata"], "namespace": "tenant-gone", "labels": {
        KEYS.tenant: "gone", KEYS.declared_by: "tenanthub"}}}  # fmt: skip
    foreign = {**extra, "metadata": {**extra["metadata"], "name": "foreign", "labels": {KEYS.tenant: "physics"}}}
    rank = place[0]
    more = {
        (rank, "tenant-physics", "old"): extra,
        (rank, "tenant-gone", "old"): gone,
        (rank, "tenant-physics", "foreign"): foreign,
    }
    found = told(healthy(objects={**seen, **more}))
    physics = next(tenant for tenant in found.tenants if tenant.name == "physics")
    assert physics.objects.surplus == ("Role tenant-physics/old",)
    assert found.shared.surplus == ("Role tenant-gone/old",)
    assert not found.as_declared


def test_a_pod_elsewhere_is_an_alarm() -> None:
    found = block(healthy(pods=(pod("good", "n1"), pod("stray", "n3"), pod("unscheduled", None, phase="Pending"))))
    assert [(place.pod, place.node) for place in found.workers.elsewhere] == [("tenant-physics/stray", "n3")]
    assert says(found, "alarm") == ["Pod tenant-physics/stray runs on n3, a worker of history"]
    assert {worker.name: worker.pods for worker in found.workers.nodes} == {"n1": 1, "n2": 0}


def test_a_tenant_without_workers_is_not_on_others() -> None:
    found = block(healthy(pods=(pod("a", "n3", "open"), pod("b", "n9", "open"))), "open")
    assert found.workers.anywhere
    assert {worker.tainted for worker in found.workers.nodes} == {None}
    assert [place.pod for place in found.workers.elsewhere] == ["tenant-open/a"]


def test_a_pod_that_has_ended_is_on_no_node() -> None:
    raw: dict[str, Any] = {"metadata": {"name": "x", "namespace": "tenant-physics"}, "spec": {"nodeName": "n3"}}
    assert live.pod({**raw, "status": {"phase": "Succeeded"}}) is None
    assert live.pod({**raw, "status": {"phase": "Running"}}) is not None


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"n1": node("n1", ready="Unknown")}, "worker n1 is not ready: kubelet stopped posting"),
        ({"n1": node("n1", labels={})}, f"worker n1 lacks the label {KEYS.node(PHYSICS)}=true"),
        ({"n1": node("n1", taints=[])}, f"worker n1 lacks the taint {KEYS.tenant}=physics"),
        ({"n1": None}, "worker n1 is not in the cluster"),
        ({"n3": node("n3", labels={KEYS.node(PHYSICS): "true"})}, "node n3 carries the label"),
        (
            {"n3": node("n3", taints=[{"key": KEYS.tenant, "value": "physics", "effect": "NoSchedule"}])},
            "node n3 carries the taint of physics",
        ),
    ],
)
def test_what_is_wrong_with_a_worker(changed: dict[str, live.Node | None], text: str) -> None:
    nodes = {name: found for name, found in {**healthy().nodes, **changed}.items() if found is not None}
    found = block(healthy(nodes=nodes))
    assert any(line.startswith(text) for line in says(found, "wrong")), says(found, "wrong")


def test_workers_by_selector() -> None:
    tenant = PHYSICS.model_copy(
        update={"workers": PHYSICS.workers.model_copy(update={"nodes": (), "selector": {"lab": "p"}})}
    )
    world = replace(WORLD, tenants={"physics": tenant})
    taint = [{"key": KEYS.tenant, "value": "physics", "effect": "NoSchedule"}]
    nodes = {**healthy().nodes, "n3": node("n3", labels={"lab": "p"}, taints=taint)}
    seen = healthy(nodes=nodes, objects=objects(world), pods=(pod("a", "n3"), pod("b", "n1")))
    found = block(seen, world=world)
    assert [(worker.name, worker.tainted) for worker in found.workers.nodes] == [("n3", True)]
    assert [place.pod for place in found.workers.elsewhere] == ["tenant-physics/b"]
    nobody = block(healthy(objects=objects(world)), world=world)
    assert "no node carries lab=p: the tenant's Pods can run nowhere" in says(nobody, "wrong")


def test_why_a_pod_waits() -> None:
    raw = {
        "metadata": {"name": "big", "namespace": "tenant-physics"},
        "status": {
            "phase": "Pending",
            "conditions": [{"type": "PodScheduled", "status": "False", "message": "0/3 nodes are available"}],
        },
    }
    waiting = live.pod(raw)
    assert waiting is not None
    found = block(healthy(pods=(waiting,)))
    assert found.workers.waiting[0].why == "0/3 nodes are available"
    assert found.as_declared, "a Pod that waits is the tenant's own doing"


def test_quota_used_and_full() -> None:
    status = {("ResourceQuota", "tenanthub"): {"hard": {"pods": "2", "requests.cpu": "4"},
                                               "used": {"pods": "2", "requests.cpu": "1500m"}}}  # fmt: skip
    found = block(healthy(objects=objects(status=status)), "open")
    assert [(use.resource, use.used, use.hard, use.full) for use in found.quota] == [
        ("pods", "2", "2", True),
        ("requests.cpu", "1500m", "4", False),
    ]
    assert "quota is full: pods 2 of 2" in says(found, "note")


@pytest.mark.parametrize(
    ("quantity", "number"), [("2", 2), ("1500m", 1.5), ("2Gi", 2**31), ("1k", 1000), ("1e3", 1000), ("5E", 5 * 10**18)]
)
def test_quantities(quantity: str, number: float) -> None:
    assert amount(quantity) == number


def answers(**other: live.Answer) -> tuple[live.Answer, ...]:
    """What an API server with all walls says; *other* replaces by probe, with _ for blanks."""
    denied = "admission webhook: ValidatingAdmissionPolicy 'pods' denied request: no"
    namespace = next(item for item in COMPILED if item["metadata"]["name"] == "tenant-physics")
    notes = namespace["metadata"]["annotations"]
    selector = dict(part.split("=") for part in notes[NODE_SELECTOR].split(","))
    made = {"spec": {"nodeSelector": selector, "tolerations": json.loads(notes[DEFAULT_TOLERATIONS])}}
    found = {
        probe.name: live.Answer(probe.name, 403, denied) for probe in walls.probes(WORLD, PHYSICS)
    }  # fmt: skip
    found["placement"] = live.Answer("placement", 201, "", made)
    found.update({name.replace("_", " "): answer for name, answer in other.items()})
    return tuple(found.values())


def test_walls_that_are_up() -> None:
    found = told(healthy(answers=answers(), tested="physics")).walls
    assert found.state is State.UP
    assert {check.state for check in found.checks} == {State.UP} and len(found.checks) == 7
    assert found.namespace == "tenant-physics"


@pytest.mark.parametrize(
    ("probe", "answer", "state", "text"),
    [
        ("node name", live.Answer("node name", 201, "", {"spec": {}}), State.DOWN, "is let in"),
        ("node name", live.Answer("node name", 403, "pods is forbidden"), State.UNKNOWN, "another reason"),
        ("placement", live.Answer("placement", 201, "", {"spec": {}}), State.DOWN, "PodNodeSelector"),
        ("placement", live.Answer("placement", 403, "exceeded quota"), State.UNKNOWN, "exceeded quota"),
        (
            "placement",
            live.Answer("placement", 201, "", {"spec": {"nodeSelector": {KEYS.node("physics"): "true"}}}),
            State.DOWN,
            "PodTolerationRestriction",
        ),
    ],
)
def test_walls_that_are_not(probe: str, answer: live.Answer, state: State, text: str) -> None:
    found = told(healthy(answers=answers(**{probe.replace(" ", "_"): answer}), tested="physics"))
    check = next(check for check in found.walls.checks if check.name == probe)
    assert check.state is state and text in check.text
    assert found.walls.state is state
    level = Level.ALARM if state is State.DOWN else Level.NOTE
    assert any(text in line for line in says(found, level))
    assert found.as_declared is (state is State.UNKNOWN)


def test_the_foreign_address_of_the_probe_is_never_the_tenants() -> None:
    network = HISTORY.networks[0].model_copy(update={"loadbalancer": ()})
    own = HISTORY.model_copy(update={"networks": (network,)})
    for tenant in (HISTORY, PHYSICS, own):
        body = next(probe.body for probe in walls.probes(WORLD, tenant) if probe.name == "address")
        asked = body["metadata"]["annotations"]["metallb.io/loadBalancerIPs"]
        assert not any(live_in in asked for live_in in ("198.51.100.1", "192.0.2.1"))


def test_where_the_walls_are_tried() -> None:
    assert to_try(WORLD, None, []) is None
    found = to_try(WORLD, None, ["tenant-open", "tenant-physics"])
    assert found is not None and found.name == "physics", "one with workers shows more"
    assert to_try(WORLD, "open", ["tenant-physics"]) is None


def test_add_ons() -> None:
    bare = told(healthy(served=frozenset()))
    assert sum("is it installed?" in text for text in says(bare, "wrong")) == 3
    assert [addon.installed for addon in bare.addons if addon.declared] == [False, False, False]
    site = SITE.model_copy(update={"addons": SITE.addons.model_copy(update={"metallb": False})})
    unused = told(healthy(), replace(WORLD, site=site))
    assert any("metallb is installed, but site.yaml does not name it" in text for text in says(unused, "note"))


def test_what_may_not_be_read_is_said_and_not_guessed() -> None:
    rank = next(number for number, kind in enumerate(KINDS) if kind.kind == "Role")
    seen = {place: found for place, found in objects().items() if place[0] != rank}
    found = told(healthy(objects=seen, unread={"roles": "not allowed"}))
    assert all(not tenant.objects.missing for tenant in found.tenants)
    assert any("roles cannot be read" in text for text in says(found, "note"))


def test_nodes_that_may_not_be_read_are_not_said_to_be_missing() -> None:
    found = told(healthy(nodes={}, unread={"nodes": "not allowed"}, pods=(pod("a", "n1"), pod("b", "n3"))))
    physics = next(tenant for tenant in found.tenants if tenant.name == "physics")
    assert [worker.exists for worker in physics.workers.nodes] == [None, None]
    assert says(physics, "wrong") == []
    assert len(says(physics, "alarm")) == 1, "where its Pods run is known all the same"
    assert "cannot be read" in as_text(found, Paint(), table=False) and "unknown" in as_text(found, Paint(), table=True)


def test_json_is_stable_and_complete() -> None:
    found = told(healthy(answers=answers(), tested="physics"), only="physics")
    whole = json.loads(as_json(found))
    assert list(whole) == [
        "format", "as_declared", "at", "site", "server", "version", "addons", "walls", "shared", "tenants", "findings",
    ]  # fmt: skip
    (tenant,) = whole["tenants"]
    assert list(tenant) == [
        "name", "title", "namespace", "phase", "objects", "workers", "quota", "networks", "waiting", "findings",
        "as_declared",
    ]  # fmt: skip
    assert whole["format"] == 1 and whole["as_declared"] is True and tenant["as_declared"] is True
    assert whole["walls"]["state"] == "up"
    assert tenant["networks"][0]["loadbalancer"]["free"] == 20
    assert "\n" not in as_json(found, one_line=True)


def test_keys_of_a_site_decide() -> None:
    """The label domain is the site's, nowhere a constant."""
    assert KEYS.tenant == keys(SITE).tenant == "edge.example.org/tenant"


def test_every_field_of_the_json_is_documented() -> None:
    page = (Path(__file__).parents[4] / "docs" / "status.md").read_text(encoding="utf-8")
    models = [found for found in vars(model).values() if isinstance(found, type) and is_dataclass(found)]
    assert len(models) > 15
    for found in models:
        for field in fields(found):
            assert re.search(rf"`(\.|…|\.networks\[\]\.|tenants)?{field.name}(\[\])?`", page), (
                f"{found.__name__}.{field.name}"
            )
