"""All kinds of this installation: ours and those that a site adds, through one entry point group."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points

from spawners.kinds.base import Kind

GROUP = "tenanthub.kinds"


def load_kinds() -> Mapping[str, Kind]:
    """Kinds by name. A site's package adds `[project.entry-points."tenanthub.kinds"] mine = "package:MyKind"`.

    RuntimeError names the entry point that cannot be loaded or whose name is taken.
    """
    kinds: dict[str, Kind] = {}
    for point in sorted(entry_points(group=GROUP), key=lambda point: point.name):
        try:
            kind = point.load()()
        except Exception as error:
            raise RuntimeError(f"kind {point.name} ({point.value}) cannot be loaded: {error}") from error
        if kind.name in kinds:
            raise RuntimeError(f"two kinds are called {kind.name!r}; the second comes from {point.value}")
        kinds[kind.name] = kind
    return kinds
