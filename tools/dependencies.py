"""Direct dependencies: each explained in docs/dependencies.md, each satisfied by the lock files. Needs no network."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tools.places import LOCKS, ROOT

PAGE = "docs/dependencies.md"


def declared(pyproject: Mapping[str, Any]) -> dict[str, list[Requirement]]:
    """The direct requirements by the lock file that must hold them: `run` (with the set-up's own) and `dev`."""
    project = pyproject["project"]
    extras = project.get("optional-dependencies", {})
    run = [Requirement(line) for line in [*project["dependencies"], *extras.get("setup", [])]]
    return {"run": run, "dev": run + [Requirement(line) for line in extras.get("dev", [])]}


def pins(lock_text: str) -> dict[str, set[str]]:
    """The pinned versions by canonical name; more than one where markers tell them apart."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", lock_text, re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def unlocked(wanted: Iterable[Requirement], locked: Mapping[str, set[str]], lock_name: str) -> list[str]:
    """A line for each requirement that the lock file leaves out or pins outside the declared range."""
    found = []
    for requirement in wanted:
        versions = locked.get(canonicalize_name(requirement.name), set())
        if not versions:
            found.append(f"{lock_name}: {requirement.name} is missing; run make lock")
        found += [
            f"{lock_name}: {requirement.name}=={version} is not {requirement.specifier}; run make lock"
            for version in sorted(versions)
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    return found


def differing(run: Mapping[str, set[str]], dev: Mapping[str, set[str]]) -> list[str]:
    """A line for each package that the two lock files pin differently: tests must run what users run."""
    return [
        f"requirements-dev.lock: {name} is {', '.join(sorted(dev.get(name, set()))) or 'missing'}, "
        f"requirements.lock has {', '.join(sorted(versions))}; run make lock"
        for name, versions in run.items()
        if dev.get(name) != versions
    ]


def node_drift(package: Mapping[str, Any], lock: Mapping[str, Any]) -> list[str]:
    """A line for each group of package.json that package-lock.json was not made from."""
    root = lock.get("packages", {}).get("", {})
    return [
        f"package-lock.json: {group} differ from package.json; run make lock"
        for group in ("dependencies", "devDependencies")
        if package.get(group, {}) != root.get(group, {})
    ]


def unexplained(names: Iterable[str], page: str) -> list[str]:
    """A line for each dependency that the page doesn't name in backticks."""
    explained = set(re.findall(r"`([^`]+)`", page))
    return [f"{PAGE}: `{name}` is not explained" for name in names if name not in explained]


def lock_problems(root: Path = ROOT) -> list[str]:
    """Everything that has drifted between what is declared and what is locked."""
    wanted = declared(tomllib.loads((root / "pyproject.toml").read_text()))
    locked = {level: pins((root / path.name).read_text()) for level, path in LOCKS.items()}
    package = json.loads((root / "package.json").read_text())
    return [
        *(line for level, path in LOCKS.items() for line in unlocked(wanted[level], locked[level], path.name)),
        *differing(locked["run"], locked["dev"]),
        *node_drift(package, json.loads((root / "package-lock.json").read_text())),
    ]


def page_problems(root: Path = ROOT) -> list[str]:
    """Direct dependencies, of Python and of Node, that docs/dependencies.md says nothing about."""
    wanted = declared(tomllib.loads((root / "pyproject.toml").read_text()))["dev"]
    package = json.loads((root / "package.json").read_text())
    names = [requirement.name for requirement in wanted]
    names += [name for group in ("dependencies", "devDependencies") for name in package.get(group, {})]
    page = root / PAGE
    return unexplained(names, page.read_text() if page.exists() else "")
