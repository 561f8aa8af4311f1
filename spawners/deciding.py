"""What both spawners do before anything runs: options -> access -> resolve -> Workload. They differ in what follows."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from jupyterhub.spawner import SpawnException

from config.models import IdleRule, Profile, Size, World
from config.store import WorldStore
from spawners import quota
from spawners.kinds.base import Kind
from spawners.refusal import Refusal
from spawners.request import parse
from spawners.resolve import resolve
from spawners.workload import Workload

STATUS_OF = {"access": 403, "options": 400, "quota": 409, "world": 400, "place": 409}
"""HTTP status of each reason of a refusal."""
LOST = "the hub lost its database, so this server could not be taken back; start it again"
REVIVER = "reviver"
"""The service that takes back what the hub has forgotten (hub/revive.py)."""


class Site(Protocol):
    """What is decided on."""

    @property
    def worlds(self) -> WorldStore:
        """The declared world, which follows its files."""

    @property
    def kinds(self) -> Mapping[str, Kind]:
        """The kinds of workload, by name."""


class Deciding:
    """A mixin in front of a JupyterHub Spawner. It decides where JupyterHub loads user options, since the REST API
    passes every page by; what is decided is frozen in `workload`."""

    user: Any
    name: str
    handler: Any
    orm_spawner: Any

    workload: Workload | None = None
    world: World | None = None
    """The world that the launch was decided on: the one in the files may be another before it is carried out."""

    @property
    @abstractmethod
    def site(self) -> Site:
        """One for all spawners of a hub."""

    @abstractmethod
    def in_use(self, workload: Workload) -> Iterable[Size]:
        """Sizes of all that its tenant has running or starting, but for *workload* itself."""

    def going_on(self) -> Workload | None:
        """The workload that goes on, where this launch is none of anybody's wish: it is not decided anew."""
        return None

    def missing(self, kind: Kind) -> str | None:
        """What is lacking for *kind* here, in words that say how to get it."""
        del kind
        return None

    async def _run_apply_user_options(self, user_options: Any) -> None:
        """Called by JupyterHub. SpawnException with the reason where the launch is refused."""
        # The files as they are now, so that a quota or a member that was just taken away is; in a thread, since to
        # read what has changed takes a moment.
        self.world = await asyncio.to_thread(self.site.worlds.reload)
        try:
            self.workload = self.going_on() or self._decide(self.world, user_options)
        except Refusal as refusal:
            raise told(refusal) from None

    def _decide(self, world: World, user_options: Any) -> Workload:
        request = parse(user_options)
        workload = resolve(
            world,
            self.site.kinds,
            request,
            owner=self.user.name,
            name=self.name,
            display_name=self.orm_spawner.display_name or "",
            started_by=self._asker(),
            asked=datetime.now(UTC),
        )
        missing = self.missing(self.site.kinds[workload.kind])
        if missing:
            raise Refusal.of("place", missing, "profile")
        self.require_quota(world, workload)
        return workload

    def require_quota(self, world: World, workload: Workload) -> None:
        """Refusal (reason quota) where it does not fit. Asked again right before it counts as started: two launches
        cannot both take the last place, as long as there is no await in between."""
        tenant = world.tenants[workload.tenant]
        quota.require(tenant, quota.used(self.in_use(workload)), workload.size)

    def _asker(self) -> str:
        """Who asked: the signed-in person or service."""
        asker = getattr(self.handler, "current_user", None)
        return str(getattr(asker, "name", "") or self.user.name)


def activity_env(profile: Profile | None) -> dict[str, str]:
    """How often an interactive server tells the hub that it is used: four times within its idle rule, so that a busy
    one is never taken for idle; JupyterHub's own interval of five minutes at most.
    """
    idle = (profile.idle if profile else None) or IdleRule()
    return {"JUPYTERHUB_ACTIVITY_INTERVAL": str(min(300, idle.stop_after_s // 4))}


def told(refusal: Refusal) -> SpawnException:
    """The same refusal as JupyterHub tells it: 4xx, one text, a reason label; never a 500."""
    return SpawnException(str(refusal), reason=refusal.reason, status_code=STATUS_OF.get(refusal.reason, 400))
