"""When is a live object as declared? Never wrongly yes."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

import pytest

from config.plan.compare import differences, overlaid, path_text, quantity, unchanged, visible
from config.plan.managed import holder, owns_exactly
from tests.unit.config.plan.objects import tenant_objects, thing
from tests.unit.config.plan.server import disown, entry, stored

EVERY = tenant_objects("physics")


def one(kind: str) -> dict[str, Any]:
    return copy.deepcopy(next(manifest for manifest in EVERY if manifest["kind"] == kind))


@pytest.mark.parametrize("manifest", EVERY, ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}")
def test_what_was_applied_is_unchanged(manifest: dict[str, Any]) -> None:
    assert unchanged(manifest, stored(manifest))


@pytest.mark.parametrize("manifest", EVERY, ids=lambda manifest: f"{manifest['kind']}-{manifest['metadata']['name']}")
def test_every_single_value_that_differs_is_noticed(manifest: dict[str, Any]) -> None:
    def leaves(value: Any) -> int:
        if isinstance(value, dict):
            return sum(map(leaves, value.values()))
        return sum(map(leaves, value)) if isinstance(value, list) else 1

    def spoil(value: Any, number: list[int]) -> Any:
        if isinstance(value, dict):
            return {name: spoil(inner, number) for name, inner in value.items()}
        if isinstance(value, list):
            return [spoil(inner, number) for inner in value]
        number[0] -= 1
        return f"{value}-other" if number[0] == -1 else value

    body = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind")}
    identity = {"name", "namespace"}
    body["metadata"] = {name: value for name, value in body["metadata"].items() if name not in identity}
    live = stored(manifest)
    assert leaves(body) > 1
    for number in range(leaves(body)):
        other = spoil(body, [number])
        spoilt = {**live, **other, "metadata": {**live["metadata"], **other["metadata"]}}
        assert not unchanged(manifest, spoilt), other


def test_defaults_other_peoples_labels_and_status_do_not_count() -> None:
    pool = one("IPAddressPool")
    live = stored(pool)
    live["spec"]["autoAssign"] = True
    live["metadata"]["labels"]["team"] = "network"
    live["metadata"]["managedFields"].append(entry({"f:metadata": {"f:labels": {"f:team": {}}}}, "kubectl-label"))
    live["status"] = {"assignedIPv4": 3}
    assert unchanged(pool, live)


def test_quantities_are_numbers_but_labels_are_text() -> None:
    quota = one("ResourceQuota")
    live = stored(quota)
    live["spec"]["hard"] |= {"requests.cpu": "16", "requests.memory": "64Gi"}  # as the API server writes them
    assert unchanged(quota, live)
    quota["spec"]["hard"]["requests.cpu"] = "16001m"
    assert not unchanged(quota, live)
    role = one("Role")
    role["metadata"]["labels"]["version"] = "1"
    live = stored(role)
    live["metadata"]["labels"]["version"] = "1000m"
    assert not unchanged(role, live)


def test_an_item_slipped_into_a_list_shows_by_who_owns_it() -> None:
    wall = one("NetworkPolicy")
    live = stored(wall)
    live["spec"]["ingress"][0]["from"][0]["namespaceSelector"] = {}  # beside our podSelector: every value still there
    disown(live, "spec", "ingress")
    live["metadata"]["managedFields"].append(entry({"f:spec": {"f:ingress": {}}}, "kubectl-edit"))
    assert not unchanged(wall, live)
    assert holder(live, ("spec", "ingress", 0)) == "kubectl-edit, 2026-11-21T12:00:00Z"


def test_a_field_that_is_no_longer_declared_is_a_change() -> None:
    quota = one("ResourceQuota")
    live = stored(quota)
    del quota["spec"]["hard"]["pods"]
    assert not unchanged(quota, live)
    assert list(differences(visible(live), overlaid(quota, live))) == [(("spec", "hard", "pods"), "20", None)]


def test_what_we_never_applied_or_what_is_ending_is_never_unchanged() -> None:
    role = one("Role")
    assert not unchanged(role, stored(role, "kubectl-create", "Update"))
    live = stored(role)
    live["metadata"]["deletionTimestamp"] = "2026-11-21T12:00:00Z"
    assert not unchanged(role, live)


def test_empty_values_that_the_server_leaves_away_do_not_count() -> None:
    wall = thing("networking.k8s.io/v1", "NetworkPolicy", "w", inside="a", spec={"podSelector": {}, "ingress": []})
    live = stored(wall)
    del live["spec"]["ingress"]
    disown(live, "spec", "ingress")
    assert unchanged(wall, live)


@pytest.mark.parametrize(
    ("owned", "value", "same"),
    [
        ({'k:{"name":"a"}': {".": {}, "f:name": {}, "f:x": {}}}, [{"name": "a", "x": 1}], True),
        ({'k:{"name":"a"}': {".": {}, "f:name": {}}}, [{"name": "a", "x": 1}], False),
        ({'k:{"name":"b"}': {".": {}, "f:name": {}}}, [{"name": "a"}], False),
        ({'k:{"port":80,"protocol":"TCP"}': {".": {}, "f:port": {}}}, [{"port": 80}], True),
        ({'v:"x"': {}}, ["x"], True),
        ({'v:"x"': {}}, ["x", "y"], False),
        ({"f:a": {}}, {"a": 1, "b": 2}, False),
        ({"f:a": {}}, {"a": 1, "b": {}}, True),
        ({"f:a": {}, "f:b": {}}, {"a": 1}, False),
        ({".": {}, "f:a": {}}, {"a": 1}, True),
        ({"f:a": {"f:b": {}}}, {"a": 5}, False),
    ],
)
def test_owned_fields_against_a_declaration(owned: dict[str, Any], value: Any, same: bool) -> None:
    assert owns_exactly(owned, value) is same


@pytest.mark.parametrize(
    ("text", "number"),
    [("1000m", "1"), ("1", "1"), (2, "2"), ("0.5", "0.5"), ("1Ki", "1024"), ("64Gi", str(64 * 2**30)), ("1k", "1000")],
)
def test_quantities(text: Any, number: str) -> None:
    assert quantity(text) == Decimal(number)


@pytest.mark.parametrize("text", ["", "x", "1x", True, None, "-", "1 Gi", []])
def test_no_quantities(text: Any) -> None:
    assert quantity(text) is None


def test_paths_as_people_write_them() -> None:
    assert path_text(("metadata", "labels", "a.b/c")) == "metadata.labels[a.b/c]"
    assert path_text(("spec", "rules", 0, "verbs")) == "spec.rules[0].verbs"
