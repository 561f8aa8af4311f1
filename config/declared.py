"""From a folder to a world that is fit for a cluster. Every command about one begins here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from config.check.cluster import doubts, ready_for_cluster
from config.errors import Problem, WorldError, in_order
from config.load import ExtraCheck, load_sources
from config.models import World
from config.names import Keys, keys
from config.sources import Sources


@dataclass(frozen=True)
class Declared:
    """A world that is fit for a cluster."""

    world: World
    sources: Sources
    doubts: tuple[Problem, ...]
    """What the operator should know, and may have meant."""

    @property
    def keys(self) -> Keys:
        """Label keys of the site."""
        return keys(self.world.site)


def declared(directory: Path, extra_check: ExtraCheck | None = None) -> Declared:
    """Read and check *directory*. WorldError with every problem."""
    world, sources = load_sources(directory, extra_check)
    if problems := ready_for_cluster(world, sources):
        raise WorldError(problems)
    return Declared(world, sources, in_order(doubts(world, sources)))
