"""One machine as hub and portal see it: world, kinds, tools, state folder, records."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, cached_property
from pathlib import Path

from config.models import World
from config.store import WorldStore
from spawners.check import check_profiles
from spawners.kinds.base import Kind
from spawners.kinds.registry import load_kinds
from spawners.local.state import StateFolder
from spawners.local.store import Store
from spawners.local.tools import find_tools
from spawners.plan import Tools


class LocalSite:
    """Made once a process; the world in it follows its files."""

    def __init__(self, config: Path, state: Path) -> None:
        self.kinds: Mapping[str, Kind] = load_kinds()
        self.state = StateFolder(state)
        self.store = Store(self.state)
        self.worlds = WorldStore(config, extra_check=lambda world, sources: check_profiles(world, sources, self.kinds))

    @cached_property
    def tools(self) -> Tools:
        """Programs of this machine, looked for once a process."""
        return find_tools()

    def world(self) -> World:
        """The declared world as it is now; the last good one while its files are wrong."""
        return self.worlds.current()


@cache
def site_of(config: Path, state: Path) -> LocalSite:
    """The one LocalSite of this process for these folders: hub and all of its spawners share the world they read."""
    return LocalSite(config, state)
