"""One file of a world into models, or into the problems that it has by itself. Pure: bytes in, a Reading out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import Any

import yaml
from pydantic import ValidationError
from yaml.nodes import Node

from config.errors import Problem
from config.explain import explain, is_follow_on, path_of
from config.files import SITE_FILE
from config.models import Declared, Profile, Site, Tenant
from config.sources import Origin, field_name
from config.yamltext import Fault, Path, compose, construct, decode, lines_along, shown, syntax_fault

_MODELS: dict[str, type[Declared]] = {"site": Site, "profiles": Profile, "tenants": Tenant}


@dataclass(frozen=True)
class Entry:
    """One document; *model* is None where it is wrong."""

    section: str
    """site, profiles or tenants."""
    name: str
    """As declared, or after the file where the declaration gives none; empty for the site."""
    model: Declared | None
    origin: Origin


@dataclass(frozen=True)
class Reading:
    """All that one file says."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True)
class _Document:
    section: str
    stem: str
    data: Any
    node: Node | None
    origin: Origin

    def problem(self, path: Path, message: str, fix: str) -> Problem:
        *_, line = lines_along(self.node, path)
        return Problem(self.origin.file, line, field_name(path), message, fix)

    def name(self) -> str:
        declared = self.data.get("name") if isinstance(self.data, dict) else None
        return declared if isinstance(declared, str) and self.section != "site" else self.stem


def read_file(file: str, raw: bytes) -> Reading:
    """What one file says; never raises. *file* is relative to the world's folder."""
    section, stem = _section_of(file)
    parsed = _parse(raw)
    if isinstance(parsed, Fault):
        return Reading((stand_in(file),), (_problem(file, parsed),))
    text, nodes, values, faults = parsed
    documents = [
        _Document(section, stem, data, node, Origin(file, text, index))
        for index, (data, node) in enumerate(zip(values, nodes, strict=True))
        if data is not None  # a `---` at the top or the end opens an empty document; nobody means one
    ]
    problems = [_problem(file, fault) for fault in faults]
    problems += _wrong_count(section, file, documents)
    told = {(problem.line, problem.field) for problem in problems}
    entries: list[Entry] = []
    for document in documents if section != "site" else documents[:1]:
        model, wrong = _validate(document)
        entries.append(Entry(section, document.name(), model, document.origin))
        # What the text has wrong, the model has wrong too; once is enough.
        problems += (problem for problem in wrong if (problem.line, problem.field) not in told)
    return Reading(tuple(entries), tuple(problems))


def stand_in(file: str) -> Entry:
    """For a file that tells nothing: its name counts as declared, so that nobody else is told that it is unknown."""
    return Entry(*_section_of(file), None, Origin(file, "", 0))


def _section_of(file: str) -> tuple[str, str]:
    """Section and the name that the file's name promises."""
    return ("site", "") if file == SITE_FILE else (FilePath(file).parent.name, FilePath(file).stem)


def _parse(raw: bytes) -> tuple[str, tuple[Node | None, ...], list[Any], list[Fault]] | Fault:
    """The text, and each document's node and value with the faults in them; one Fault where there is no document."""
    text = decode(raw)
    if isinstance(text, Fault):
        return text
    try:
        nodes = compose(text)
    except (yaml.YAMLError, RecursionError) as error:
        return syntax_fault(error, text)
    built = construct(nodes)
    return built if isinstance(built, Fault) else (text, nodes, *built)


def _problem(file: str, fault: Fault) -> Problem:
    return Problem(file, fault.line, field_name(fault.path), fault.message, fault.fix)


def _wrong_count(section: str, file: str, documents: Sequence[_Document]) -> Iterator[Problem]:
    if section == "site":
        for second in documents[1:2]:
            yield second.problem((), "this file holds a second document", "keep one, without lines of ---")
    elif not documents:
        yield Problem(file, 1, "", "nothing is declared in this file", "declare something, or delete the file")
    elif section == "tenants" and len(documents) == 1 and documents[0].name() != documents[0].stem:
        name, stem = documents[0].name(), documents[0].stem
        fix = f"rename the file to {name}.yaml, or write `name: {stem}`"
        yield documents[0].problem(("name",), f"tenant {shown(name)} is declared in a file of another name", fix)


def _validate(document: _Document) -> tuple[Declared | None, Iterable[Problem]]:
    model, data = _MODELS[document.section], document.data
    if not isinstance(data, dict):
        return None, [document.problem((), f"{shown(data)} stands where fields should", "write `name: value` lines")]
    try:
        return model.model_validate(data), ()
    except ValidationError as error:
        details = [detail for detail in error.errors(include_url=False) if not is_follow_on(detail)]
        return None, [document.problem(path_of(detail, data), *explain(detail, model)) for detail in details]
