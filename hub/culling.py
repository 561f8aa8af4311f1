"""When an idle server is stopped: the profile's rule, decided in jupyterhub-idle-culler's cull_arbiter_hook.

Run as the culler's configuration file; what counts as activity is reported by the servers (docs/activity.md).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tornado.httpclient import HTTPClientError

from config.models import IdleRule, World
from config.store import WorldStore
from spawners.kinds.base import Kind


def rule_of(world: World, kinds: Mapping[str, Kind], server: Mapping[str, Any]) -> IdleRule | None:
    """The idle rule of a server as the hub's API shows it; None for one that is never stopped by itself.

    What the tenant owns runs unattended, and a server whose profile is gone is left to people.
    """
    options = server.get("user_options") or {}
    owner = str(server.get("full_name", "")).partition("/")[0]
    profile = world.profiles.get(str(options.get("profile")))
    if world.tenant_of_account(owner) or owner.startswith("tenant-") or profile is None:
        return None
    kind = kinds.get(profile.kind)
    if kind is None or not kind.interactive:
        return None
    return profile.idle or IdleRule()


def should_stop(
    world: World,
    kinds: Mapping[str, Kind],
    server: Mapping[str, Any],
    inactive: timedelta | None,
    now: datetime,
) -> bool:
    """Whether the culler may stop *server* that was *inactive* for so long."""
    rule = rule_of(world, kinds, server)
    if rule is None:
        return False
    if inactive is not None and inactive.total_seconds() >= rule.stop_after_s:
        return True
    started = server.get("started")
    if rule.max_age_s is None or not started:
        return False
    return (now - datetime.fromisoformat(str(started).replace("Z", "+00:00"))).total_seconds() >= rule.max_age_s


class Discreet(logging.Filter):
    """What tornado says of a round that failed, without the culler's token.

    It prints the callback with all its arguments, the token among them (jupyterhub-idle-culler 2.0 hands it to a
    functools.partial). A hub that is away is no fault of the culler's: one line, no traceback; the next round asks
    again.
    """

    def __init__(self, token: str) -> None:
        super().__init__()
        self._token = token

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: the line stays, told otherwise."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, OSError | HTTPClientError):
            record.msg, record.args, record.exc_info = "The hub does not answer, asking again: %s", (error,), None
        elif self._token in (said := record.getMessage()):
            record.msg, record.args = said.replace(self._token, "…"), ()
        return True


def configure(c: Any, worlds: WorldStore, kinds: Mapping[str, Kind]) -> None:
    """Set up the culler: called by its configuration files."""
    discreet = Discreet(os.environ["JUPYTERHUB_API_TOKEN"])
    for name in ("asyncio", "tornado.application", "tornado.general"):
        logging.getLogger(name).addFilter(discreet)

    def arbiter(*, inactive: timedelta | None, server: Mapping[str, Any], **_: Any) -> bool:
        return should_stop(worlds.current(), kinds, server, inactive, datetime.now(UTC))

    c.IdleCuller.cull_arbiter_hook = arbiter
    c.IdleCuller.cull_every = int(os.environ.get("TENANTHUB_CULL_EVERY_S", "60"))
