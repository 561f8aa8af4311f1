"""Configuration file of jupyterhub-idle-culler on a cluster; all of it is in hub/culling.py."""

import os

from config.store import WorldStore
from hub.cluster.settings import read
from hub.culling import configure
from spawners.check import check_profiles
from spawners.kinds.registry import load_kinds

kinds = load_kinds()
folder = read("culler", os.environ).config
worlds = WorldStore(folder, extra_check=lambda world, sources: check_profiles(world, sources, kinds))
configure(c, worlds, kinds)  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
