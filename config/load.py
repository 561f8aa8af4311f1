"""A folder of YAML files into a World, or all that is wrong with it at once.

site.yaml         optional; every field has a default
profiles/*.yaml   one profile a file, or several separated by ---
tenants/*.yaml    one tenant a file, named as the tenant, or several separated by ---
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, MutableMapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from config.check import check
from config.errors import Problem, WorldError
from config.files import list_files, read
from config.models import Declared, Site, World
from config.reading import Entry, Reading, read_file, stand_in
from config.sources import Origin, Sources
from config.yamltext import shown

ExtraCheck = Callable[[World, Sources], Iterable[Problem]]
"""A check that another package adds, such as spawners' of the profiles' options."""

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
            entries.append(stand_in(file.name))
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
    reading = read_file(name, raw)
    cache[name] = (raw, reading)
    return reading


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
            what, first = entry.section.removesuffix("s"), sources.place(*key, ("name",))
            said = f"{what} {shown(entry.name)} is also declared at {first}"
            problems.append(own.problem(*key, ("name",), said, "give one of them another name"))
            continue
        origins[key], models[key] = entry.origin, entry.model
    world = World(
        site=cast("Site", models.get(("site", ""), Site())),
        profiles=_section(models, "profiles"),
        tenants=_section(models, "tenants"),
    )
    return world, Sources(origins, {section: frozenset(names) for section, names in named.items()})


def _section(models: dict[tuple[str, str], Declared], section: str) -> Any:
    found = {name: one for (where, name), one in sorted(models.items(), key=lambda pair: pair[0]) if where == section}
    return MappingProxyType(found)
