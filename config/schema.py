"""JSON Schemas (draft 2020-12) of the three sorts of files, generated from the models: editors complete by them.

A file says which one is its with a first line, which yaml-language-server reads (and so VS Code, Neovim, Helix):

    # yaml-language-server: $schema=../schema/tenant.json

The path is relative to the file: `schema/site.json` from site.yaml, `../schema/tenant.json` from tenants/physics.yaml.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema

from config.models import Declared, Profile, Site, Tenant

MODELS: dict[str, type[Declared]] = {"site": Site, "profile": Profile, "tenant": Tenant}
SHIPPED = Path(__file__).parent / "schema"
"""The generated files, part of the package."""


def schema(name: str) -> dict[str, Any]:
    """The schema of *name*: site, profile or tenant. KeyError for another."""
    model = MODELS[name]
    generated = model.model_json_schema(mode="validation")
    return {"$schema": GenerateJsonSchema.schema_dialect, **generated}


def text(name: str) -> str:
    """The schema as its file holds it."""
    return json.dumps(schema(name), indent=2, ensure_ascii=False) + "\n"


def write(directory: Path) -> tuple[Path, ...]:
    """Write the three schemas into *directory* (made where missing); return the files. OSError where that fails."""
    directory.mkdir(parents=True, exist_ok=True)
    paths = tuple(directory / f"{name}.json" for name in MODELS)
    for path in paths:
        path.write_text(text(path.stem), encoding="utf-8")
    return paths


def drift(directory: Path = SHIPPED) -> list[str]:
    """One line for each file in *directory* that is not what the models say now; empty where all are."""
    lines: list[str] = []
    for name in MODELS:
        path = directory / f"{name}.json"
        if not path.is_file():
            lines.append(f"{path}: is missing; run tenanthub schema --write {directory}")
        elif path.read_text(encoding="utf-8") != text(name):
            lines.append(f"{path}: differs from the models; run tenanthub schema --write {directory}")
    return lines
