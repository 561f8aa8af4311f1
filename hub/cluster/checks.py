"""What is looked at before a part begins: a world that is wrong is said in the operator's words, not by a traceback."""

from __future__ import annotations

from pathlib import Path

from config.load import load
from config.models import World
from spawners.check import check_profiles
from spawners.kinds.registry import load_kinds


def ready_world(folder: Path) -> World:
    """The declared world. WorldError with everything that is wrong in it."""
    kinds = load_kinds()
    return load(folder, extra_check=lambda world, sources: check_profiles(world, sources, kinds))
