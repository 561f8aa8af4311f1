"""Roles: what the issue lists and not a verb more."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from config.emit import rbac
from tests.unit.config.emit.small import small

Right = tuple[str, str, str]
"""API group, resource, verb."""


def _objects() -> list[dict[str, Any]]:
    return list(rbac.emit(small({"name": "physics"}, {"name": "history"})))


def _rights(name: str) -> set[Right]:
    (role,) = [
        one
        for one in _objects()
        if one["kind"] == "Role" and one["metadata"]["name"] == name and "physics" in one["metadata"]["namespace"]
    ]
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def _everything() -> Iterator[Right]:
    for name in (rbac.MEMBER, rbac.ADMIN):
        yield from _rights(name)


@pytest.mark.parametrize(
    "resource",
    ["pods", "services", "secrets", "configmaps", "deployments", "cronjobs", "jobs", "ingresses"],
)
def test_members_work_with_what_the_tenant_is_for(resource: str) -> None:
    verbs = {verb for _, name, verb in _rights(rbac.MEMBER) if name == resource}
    assert verbs == {"get", "list", "watch", "create", "update", "patch", "delete"}


def test_members_reach_into_their_pods() -> None:
    found = _rights(rbac.MEMBER)
    assert ("", "pods/log", "get") in found
    for stream in ("pods/exec", "pods/attach", "pods/portforward"):
        assert {verb for _, name, verb in found if name == stream} == {"get", "create"}


@pytest.mark.parametrize("resource", ["events", "resourcequotas", "limitranges", "replicasets", "endpointslices"])
def test_members_only_read_what_explains_their_workloads(resource: str) -> None:
    assert {verb for _, name, verb in _everything() if name == resource} <= {"get", "list", "watch"}


def test_nothing_is_granted_by_a_wildcard() -> None:
    assert not [right for right in _everything() if "*" in right]


@pytest.mark.parametrize(
    "resource",
    [
        "namespaces",
        "nodes",
        "serviceaccounts/token",
        "pods/ephemeralcontainers",
        "pods/binding",
        "bindings",
        "pods/eviction",
        "pods/proxy",
        "services/proxy",
        "services/status",
        "pods/status",
        "pods/resize",
        "customresourcedefinitions",
    ],
)
def test_what_leads_further_is_not_there_at_all(resource: str) -> None:
    assert resource not in {name for _, name, _ in _everything()}


def test_what_holds_the_tenant_in_cannot_be_written_by_anybody() -> None:
    walls = {"networkpolicies", "resourcequotas", "limitranges", "roles", "rolebindings", "serviceaccounts"}
    traffic = {"endpoints", "endpointslices"}
    for _, resource, verb in _everything():
        assert resource not in walls | traffic or verb in {"get", "list", "watch"}, (resource, verb)
    assert not {verb for *_, verb in _everything()} & {"bind", "escalate", "impersonate", "approve", "sign"}
    assert not [name for _, name, _ in _everything() if name.endswith("/finalizers")]


def test_admins_have_more_than_members_and_nothing_of_it_is_theirs() -> None:
    member, admin = _rights(rbac.MEMBER), _rights(rbac.ADMIN)
    assert not member & admin, "admins are in both groups"
    assert "deletecollection" not in {verb for *_, verb in member}
    assert {name for _, name, verb in admin if verb == "deletecollection"} == {
        name for _, name, verb in member if verb == "create" and "/" not in name
    }


def test_each_tenants_groups_are_bound_in_its_own_namespace_only() -> None:
    bound = {
        (one["metadata"]["namespace"], one["roleRef"]["name"], one["subjects"][0]["kind"], one["subjects"][0]["name"])
        for one in _objects()
        if one["kind"] == "RoleBinding" and len(one["subjects"]) == 1
    }
    assert bound == {
        ("tenant-physics", rbac.MEMBER, "Group", "tenanthub:physics"),
        ("tenant-physics", rbac.ADMIN, "Group", "tenanthub:physics:admin"),
        ("tenant-history", rbac.MEMBER, "Group", "tenanthub:history"),
        ("tenant-history", rbac.ADMIN, "Group", "tenanthub:history:admin"),
    }
    assert {one["kind"] for one in _objects()} == {"Role", "RoleBinding"}, "nothing cluster-scoped"
