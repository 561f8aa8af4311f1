"""Starting a workload: checked before it is asked of the hub, and the same request twice starts it once."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from config.models import Size, Tenant, World
from spawners.kinds.base import Kind
from spawners.plan import Tools
from spawners.quota import Usage, overruns, used
from spawners.refusal import Refusal, Violation
from spawners.request import Request
from spawners.resolve import resolve
from spawners.runtime import Seen
from spawners.workload import Workload

_ALPHABET = "bcdfghjkmnpqrstvwxz23456789"  # no vowels, so no words; nothing that is misread
NAME_LENGTH = 30


@dataclass(frozen=True)
class Attempt:
    """What somebody wants started; nothing of it is believed yet."""

    tenant: str
    profile: str
    owner: str
    """The account that is to own it."""
    name: str
    display_name: str
    options: Mapping[str, Any]

    def user_options(self) -> dict[str, Any]:
        """As the hub takes it."""
        return Request(self.tenant, self.profile, self.options).user_options()


@dataclass(frozen=True)
class Checked:
    """What became of a dry run: nothing in *violations* means that the hub would start it now."""

    violations: tuple[Violation, ...]
    workload: Workload | None = None


def new_name(profile: str) -> str:
    """A server name nobody has, fixed when a form is drawn: the profile's name and 5 random characters."""
    tail = "".join(secrets.choice(_ALPHABET) for _ in range(5))
    return f"{profile[: NAME_LENGTH - 6].rstrip('-')}-{tail}"


def usage_of(seen: Iterable[Seen], leave_out: str = "") -> Usage:
    """What a tenant's live workloads take together; the one with id *leave_out* does not count."""
    return used(s.workload.size for s in seen if s.live and s.workload.id != leave_out)


def fit(tenant: Tenant, seen: Sequence[Seen], size: Size, leave_out: str = "") -> list[Violation]:
    """Which limits of the quota a workload of *size* would break now."""
    return overruns(tenant, usage_of(seen, leave_out), size)


def lacking(kind: Kind, tools: Tools | None) -> str | None:
    """What is missing here for *kind*, in words; None when it can run. *tools*: this machine's; None: on a cluster,
    where images hold all that is needed and only a kind made for one machine cannot run."""
    if tools is not None:
        return kind.missing(tools)
    return "it was made for one machine, not for a cluster" if type(kind).kube is Kind.kube else None


def check(
    world: World,
    kinds: Mapping[str, Kind],
    tools: Tools | None,
    seen: Sequence[Seen],
    attempt: Attempt,
    started_by: str,
    now: datetime,
) -> Checked:
    """Everything that would be refused, by the rules that the spawner applies itself."""
    request = Request(attempt.tenant, attempt.profile, attempt.options)
    try:
        workload = resolve(
            world,
            kinds,
            request,
            owner=attempt.owner,
            name=attempt.name,
            display_name=attempt.display_name,
            started_by=started_by,
            asked=now,
        )
    except Refusal as refusal:
        return Checked(refusal.violations)
    missing = lacking(kinds[workload.kind], tools)
    violations = [Violation("", missing)] if missing else []
    violations += fit(world.tenants[attempt.tenant], seen, workload.size, workload.id)
    return Checked(tuple(violations), workload)


@dataclass
class Locks:
    """One lock a key, kept only while somebody holds or awaits it.

    A double click sends the same form twice within milliseconds: without this both would find no server of that name
    and both would ask the hub.
    """

    _held: dict[str, tuple[asyncio.Lock, int]] = field(default_factory=dict)

    @asynccontextmanager
    async def holding(self, key: str) -> AsyncIterator[None]:
        """Enter alone. No await between look-up and count, so the bookkeeping cannot be torn."""
        lock, users = self._held.get(key, (asyncio.Lock(), 0))
        self._held[key] = (lock, users + 1)
        try:
            async with lock:
                yield
        finally:
            lock, users = self._held[key]
            if users == 1:
                del self._held[key]
            else:
                self._held[key] = (lock, users - 1)
