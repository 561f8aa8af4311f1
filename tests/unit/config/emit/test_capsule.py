"""Capsule's Tenant: owned by the hub alone, and never at odds with our own Namespace."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.emit import capsule, namespaces
from config.emit.capsule import emit
from config.emit.common import HUB_ACCOUNT, NODE_SELECTOR
from config.names import CAPSULE_TENANT
from tests.unit.config.emit.addon_worlds import addon_world, by_name, golden_test, world_of

test_golden = golden_test("capsule", emit)

DEPRECATED = {
    "resourceQuotas",
    "limitRanges",
    "networkPolicies",
    "serviceOptions",
    "podOptions",
    "containerRegistries",
    "imagePullPolicies",
}
"""Of the Tenant's spec in 0.14; and of namespaceOptions everything but the quota."""


def test_nothing_without_the_addon(tmp_path: Path) -> None:
    assert list(emit(world_of(tmp_path, site="title: none", physics="admins: [ada]"))) == []


def test_members_and_admins_are_never_owners() -> None:
    for spec in by_name(emit(addon_world("capsule", "workers")), "Tenant").values():
        (owner,) = spec["owners"]
        assert owner == {"kind": "ServiceAccount", "name": "system:serviceaccount:hub:hub", "clusterRoles": []}


def test_no_deprecated_field() -> None:
    for spec in by_name(emit(addon_world("capsule", "workers")), "Tenant").values():
        assert not DEPRECATED & set(spec)
        assert set(spec["namespaceOptions"]) == {"quota"}


@pytest.mark.parametrize("name", ["both", "named", "none", "selected"])
def test_capsule_writes_on_the_namespace_what_stands_there(name: str) -> None:
    """As pkg/utils/node_selector.go does, 0.7.4 and 0.14.0: "k=v" sorted, joined by commas; with none, nothing."""
    world = addon_world("capsule", "workers")
    spec = by_name(emit(world), "Tenant")[name]
    (namespace,) = (each for each in namespaces.emit(world) if each["metadata"]["labels"][CAPSULE_TENANT] == name)
    written = ",".join(sorted(f"{key}={value}" for key, value in spec.get("nodeSelector", {}).items()))
    assert namespace["metadata"].get("annotations", {}).get(NODE_SELECTOR, "") == written


def test_the_hubs_account_is_named_in_one_place(tmp_path: Path) -> None:
    site = world_of(tmp_path, site="addons: {capsule: true}", physics="admins: [ada]").site
    assert capsule.owner(site) == f"system:serviceaccount:tenanthub:{HUB_ACCOUNT}"
