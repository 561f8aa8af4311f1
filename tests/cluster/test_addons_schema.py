"""The add-ons' objects against the add-ons' own definitions, the Kyoto paper's versions and the current ones.

Once by the schemas alone, which takes no cluster, and once by an API server, which also knows their rules (CEL).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # its types are a package of their own

from config.cluster.client import Cluster
from config.emit import capsule, cilium, egress, metallb
from config.emit.common import Emitter, Manifest
from config.order import kind_of
from tests.cluster.bed import Bed, crds
from tests.tiers import need
from tests.unit.config.emit.addon_worlds import DATA, addon_cases, addon_world

EMITTERS: dict[str, Emitter] = {
    "capsule": capsule.emit,
    "cilium": cilium.emit,
    "egress": egress.emit,
    "metallb": metallb.emit,
}
CASES = [(emitter, case) for emitter in EMITTERS for case in addon_cases(emitter)]
SETS = pytest.mark.parametrize("which", ["paper", "current"])

Schemas = dict[tuple[str, str], dict[str, Any]]


def objects(emitter: str, case: str) -> list[Manifest]:
    """What the golden file says, which the unit tests hold against the emitter."""
    return list(yaml.safe_load_all((DATA / emitter / case / "expected.yaml").read_text(encoding="utf-8")))


def definitions(which: str) -> Path:
    found = crds.folder(which)
    need("crds", found, "the add-ons' own definitions are not at hand (TENANTHUB_CRDS names their folder)")
    assert found
    return found


@cache
def schemas(which: str) -> Schemas:
    """The schema of each kind by apiVersion and kind, closed to fields that it does not know."""
    found: Schemas = {}
    for file in definitions(which).glob("*.yaml"):
        # by libyaml: some of these files have ten thousand lines
        spec = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["spec"]
        for version in spec["versions"]:
            place = f"{spec['group']}/{version['name']}", spec["names"]["kind"]
            schema = version["schema"]["openAPIV3Schema"]
            schema["properties"]["metadata"] = {"type": "object", "additionalProperties": True}
            found[place] = closed(schema)
    return found


def closed(schema: dict[str, Any]) -> dict[str, Any]:
    """As strict field validation: no field but those named. Alternatives (oneOf) name only what they ask for."""
    parts = dict(schema)
    if "properties" in parts:
        parts["properties"] = {name: closed(part) for name, part in parts["properties"].items()}
        if not parts.get("x-kubernetes-preserve-unknown-fields"):
            parts.setdefault("additionalProperties", False)
    for name in ("items", "additionalProperties"):
        if isinstance(parts.get(name), dict):
            parts[name] = closed(parts[name])
    return parts


@SETS
def test_the_schemas_take_every_object(which: str) -> None:
    known = schemas(which)
    wrong = [
        f"{emitter}/{case}: {one['kind']} {error.json_path}: {error.message}"
        for emitter, case in CASES
        for one in objects(emitter, case)
        for error in Draft202012Validator(known[one["apiVersion"], one["kind"]]).iter_errors(one)
    ]
    assert not wrong


@SETS
def test_the_schemas_would_tell(which: str) -> None:
    """A field that nobody knows, wherever it stands, is an error; else the test above says nothing."""
    known = schemas(which)
    for emitter, case in CASES:
        for one in objects(emitter, case):
            validator = Draft202012Validator(known[one["apiVersion"], one["kind"]])
            assert not validator.is_valid({**one, "spec": {**one["spec"], "surprise": 1}})
            for name, part in one["spec"].items():
                if isinstance(part, dict) and name != "nodeSelector":
                    assert not validator.is_valid({**one, "spec": {**one["spec"], name: {**part, "surprise": []}}})


@SETS
def test_the_api_server_takes_every_object(which: str, control_plane: Callable[[str], Bed]) -> None:
    cluster = Cluster.connect(control_plane(which).kubeconfig)
    cluster.apply("/api/v1/namespaces/metallb", namespace("metallb"))
    cluster.apply("/api/v1/namespaces/metallb-system", namespace("metallb-system"))
    for emitter, case in CASES:
        for one in EMITTERS[emitter](addon_world(emitter, case)):
            path = kind_of(one).path(one["metadata"]["name"], one["metadata"].get("namespace"))
            taken = cluster.apply(path, one)
            assert cluster.apply(path, one)["metadata"]["resourceVersion"] == taken["metadata"]["resourceVersion"]
            for field in kind_of(one).immutable:
                assert at(taken, field) == at(one, field), f"{one['kind']} {field}: what is wanted is not what is live"
            cluster.delete(path)


def namespace(name: str) -> Manifest:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def at(manifest: Manifest, path: tuple[str, ...]) -> Any:
    found: Any = manifest
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found
