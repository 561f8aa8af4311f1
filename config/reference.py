"""docs/reference.md: every field of the three sorts of files, generated from the models' JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from config.schema import MODELS, schema

SHIPPED = Path("docs")
"""Relative to the repository, where this is run."""
_FILE = "reference.md"

_HEAD = """\
# Reference of the declared world

*Generated from the models by `tenanthub reference --write docs`; do not edit by hand.*

A world is a folder:

| file | holds |
|---|---|
| `site.yaml` | what is true for every tenant; may be left out |
| `profiles/*.yaml` | one profile a file, or several separated by `---` |
| `tenants/*.yaml` | one tenant a file, named as the tenant, or several separated by `---` |

`tenanthub check DIR` says all that is wrong, with file, line, field and what would be right. Hidden files, editors'
back-up files and `*.md` are passed over; anything else in `profiles/` or `tenants/` is a problem, never skipped.

The files are YAML 1.2: only `true` and `false` are booleans, a number with a leading zero is text, and dates are text.
Duplicate keys, unknown fields, unknown tags and merge keys (`<<`) are problems. For completion in an editor run
`tenanthub schema --write schema` once and begin each file with `# yaml-language-server: $schema=../schema/tenant.json`
(relative to the file).
"""
_TITLES = {"site": "site.yaml", "profile": "profiles/*.yaml", "tenant": "tenants/*.yaml"}


def text() -> str:
    """The whole page."""
    return "\n".join([_HEAD, *(line for name in MODELS for line in _page(name))]).rstrip() + "\n"


def write(directory: Path = SHIPPED) -> Path:
    """Write reference.md into *directory*, made where missing. OSError where that fails."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / _FILE
    path.write_text(text(), encoding="utf-8")
    return path


def drift(directory: Path = SHIPPED) -> list[str]:
    """One line where the file in *directory* is not what the models say now; empty where it is."""
    path = directory / _FILE
    if path.is_file() and path.read_text(encoding="utf-8") == text():
        return []
    return [f"{path}: {'differs from the models' if path.is_file() else 'is missing'}; run tenanthub reference --write"]


def _page(name: str) -> Iterator[str]:
    generated = schema(name)
    definitions: dict[str, Any] = generated.get("$defs", {})
    yield f"## {_TITLES[name]}\n"
    yield from _table(generated, definitions)
    for prefix, definition in _parts(generated, definitions, ""):
        yield f"### {name}: {prefix}\n"
        yield from _table(definition, definitions)


def _parts(part: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The models inside *part* in the order of their fields, each with the path to it: `networks[]`, `workers`."""
    for field, about in part["properties"].items():
        name = _referenced(about)
        if name:
            many = "[]" if about.get("type") == "array" else ""
            yield f"{prefix}{field}{many}", definitions[name]
            yield from _parts(definitions[name], definitions, f"{prefix}{field}{many}.")


def _referenced(about: dict[str, Any]) -> str | None:
    """Name of the model that a field holds, alone, in a list, or or-null."""
    for place in (about, about.get("items", {}), *about.get("anyOf", []), *about.get("allOf", [])):
        if "$ref" in place:
            return str(place["$ref"]).rpartition("/")[2]
    return None


def _table(part: dict[str, Any], definitions: dict[str, Any]) -> Iterator[str]:
    yield f"{part.get('description', '')}\n"
    yield "| field | type | default | meaning | example |"
    yield "|---|---|---|---|---|"
    required = part.get("required", [])
    for field, about in part["properties"].items():
        default = "*required*" if field in required else _default(about)
        inner = definitions.get(_referenced(about) or "", {})
        meaning = _cell(about.get("description") or inner.get("description", ""))
        cells = (f"`{field}`", _type(about), default, meaning, _example(about))
        yield f"| {' | '.join(cells)} |"
    yield ""


def _default(about: dict[str, Any]) -> str:
    default = about.get("default")
    if default in (None, "", [], {}) or _referenced(about):
        return "–"
    return _code(default)


def _example(about: dict[str, Any]) -> str:
    examples = about.get("examples") or about.get("items", {}).get("examples") or []
    if about.get("type") == "array" and examples:
        return _code(examples[:1])
    return _code(examples[0]) if examples else "–"


def _type(about: dict[str, Any]) -> str:
    if "$ref" in about:
        return "fields below"
    if "anyOf" in about:
        arms = dict.fromkeys(_type(arm) for arm in about["anyOf"] if arm.get("type") != "null")
        return " or ".join(arms)
    if "enum" in about or "const" in about:
        return "one of " + ", ".join(_code(value) for value in about.get("enum", [about.get("const")]))
    kind = about.get("type")
    if kind == "array":
        return f"list of {_type(about['items'])}".replace("list of fields below", "list, fields below")
    if kind == "object":
        inner = about.get("additionalProperties") or next(iter(about.get("patternProperties", {}).values()), None)
        return f"mapping to {_type(inner)}" if isinstance(inner, dict) else "mapping to anything"
    if kind is None:
        return "anything"
    words = {"string": "text", "integer": "whole number", "boolean": "true or false", "number": "number"}
    return words[kind] + _limits(about)


def _limits(about: dict[str, Any]) -> str:
    if "minimum" in about and "maximum" in about:
        return f" ({about['minimum']} to {about['maximum']})"
    if "minimum" in about:
        return f" (at least {about['minimum']})"
    if "maxLength" in about:
        return f" (at most {about['maxLength']} characters)"
    return ""


def _code(value: Any) -> str:
    return f"`{_cell(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))}`"


def _cell(text_: str) -> str:
    return " ".join(text_.split()).replace("|", "\\|")
