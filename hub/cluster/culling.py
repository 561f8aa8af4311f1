"""What the culler needs besides its configuration."""

from __future__ import annotations

import signal
import sys
from collections.abc import Mapping

from config.store import WorldStore
from hub.cluster.settings import Cluster
from spawners.check import check_profiles
from spawners.kinds.base import Kind
from spawners.kinds.registry import load_kinds


def end_on_sigterm() -> None:
    """The first process of a container is not ended by a signal that it does not handle."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def worlds_of(settings: Cluster) -> tuple[WorldStore, Mapping[str, Kind]]:
    """The declared world, and the kinds that it may name."""
    kinds = load_kinds()
    return WorldStore(settings.config, extra_check=lambda world, sources: check_profiles(world, sources, kinds)), kinds
