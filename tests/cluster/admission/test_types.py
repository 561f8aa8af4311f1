"""The policies' expressions against the API server's own schemas, as the controller manager checks them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from config.cluster.client import Cluster
from config.emit import admission
from config.emit.common import Manifest
from tests.cluster.admission.hall import WORLD, Hall, merged, path_of, unique_name, until

POLICIES = {
    manifest["metadata"]["name"].partition(".")[0]: manifest
    for manifest in admission.emit(WORLD)
    if manifest["kind"] == "ValidatingAdmissionPolicy"
}


def flat(policy: Manifest) -> Manifest:
    """The same with every variable put in where it is used, in force nowhere.

    Kubernetes 1.36 checks the types in `validations` only, and takes what a variable gives for anything at all.
    """
    values: dict[str, str] = {}

    def inlined(expression: str) -> str:
        return re.sub(r"variables\.(\w+)", lambda found: f"({values[found[1]]})", expression)

    for variable in policy["spec"]["variables"]:
        values[variable["name"]] = inlined(variable["expression"])
    (validation,) = policy["spec"]["validations"]
    spec = {**policy["spec"], "variables": [], "validations": [{"expression": inlined(validation["expression"])}]}
    return {**policy, "metadata": {"name": f"{unique_name()}.{WORLD.site.label_domain}"}, "spec": spec}


def warnings(operator: Cluster, path: str) -> list[dict[str, str]]:
    """What the check has found, once it is done."""
    status: dict[str, Any] = {}

    def checked() -> bool:
        nonlocal status
        found = operator.request("GET", path)
        status = found.get("status", {})
        return "typeChecking" in status and status["observedGeneration"] == found["metadata"]["generation"]

    until("the types are checked", checked)
    told: list[dict[str, str]] = status["typeChecking"].get("expressionWarnings", [])
    return told


def warnings_of_flat(operator: Cluster, policy: Manifest) -> list[dict[str, str]]:
    """The same of a policy that is made for the check alone."""
    one = flat(policy)
    try:
        operator.apply(path_of(one), one)
        return warnings(operator, path_of(one))
    finally:
        operator.delete(path_of(one))


@pytest.mark.parametrize("concern", POLICIES)
def test_types_are_right(people: Hall, concern: str) -> None:
    policy = POLICIES[concern]
    assert warnings(people.operator, path_of(policy)) == []
    assert warnings_of_flat(people.operator, policy) == []


@pytest.mark.parametrize(
    ("concern", "right", "wrong"),
    [
        ("pods", "spec.containers", "spec.containrs"),
        ("pods", "spec.?tolerations", "spec.?toleration"),
        ("cronjobs", "each.spec.jobTemplate", "each.spec.jobTemplates"),
        ("services", "port.?nodePort", "port.?nodePorts"),
        ("bindings", "it.target", "it.targets"),
    ],
)
def test_types_are_checked_at_all(people: Hall, concern: str, right: str, wrong: str) -> None:
    """A field that does not exist is told, or the test above would prove nothing."""
    broken = merged(POLICIES[concern], {})
    for variable in broken["spec"]["variables"]:
        variable["expression"] = variable["expression"].replace(right, wrong)
    told = warnings_of_flat(people.operator, broken)
    assert any(f"undefined field '{wrong.rpartition('.')[2].lstrip('?')}'" in one["warning"] for one in told)
