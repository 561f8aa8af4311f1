"""Consistency checks over the whole world: each is small, all are run, everything is reported together."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from config.errors import Problem
from config.models import World
from config.sources import Sources

Check = Callable[[World, Sources], Iterable[Problem]]

CHECKS: tuple[Check, ...] = ()


def check(world: World, sources: Sources) -> list[Problem]:
    """All that the checks find, in their order."""
    return [problem for one in CHECKS for problem in one(world, sources)]
