"""A folder of YAML files into a World, or all that is wrong with it at once.

site.yaml         optional; every field has a default
profiles/*.yaml   one profile a file, or several separated by ---
tenants/*.yaml    one tenant a file, named as the tenant, or several separated by ---
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import yaml
from pydantic import ValidationError

from config.check import check
from config.errors import Problem, WorldError, in_order
from config.explain import explain, path_of
from config.files import SITE_FILE, list_files, read
from config.models import Declared, Profile, Site, Tenant, World
from config.sources import Origin, Sources, field_name
from config.yamltext import Fault, compose, construct, decode, lines_along, shown, syntax_fault

ExtraCheck = Callable[[World, Sources], Iterable[Problem]]
"""A check that another package adds, such as spawners' of the profiles' options."""

_MODELS: dict[str, type[Declared]] = {"site": Site, "profiles": Profile, "tenants": Tenant}


@dataclass(frozen=True)
class Entry:
    """One document; *model* is None where it is wrong."""

    section: str
    name: str
    model: Declared | None
    origin: Origin


@dataclass(frozen=True)
class Reading:
    """All that one file says."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


Cache = MutableMapping[str, tuple[bytes, Reading]]
"""By file name: the bytes that were read last, and what they meant."""


def load(directory: Path, extra_check: ExtraCheck | None = None) -> World:
    """The world declared in *directory*. WorldError with every problem where there is one."""
    return load_sources(directory, extra_check)[0]


def load_sources(
    directory: Path, extra_check: ExtraCheck | None = None, cache: Cache | None = None
) -> tuple[World, Sources]:
    """The world and where each part of it was written. WorldError with every problem where there is one.

    A *cache* kept from one call to the next makes unchanged files cost nothing but their reading.
    """
    files, problems = list_files(Path(directory))
    cache = {} if cache is None else cache
    entries: list[Entry] = []
    for file in files:
        raw = read(file)
        if isinstance(raw, Problem):
            problems.append(raw)
            continue
        reading = _cached(file.name, raw, cache)
        entries += reading.entries
        problems += reading.problems
    for gone in cache.keys() - {file.name for file in files}:
        del cache[gone]
    world, sources = _assemble(entries, problems)
    problems += check(world, sources)
    if extra_check is not None:
        problems += extra_check(world, sources)
    if problems:
        raise WorldError(problems)
    return world, sources


def _cached(name: str, raw: bytes, cache: Cache) -> Reading:
    before = cache.get(name)
    if before is not None and before[0] == raw:
        return before[1]
    reading = read_text(name, raw)
    cache[name] = (raw, reading)
    return reading


def read_text(name: str, raw: bytes) -> Reading:
    """What one file says; never raises. *name* is relative to the world's folder."""
    section, stem = ("site", "") if name == SITE_FILE else (Path(name).parent.name, Path(name).stem)

    def failed(fault: Fault) -> Reading:
        # The file's name stands in for the tenant's, so that nobody is told that it is unknown.
        entry = Entry(section, stem, None, Origin(name, "", 0))
        return Reading((entry,), (Problem(name, fault.line, field_name(fault.path), fault.message, fault.fix),))

    text = decode(raw)
    if isinstance(text, Fault):
        return failed(text)
    try:
        nodes = compose(text)
    except (yaml.YAMLError, RecursionError) as error:
        return failed(syntax_fault(error, text))
    documents, faults = construct(nodes)
    problems = [Problem(name, fault.line, field_name(fault.path), fault.message, fault.fix) for fault in faults]
    if section == "site" and len(documents) > 1:
        problems.append(Problem(name, 1, "", "site.yaml holds more than one document", "remove the lines of ---"))
    if section != "site" and not any(data is not None for data in documents):
        problems.append(Problem(name, 1, "", "nothing is declared in this file", "declare something, or delete it"))
    entries: list[Entry] = []
    for index, data in enumerate(documents if section != "site" else documents[:1] or [None]):
        if data is None and section != "site":
            continue  # `---` at the top or the end opens an empty document; nobody means one
        origin = Origin(name, text, index)
        node = nodes[index] if index < len(nodes) else None
        model, wrong = _validate(section, data, lambda path, node=node: [*lines_along(node, path)][-1], name)  # type: ignore[misc]
        problems += wrong
        declared = data.get("name") if isinstance(data, dict) else None
        entries.append(
            Entry(section, declared if isinstance(declared, str) and section != "site" else stem, model, origin)
        )
        if section == "tenants" and len(documents) == 1:
            problems += _misnamed(entries[-1], stem, node)
    return Reading(tuple(entries), tuple(problems))


def _validate(
    section: str, data: Any, line_at: Callable[[tuple[str | int, ...]], int], file: str
) -> tuple[Declared | None, list[Problem]]:
    model = _MODELS[section]
    if data is None:
        data = {}
    if not isinstance(data, dict):
        said = f"{shown(data)} stands where fields should"
        return None, [Problem(file, line_at(()), "", said, "write `name: value` lines")]
    try:
        return model.model_validate(data), []
    except ValidationError as error:
        problems: list[Problem] = []
        for detail in error.errors(include_url=False):
            path = path_of(detail, data)
            problems.append(Problem(file, line_at(path), field_name(path), *explain(detail, model)))
        return None, list(in_order(problems))


def _misnamed(entry: Entry, stem: str, node: Any) -> Iterable[Problem]:
    if entry.name != stem:
        *_, line = lines_along(node, ("name",))
        fix = f"rename the file to {entry.name}.yaml, or write `name: {stem}`"
        said = f"tenant {shown(entry.name)} is declared in a file of another name"
        yield Problem(entry.origin.file, line, "name", said, fix)


def _assemble(entries: Sequence[Entry], problems: list[Problem]) -> tuple[World, Sources]:
    """The world of all that is right by itself; a name declared twice counts once and is a problem."""
    origins: dict[tuple[str, str], Origin] = {}
    models: dict[tuple[str, str], Declared] = {}
    named: dict[str, set[str]] = {}
    for entry in entries:
        key = (entry.section, entry.name)
        named.setdefault(entry.section, set()).add(entry.name)
        if entry.model is None:
            continue
        if key in models:
            sources = Sources(origins, {})
            # Its own line comes from a Sources of its own: the shared one knows the first declaration.
            own = Sources({key: entry.origin}, {})
            said = f"{entry.section.removesuffix('s')} {shown(entry.name)} is also declared at {sources.place(*key, ('name',))}"
            problems.append(own.problem(*key, ("name",), said, "give one of them another name"))
            continue
        origins[key], models[key] = entry.origin, entry.model
    world = World(
        site=cast("Site", models.get(("site", ""), Site())),
        profiles=_section(models, "profiles", Profile),
        tenants=_section(models, "tenants", Tenant),
    )
    return world, Sources(origins, {section: frozenset(names) for section, names in named.items()})


def _section(models: dict[tuple[str, str], Declared], section: str, model: type[Any]) -> Any:
    found = {name: one for (where, name), one in sorted(models.items(), key=lambda pair: pair[0]) if where == section}
    return MappingProxyType(found)
