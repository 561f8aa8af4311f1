"""values.schema.json: every value is in it and described, the world's fields are config/'s, mistakes are named."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml

from tests.unit.helm.chart import CHART, ROOT, SCHEMA, objects, refused

WORLD = {"Site": "site", "Profile": "profile", "Tenant": "tenant"}
"""Definition in values.schema.json, and its file in config/schema, which is generated from the models."""
URL = {"publicUrl": "https://hub.example.org"}
REFERENCE = ROOT / "docs" / "chart.md"
BEGIN, END = "<!-- values: generated from values.schema.json -->\n", "<!-- end of values -->\n"


def _schema() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(SCHEMA.read_text())
    return found


@cache
def _defaults() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return found


def _of_the_world() -> dict[str, Any]:
    """The models' schemas as definitions of the chart's; a name is the key here, so it is no field."""
    found: dict[str, Any] = {}
    for name, file in WORLD.items():
        text = (ROOT / "config" / "schema" / f"{file}.json").read_text()
        schema = json.loads(text.replace('"#/$defs/', f'"#/$defs/{name}.'))
        found.update({f"{name}.{key}": one for key, one in schema.pop("$defs").items()})
        schema.pop("$schema", None)
        schema.pop("$id", None)
        if file != "site":
            schema["properties"].pop("name")
            schema["required"] = [one for one in schema.get("required", ()) if one != "name"]
        found[name] = schema
    return found


def _fields(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and schema of each value; what the world holds is described in docs/reference.md."""
    for name, one in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, one
        yield from _fields(one, here)


def test_the_worlds_fields_are_those_of_its_models() -> None:
    schema, wanted = _schema(), _of_the_world()
    kept = {key: one for key, one in schema["$defs"].items() if key.split(".")[0] not in WORLD}
    if os.environ.get("UPDATE_GOLDENS"):
        schema["$defs"] = {**kept, **wanted}
        SCHEMA.write_text(json.dumps(schema, indent=2, ensure_ascii=False) + "\n")
    assert _schema()["$defs"] == {**kept, **wanted}


def test_every_value_is_described_and_has_a_default() -> None:
    fields = dict(_fields(_schema()))
    missing = [
        path for path, one in fields.items() if "$ref" not in one and not one.get("description", "").endswith(".")
    ]
    assert missing == []
    optional = {"global", *(path for path in fields if path.startswith(("images.hub.", "proxy.image.")))}
    optional |= {path for path in fields if path.rpartition(".")[0].endswith("resources")}
    for path in sorted(set(fields) - optional):
        at: Any = _defaults()
        for part in path.split("."):
            assert part in at, f"{path} has no default in values.yaml"
            at = at[part]


def test_no_object_takes_what_it_does_not_know() -> None:
    free = [
        path for path, one in _fields(_schema()) if one.get("properties") and one["additionalProperties"] is not False
    ]
    assert free == []


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"hubb": {}}, "hubb"),
        ({"hub": {"replicas": 2}}, "replicas"),
        ({"publicUrl": "hub.example.org"}, "/publicUrl"),
        ({"proxy": {"service": {"type": "loadbalancer"}}}, "/proxy/service/type"),
        ({"proxy": {"service": {"port": "http"}}}, "/proxy/service/port"),
        ({"hub": {"database": {"type": "mysql"}}}, "/hub/database/type"),
        ({"hub": {"database": {"sqlite": {"size": "much"}}}}, "/hub/database/sqlite/size"),
        ({"hub": {"resources": {"requests": {"memory": "a lot"}}}}, "/hub/resources/requests/memory"),
        ({"images": {"kinds": {"notebook": {"digest": "sha256:12"}}}}, "/images/kinds/notebook"),
        ({"world": {"tenants": {"Physics": {"admins": ["ada"]}}}}, "Physics"),
        ({"world": {"tenants": {"physics": {"admin": ["ada"]}}}}, "admin"),
        ({"world": {"site": {"cluster": {"pods": "10.0.0.0/8"}}}}, "/world/site/cluster/pods"),
        ({"world": {"profiles": {"big": {"kind": "notebook"}}}}, "big"),
        ({"hub": {"database": {"type": "postgres"}}}, "hub.database.postgres.existingSecret"),
        ({"ingress": {"enabled": True}}, "ingress.host"),
        ({"world": {"site": {"cluster": {"hub_namespace": "research"}}}}, "hub_namespace"),
    ],
)
def test_a_mistake_is_refused_by_its_name(values: dict[str, Any], said: str) -> None:
    told = refused({**URL, **values})
    assert said in told


def test_a_public_url_has_to_be_given_once() -> None:
    assert "publicUrl" in refused({})
    assert objects({"ingress": {"enabled": True, "host": "hub.example.org"}})


def _rows() -> Iterator[str]:
    yield "| value | what | default |\n|---|---|---|\n"
    for path, one in _fields(_schema()):
        at: Any = _defaults()
        for part in path.split("."):
            at = at.get(part, {}) if isinstance(at, dict) else {}
        if one.get("properties") and not path.endswith("resources"):
            yield f"| **`{path}`** | {one['description']} | |\n"
        elif "resources." not in path and not path.endswith((".registry", ".digest", ".tag", ".repository")):
            shown = "see values.yaml" if path == "world.profiles" else json.dumps(at, ensure_ascii=False)
            yield f"| `{path}` | {one.get('description', 'As site.yaml.')} | `{shown}` |\n"


def test_the_reference_lists_every_value() -> None:
    text, table = REFERENCE.read_text(), "".join(_rows())
    before, rest = text.split(BEGIN)
    after = rest.split(END)[1]
    if os.environ.get("UPDATE_GOLDENS"):
        REFERENCE.write_text(f"{before}{BEGIN}{table}{END}{after}")
    assert REFERENCE.read_text() == f"{before}{BEGIN}{table}{END}{after}"
