"""What a plan says, forbids, and in which order it is carried out."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from config.names import Keys
from config.order import key
from config.plan.decide import Options, plan
from config.plan.match import match, to_ask
from config.plan.model import Change, Conflict, Plan, Preview
from config.plan.nodes import marks
from config.plan.sequence import sequence
from config.plan.text import Paint, plan_data, plan_text
from tests.unit.config.plan.objects import DOMAIN, tenant_objects, thing
from tests.unit.config.plan.server import disown, entry, stored

KEYS = Keys(DOMAIN)


def live(*tenants: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [stored(one) for tenant in tenants for one in tenant]


def changed(found: Plan) -> set[tuple[str, str]]:
    return {(change.action, change.title) for change in found.changes}


def order(found: Plan) -> list[str]:
    return [step.words for stage in sequence(found) for step in stage]


def edited(objects: Iterable[dict[str, Any]], kind: str, path: Sequence[str], value: Any) -> list[dict[str, Any]]:
    found = copy.deepcopy(list(objects))
    place: Any = next(one for one in found if one["kind"] == kind)
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return found


def test_nothing_there_means_everything_is_made_in_order() -> None:
    physics = tenant_objects("physics")
    found = plan(physics, [], KEYS)
    assert [change.action for change in found.changes] == ["create"] * len(physics)
    assert [change.key for change in found.changes] == sorted(map(key, physics))
    assert order(found)[:2] == ["apply Tenant physics", "apply Namespace tenant-physics"]
    assert not found.problems


def test_all_as_declared_is_nothing_to_do() -> None:
    physics = tenant_objects("physics")
    found = plan(physics, live(physics), KEYS)
    assert found == Plan(unchanged=len(physics))
    assert sequence(found) == ()
    assert plan_text(found, Paint(False)) == f"nothing to do; {len(physics)} as declared"


def test_a_change_says_old_new_and_who() -> None:
    physics = tenant_objects("physics")
    there = live(edited(physics, "ResourceQuota", ("spec", "hard", "pods"), "99"))
    quota = next(one for one in there if one["kind"] == "ResourceQuota")
    disown(quota, "spec", "hard", "pods")
    quota["metadata"]["managedFields"].append(entry({"f:spec": {"f:hard": {"f:pods": {}}}}, "kubectl-edit"))
    (change,) = plan(physics, there, KEYS).changes
    (field,) = change.fields
    assert (field.path, field.old, field.new, field.by) == (
        "spec.hard.pods",
        "99",
        "20",
        "kubectl-edit, 2026-11-21T12:00:00Z",
    )
    assert change.conflicts == (Conflict("spec.hard.pods", "kubectl-edit"),)
    assert change.tenant == "physics"


def test_the_servers_word_counts_more_than_our_guess() -> None:
    physics = tenant_objects("physics")
    there = live(edited(physics, "Role", ("rules",), [{"apiGroups": ["x"]}]))
    role = next(one for one in there if one["kind"] == "Role")
    asked = to_ask(match(physics, there, KEYS))
    assert [pair.key for pair in asked] == [key(role)]
    same = plan(physics, there, KEYS, {key(role): Preview(role)})
    assert same.changes == ()
    assert same.unchanged == len(physics)
    refused = plan(physics, there, KEYS, {key(role): Preview(None, refused="no such verb")})
    assert refused.problems == ("Role tenant-physics/tenanthub-admin is refused by the API server: no such verb",)


def test_equal_values_in_other_hands_become_ours() -> None:
    role = tenant_objects("physics")[-3]
    there = stored(role)
    there["metadata"]["managedFields"] = [entry({"f:rules": {}}, "kubectl-edit")]
    (change,) = plan([role], [there], KEYS, {key(role): Preview(stored(role))}).changes
    assert change.fields == ()
    assert "becomes their manager" in change.note


def test_what_somebody_else_made_under_our_name_is_refused_unless_adopted() -> None:
    physics = tenant_objects("physics")
    bare = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "tenant-physics"}}
    account = {
        "apiVersion": "v1",
        "kind": "ServiceAccount",
        "metadata": {"name": "default", "namespace": "tenant-physics"},
    }
    role = {**next(one for one in physics if one["kind"] == "Role")}
    role["metadata"] = {"name": role["metadata"]["name"], "namespace": "tenant-physics"}
    there = [
        stored(bare, "kubectl-create", "Update"),
        stored(account, "kube-controller-manager", "Update"),
        stored(role, "kubectl-create", "Update"),
    ]
    (problem,) = plan(physics, there, KEYS).problems  # every namespace has an account `default`: no problem
    assert problem.startswith("Namespace tenant-physics exists, but was not made by tenanthub")
    assert not plan(physics, there, KEYS, options=Options(adopt=True)).problems
    ours = [stored(next(one for one in physics if one["kind"] == "Namespace")), there[2]]
    assert plan(physics, ours, KEYS).problems[0].startswith("Role tenant-physics/tenanthub-admin exists, but was not")


def test_only_what_carries_our_owner_label_is_deleted() -> None:
    foreign = stored(thing("v1", "Namespace", "tenant-x", domain="other.example.org"))
    mine = stored(thing("v1", "Namespace", "tenant-y", tenant="y"))
    found = plan([], [foreign, mine], KEYS)
    assert changed(found) == {("delete", "Namespace tenant-y")}
    assert [removal.tenant for removal in found.removals] == ["y"]


def test_a_tenant_that_goes_loses_rights_first_and_its_wall_last() -> None:
    found = plan([], live(tenant_objects("physics", nodes=["node-1"])), KEYS)
    steps = order(found)
    assert steps[:2] == [
        "delete RoleBinding tenant-physics/tenanthub-admin",
        "delete RoleBinding tenant-physics/tenanthub-member",
    ]

    def before(first: str, second: str) -> None:
        assert steps.index(first) < steps.index(second), steps

    before("delete EgressClusterPolicy tenant-physics.lab-a", "delete EgressGateway tenant-physics.lab-a")
    before("delete IPAddressPool metallb-system/tenant-physics.lab-a", "delete Namespace tenant-physics")
    before("wait for the end of Namespace tenant-physics", "delete CiliumClusterwideNetworkPolicy tenant-physics")
    before("wait for the end of Namespace tenant-physics", "mark Node node-1")
    before("wait for the end of Namespace tenant-physics", "delete Tenant physics")
    # They go with the namespace: as long as a Pod runs, its walls stand.
    assert not {step for step in steps if "NetworkPolicy tenant-physics/" in step or "ResourceQuota" in step}


def test_a_kept_namespace_keeps_its_guards_and_is_let_go_last() -> None:
    found = plan([], live(tenant_objects("physics", nodes=["node-1"])), KEYS, options=Options(keep_namespaces=True))
    assert changed(found) == {
        ("delete", "Tenant physics"),
        ("delete", "IPAddressPool metallb-system/tenant-physics.lab-a"),
        ("delete", "L2Advertisement metallb-system/tenant-physics.lab-a"),
        ("delete", "EgressGateway tenant-physics.lab-a"),
        ("delete", "EgressClusterPolicy tenant-physics.lab-a"),
        ("delete", "Role tenant-physics/tenanthub-member"),
        ("delete", "Role tenant-physics/tenanthub-admin"),
        ("delete", "RoleBinding tenant-physics/tenanthub-member"),
        ("delete", "RoleBinding tenant-physics/tenanthub-admin"),
        ("forget", "Node node-1"),
        ("keep", "Namespace tenant-physics"),
        ("keep", "CiliumClusterwideNetworkPolicy tenant-physics"),
        ("keep", "NetworkPolicy tenant-physics/tenanthub"),
        ("keep", "ResourceQuota tenant-physics/tenanthub"),
        ("keep", "LimitRange tenant-physics/tenanthub"),
        ("keep", "ServiceAccount tenant-physics/default"),
    }
    kept = [step for step in order(found) if step.startswith("keep")]
    assert kept[-1] == "keep Namespace tenant-physics"
    assert not [step for step in order(found) if step == "delete Namespace tenant-physics"]


def test_a_namespace_that_is_ending_is_waited_for_and_made_again_with_all_in_it() -> None:
    physics = tenant_objects("physics")
    there = live(physics)
    space = next(one for one in there if one["kind"] == "Namespace")
    space["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    found = plan(physics, there, KEYS)
    inside = {change.kind.kind for change in found.changes if change.namespace == "tenant-physics"}
    assert {change.action for change in found.changes} == {"create"}
    assert {"Role", "RoleBinding", "ResourceQuota", "NetworkPolicy"} <= inside
    assert order(found)[0] == "wait for the end of Namespace tenant-physics"


def test_one_that_is_ending_and_not_wanted_is_no_removal_but_is_waited_for() -> None:
    there = live(tenant_objects("physics"))
    space = next(one for one in there if one["kind"] == "Namespace")
    space["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    found = plan([], there, KEYS)
    assert found.removals == ()
    steps = order(found)
    assert steps.index("wait for the end of Namespace tenant-physics") < steps.index(
        "delete CiliumClusterwideNetworkPolicy tenant-physics"
    )


def test_an_immutable_field_means_made_anew_policies_before_gateways() -> None:
    before, after = tenant_objects("physics", egress="192.0.2.200"), tenant_objects("physics", egress="192.0.2.210")
    found = plan(after, live(before), KEYS)
    assert changed(found) == {
        ("replace", "EgressGateway tenant-physics.lab-a"),
        ("replace", "EgressClusterPolicy tenant-physics.lab-a"),
    }
    assert to_ask(match(after, live(before), KEYS)) == ()
    assert [change.note for change in found.changes] == [
        "made anew: spec.ippools.ipv4DefaultEIP cannot be changed",
        "made anew: spec.egressIP cannot be changed",
    ]
    assert order(found) == [
        "delete EgressClusterPolicy tenant-physics.lab-a",
        "delete EgressGateway tenant-physics.lab-a",
        "apply EgressGateway tenant-physics.lab-a",
        "apply EgressClusterPolicy tenant-physics.lab-a",
    ]


def test_a_policy_that_is_as_declared_goes_along_with_its_gateway() -> None:
    physics = tenant_objects("physics")
    other = edited(physics, "EgressGateway", ("spec", "ippools", "ipv4DefaultEIP"), "192.0.2.201")
    found = plan(other, live(physics), KEYS)
    assert {(change.action, change.kind.kind) for change in found.changes} == {
        ("replace", "EgressGateway"),
        ("replace", "EgressClusterPolicy"),
    }
    assert found.unchanged == len(physics) - 2


def test_addresses_that_move_are_narrowed_before_anything_else() -> None:
    a, b = ["192.0.2.10-192.0.2.19"], ["192.0.2.20-192.0.2.29"]
    c, d = ["192.0.2.10-192.0.2.14"], ["192.0.2.15-192.0.2.29"]
    before = live(tenant_objects("one", lb=a, egress=None), tenant_objects("two", lb=b, egress=None))
    after = sorted(tenant_objects("one", lb=c, egress=None) + tenant_objects("two", lb=d, egress=None), key=key)
    found = plan(after, before, KEYS)
    assert order(found)[0] == "narrow IPAddressPool metallb-system/tenant-one.lab-a"
    narrow = sequence(found)[0][0]
    assert (narrow.manifest or {})["spec"]["addresses"] == c
    # The API server could only refuse: it is not asked about either.
    assert {pair.key[2] for pair in to_ask(match(after, before, KEYS))} == {"tenant-one", "tenant-two"}


def node(name: str, labels: dict[str, str], taints: list[dict[str, str]] | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
    return {**found, **({"spec": {"taints": taints}} if taints else {})}


def test_a_node_that_is_not_there_is_told_and_never_made() -> None:
    found = plan(tenant_objects("physics", nodes=["node-7"]), [], KEYS)
    assert found.warnings == ("node-7 is not in the cluster; skipped",)
    assert not [change for change in found.changes if change.kind.kind == "Node"]


def test_a_node_keeps_other_taints_and_loses_labels_of_ours_that_others_set_too() -> None:
    wanted = tenant_objects("physics", nodes=["node-1"])[0]
    assert wanted["kind"] == "Node"
    other = {"key": "maintenance", "effect": "NoSchedule"}
    was = node("node-1", {KEYS.declared_by: "tenanthub", KEYS.node("history"): "true", "rack": "7"})
    there = stored(was)
    disown(there, "metadata", "labels", "rack")
    there["metadata"]["managedFields"].append(
        entry({"f:metadata": {"f:labels": {f"f:{KEYS.node('history')}": {}}}}, "kubectl-label")
    )
    there["spec"] = {"taints": [other, {"key": KEYS.tenant, "value": "history", "effect": "NoSchedule"}]}
    (change,) = plan([wanted], [there], KEYS).changes
    assert [field.path for field in change.fields] == [
        f"metadata.labels[{KEYS.node('history')}]",
        f"metadata.labels[{KEYS.node('physics')}]",
        "spec.taints",
    ]
    done = marks(change, KEYS)
    assert done.dropped == (KEYS.node("history"),)
    assert [taint["value"] for taint in done.taints] == ["physics"]
    assert done.labels is not None
    assert done.labels["metadata"]["uid"] == there["metadata"]["uid"]  # so that a node that left is not made again
    assert "spec" not in done.labels


def test_two_sites_may_mark_the_same_node() -> None:
    wanted = tenant_objects("physics", nodes=["node-1"])[0]
    theirs = Keys("other.example.org")
    (change,) = plan([wanted], [stored(node("node-1", {theirs.node("x"): "true"}))], KEYS).changes
    assert [field.new for field in change.fields] == ["tenanthub", "true", [f"{KEYS.tenant}=physics:NoSchedule"]]
    done = marks(change, KEYS)
    assert done.dropped == ()
    assert done.labels is not None
    assert done.labels["metadata"]["labels"][theirs.node("x")] == "true"  # not repeated, it would be taken away


def test_a_node_that_is_no_longer_declared_is_forgotten() -> None:
    there = live([tenant_objects("physics", nodes=["node-1"])[0]])
    (change,) = plan([], there, KEYS).changes
    assert change.action == "forget"
    assert marks(change, KEYS).labels is None
    assert set(marks(change, KEYS).dropped) == {KEYS.declared_by, KEYS.node("physics")}


def test_conflicts_of_the_server_are_told_with_field_and_manager() -> None:
    physics = tenant_objects("physics")
    there = live(edited(physics, "ResourceQuota", ("spec", "hard", "pods"), "99"))
    quota = next(one for one in physics if one["kind"] == "ResourceQuota")
    conflict = Conflict("spec.hard.pods", "helm")
    found = plan(physics, there, KEYS, {key(quota): Preview(stored(quota), (conflict,))})
    text = plan_text(found, Paint(False))
    assert "ResourceQuota tenant-physics/tenanthub: spec.hard.pods is held by helm" in text
    assert "1 field held by others, taken only with --force-conflicts" in text


def test_the_text_groups_by_tenant_and_colours_only_when_told() -> None:
    found = plan(tenant_objects("one") + tenant_objects("two"), [], KEYS)
    text = plan_text(found, Paint(False))
    assert "\x1b" not in text
    assert text.index("tenant one") < text.index("RoleBinding tenant-one/") < text.index("tenant two")
    assert text.endswith("30 to create; 0 as declared")
    assert "\x1b[32m+ Namespace tenant-one\x1b[0m" in plan_text(found, Paint(True))


def test_the_data_is_plain_and_complete() -> None:
    before, after = tenant_objects("physics", egress="192.0.2.200"), tenant_objects("physics", egress="192.0.2.210")
    data = plan_data(plan(after, live(before), KEYS))
    assert data["counts"] == {"replace": 2}
    assert {(one["kind"], one["action"]) for one in data["changes"]} == {
        ("EgressGateway", "replace"),
        ("EgressClusterPolicy", "replace"),
    }
    fields = {field["path"]: (field["old"], field["new"]) for field in data["changes"][1]["fields"]}
    assert fields["spec.egressIP.ipv4"] == ("192.0.2.200", "192.0.2.210")


def test_a_long_text_is_shown_by_its_lines() -> None:
    rule = "object.spec.type != 'NodePort' && object.spec.externalIPs.size() == 0 && object.metadata.name != 'x'"
    policy = thing("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "p", spec={"rule": rule})
    other = copy.deepcopy(policy)
    other["spec"]["rule"] = rule.replace("'x'", "'y'")
    text = plan_text(plan([other], [stored(policy)], KEYS), Paint(False))
    assert "        - && object.metadata.name != 'x'\n        + && object.metadata.name != 'y'" in text


def test_titles() -> None:
    (change,) = plan([thing("v1", "Namespace", "tenant-a")], [], KEYS).changes
    assert isinstance(change, Change)
    assert change.title == "Namespace tenant-a"
    assert change.path == "/api/v1/namespaces/tenant-a"
