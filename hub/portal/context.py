"""What every handler stands on, put together once and injected: no globals."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from fastapi import Request
from jinja2 import Environment

from config.models import World
from hub.portal.hub_client import Hub
from hub.portal.launch import Locks
from hub.portal.sealing import Sealer
from hub.portal.settings import Settings
from hub.portal.shown import Shown
from spawners.kinds.base import Kind
from spawners.plan import Tools
from spawners.runtime import Runtime


class Worlds(Protocol):
    """The declared world as it is now (config.store.WorldStore)."""

    def current(self) -> World:
        """The newest world that was right."""

    @property
    def problems(self) -> Sequence[Any]:
        """What is wrong with the files as they are now, each printable; empty when `current` is what they say."""


@dataclass(frozen=True)
class Portal:
    """The parts of one portal."""

    settings: Settings
    worlds: Worlds
    kinds: Mapping[str, Kind]
    runtime: Runtime
    hub: Hub
    tools: Tools | None
    """Programs of this machine; None on a cluster."""
    sealer: Sealer
    templates: Environment
    clock: Callable[[], datetime]
    """Now, aware."""
    locks: Locks
    """One launch at a time for one name."""
    ready: Callable[[], bool] = lambda: True
    """Whether it knows what runs."""
    orphans: Shown = field(default_factory=Shown)
    """What the hub said of orphans, for a while."""


def portal_of(request: Request) -> Portal:
    """The portal that *request* came to (FastAPI dependency)."""
    portal: Portal = request.app.state.portal
    return portal
