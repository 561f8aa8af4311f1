"""Every field of every golden is one that Kubernetes has, and of its type; every field that the check knows is real."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

import pytest
from kubernetes import client

from spawners.kube import fields
from spawners.kube.manifests import manifests
from tests.unit.spawners.kube.launches import cases

MODELS = {
    "CronJob": "V1CronJob",
    "Deployment": "V1Deployment",
    "Job": "V1Job",
    "Pod": "V1Pod",
    "Role": "V1Role",
    "RoleBinding": "V1RoleBinding",
    "Service": "V1Service",
    "ServiceAccount": "V1ServiceAccount",
}
PLAIN: dict[str, Any] = {
    "str": str,
    "int": int,
    "bool": bool,
    "object": (str, int),
    "datetime": (str, datetime),
    "float": float,
}
CASES = cases()


def known(model: str) -> set[str]:
    return set(getattr(client, model).attribute_map.values())


def check(value: Any, sort: str, path: str) -> None:
    """*value* is of the client's type *sort*: V1Pod, str, list[V1Volume], dict(str, str)."""
    if found := re.fullmatch(r"(?:list|List)\[(.*)\]", sort):
        assert isinstance(value, list), path
        for number, one in enumerate(value):
            check(one, found[1], f"{path}[{number}]")
    elif found := re.fullmatch(r"(?:dict|Dict)[(\[]str, (.*)[)\]]", sort):
        assert isinstance(value, dict), path
        for key, one in value.items():
            check(one, found[1], f"{path}[{key}]")
    elif sort in PLAIN:
        assert isinstance(value, PLAIN[sort]) and (sort == "bool") == isinstance(value, bool), f"{path}: {value!r}"
    else:
        model = getattr(client, sort)
        types = {model.attribute_map[name]: of for name, of in model.openapi_types.items()}
        for key, one in value.items():
            assert key in types, f"{path}.{key} is no field of {sort}"
            check(one, types[key], f"{path}.{key}")


@pytest.mark.parametrize("case", CASES)
def test_objects_are_as_the_api_has_them(case: str) -> None:
    for manifest in manifests(CASES[case]):
        check(manifest, MODELS[manifest["kind"]], manifest["kind"])


def test_the_check_itself_finds_a_wrong_field() -> None:
    (pod,) = manifests(CASES["notebook"])
    with pytest.raises(AssertionError, match=r"enableServiceLinks: 'no'"):
        check({**pod, "spec": {**pod["spec"], "enableServiceLinks": "no"}}, "V1Pod", "Pod")
    with pytest.raises(AssertionError, match="no field of V1PodSpec"):
        check({**pod, "spec": {**pod["spec"], "enableServicelinks": False}}, "V1Pod", "Pod")


@pytest.mark.parametrize(
    ("ours", "models"),
    [
        (fields.METADATA, ["V1ObjectMeta"]),
        (fields.SPEC, ["V1PodSpec"]),
        (fields.CONTAINER, ["V1Container"]),
        (fields.MOUNT, ["V1VolumeMount"]),
        (fields.CONTEXT, ["V1PodSecurityContext", "V1SecurityContext"]),
    ],
)
def test_fields_that_may_be_set_exist(ours: frozenset[str], models: list[str]) -> None:
    assert ours <= set().union(*map(known, models))


def test_what_stays_out_stays_out() -> None:
    """A field here that someone adds to the list has to be thought about first."""
    never = {
        *("ephemeralContainers", "hostUsers", "os", "overhead", "readinessGates", "resourceClaims", "resources"),
        *("runtimeClassName", "schedulingGates"),
    }
    assert never <= known("V1PodSpec") and not never & fields.SPEC
    assert "volumeDevices" not in fields.CONTAINER and "mountPropagation" not in fields.MOUNT
    assert not {"finalizers", "ownerReferences"} & fields.METADATA
