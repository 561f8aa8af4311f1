"""Where everything in a world was written, for problems that are found after loading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from yaml.nodes import Node

from config.errors import Problem
from config.files import SITE_FILE
from config.yamltext import Path, compose, lines_along


@dataclass(frozen=True)
class Origin:
    """The document that declares one site, profile or tenant."""

    file: str
    text: str
    index: int
    """Which document of the file, from 0."""


@dataclass(frozen=True)
class Sources:
    """File and line of any field. Keeps texts, not trees: lines are looked up again when a problem needs one."""

    origins: Mapping[tuple[str, str], Origin]
    """By ("site", ""), ("profiles", name) or ("tenants", name)."""
    named: Mapping[str, frozenset[str]]
    """Names declared by section, those included whose declaration is wrong (so that no follow-on error is told)."""

    def at(self, section: str, name: str = "", path: Path = ()) -> tuple[str, int]:
        """File and line of *path* in the site ("site", ""), a profile or a tenant ("profiles" or "tenants", name).

        A field that is not written takes the line of what it would stand in.
        """
        origin = self.origins.get((section, name))
        if origin is None:
            return (SITE_FILE if section == "site" else section, 0)
        *_, line = lines_along(_document(origin), path)
        return origin.file, line

    def place(self, section: str, name: str = "", path: Path = ()) -> str:
        """The same as "file:line", to name a second place in a message."""
        file, line = self.at(section, name, path)
        return f"{file}:{line}" if line else file

    def problem(self, section: str, name: str, path: Path, message: str, fix: str) -> Problem:
        """A problem at that place."""
        file, line = self.at(section, name, path)
        return Problem(file, line, field_name(path), message, fix)

    def known(self, section: str) -> frozenset[str]:
        """Every name that the section declares, rightly or wrongly."""
        return self.named.get(section, frozenset())


@lru_cache(maxsize=16)
def _document(origin: Origin) -> Node | None:
    return compose(origin.text)[origin.index]


def field_name(path: Path) -> str:
    """("networks", 0, "vlan") -> "networks[0].vlan"."""
    said = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return said.removeprefix(".")
