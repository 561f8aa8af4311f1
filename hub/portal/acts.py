"""What pages and API share: find what somebody may see, start it, stop it. Both tell errors in the same words."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.concurrency import run_in_threadpool

from config.models import Tenant, World
from hub.portal.auth import Forbidden, Visitor
from hub.portal.context import Portal
from hub.portal.hub_client import HubChecking, HubDown, HubRefused
from hub.portal.launch import Attempt, Checked, check
from hub.portal.views.rights import Access, access, tenant_of
from spawners.kinds.base import Kind
from spawners.refusal import Refusal
from spawners.runtime import Seen

log = logging.getLogger(__name__)
_T = TypeVar("_T")
Orphans = frozenset[tuple[str, str]]
"""Owners and names."""
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")
_RUN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,60}")


class NotFound(Exception):
    """Not there, or not for this person: told in the same words, so that nobody learns which it is."""


@dataclass(frozen=True)
class Found:
    """A workload that the visitor may look at."""

    world: World
    tenant: Tenant
    kind: Kind | None
    seen: Seen
    allowed: Access
    orphan: bool = False
    """Whether the hub does not know it, though it lives."""


async def reading(function: Callable[..., _T], *arguments: object) -> _T:
    """Call the runtime (files, locks) without holding up other requests. NotFound for its KeyError."""
    try:
        return await run_in_threadpool(function, *arguments)
    except KeyError:
        raise NotFound("there is no such workload") from None


async def world_of(portal: Portal) -> World:
    """The declared world. It may have to be read again, which takes a moment."""
    return await run_in_threadpool(portal.worlds.current)


async def my_tenant(portal: Portal, visitor: Visitor, name: str) -> tuple[World, Tenant]:
    """A tenant that the visitor belongs to; NotFound otherwise."""
    world = await world_of(portal)
    tenant = tenant_of(world, visitor.name, name)
    if tenant is None:
        raise NotFound(f"you do not belong to a tenant called {name!r}")
    return world, tenant


async def workloads(portal: Portal, tenant: str) -> Sequence[Seen]:
    """All that is listed for a tenant."""
    return await run_in_threadpool(portal.runtime.workloads, tenant)


async def orphans(portal: Portal, visitor: Visitor, tenant: str) -> Orphans:
    """What lives of a tenant and the hub does not know, as far as the visitor may see it. Empty where the hub does not
    say: a page without it is better than none."""
    if not portal.settings.orphans:
        return frozenset()

    async def ask() -> Orphans:
        return frozenset(await portal.hub.orphans(visitor.token, tenant))

    try:
        found: Orphans = await portal.orphans.get((tenant, visitor.name), ask)
    except (HubDown, HubRefused) as error:
        log.info("orphans of %s: %s", tenant, error)
        return frozenset()
    return found


def is_orphan(seen: Seen, lost: Orphans) -> bool:
    """Whether it is one of those; what has ended is none."""
    return seen.live and (seen.workload.owner, seen.workload.name) in lost


async def find(
    portal: Portal, visitor: Visitor, tenant_name: str, owner: str, name: str, *, to_act: bool = False
) -> Found:
    """One workload. NotFound, or Forbidden where the visitor may look at it but not act on it.

    Names come from URLs: what could not be one never reaches the file system.
    """
    world, tenant = await my_tenant(portal, visitor, tenant_name)
    missing = f"{tenant.name} has no workload {owner}/{name} that you may see"
    if not _PART.fullmatch(owner) or not _PART.fullmatch(name):
        raise NotFound(missing)
    try:
        seen = await reading(portal.runtime.workload, tenant.name, owner, name)
    except NotFound:
        raise NotFound(missing) from None
    allowed = access(visitor.name, tenant, seen.workload)
    if allowed == "none":
        raise NotFound(missing)
    if to_act:
        require_act(visitor, owner, allowed)
    lost = seen.live and is_orphan(seen, await orphans(portal, visitor, tenant.name))
    return Found(world, tenant, portal.kinds.get(seen.workload.kind), seen, allowed, lost)


def require_act(visitor: Visitor, owner: str, allowed: Access = "own") -> None:
    """Forbidden unless it is the visitor's, and the token in hand may start servers of *owner*.

    A token that somebody made for reading must not be able to fetch a password either.
    """
    if allowed != "own":
        raise Forbidden(f"this belongs to {owner}; only {owner} acts on it")
    if not visitor.may("start:servers", owner):
        raise Forbidden(f"your token may not act for {owner}; it needs the scope servers!user={owner}")


def run_id(text: str) -> str:
    """*text* where it can be the id of a run; NotFound otherwise."""
    if not _RUN.fullmatch(text):
        raise NotFound("there is no such run")
    return text


async def dry_run(portal: Portal, visitor: Visitor, attempt: Attempt) -> Checked:
    """What the hub would say, without asking it."""
    world, _ = await my_tenant(portal, visitor, attempt.tenant)
    seen = await workloads(portal, attempt.tenant)
    return check(world, portal.kinds, portal.tools, seen, attempt, visitor.name, portal.clock())


@dataclass(frozen=True)
class Started:
    """*again* is true when a server of that name was live before: nothing was started this time."""

    again: bool
    same: bool = True
    """Whether what is live was asked for in the same words."""


async def start(portal: Portal, visitor: Visitor, attempt: Attempt) -> Started:
    """Start it, once. Refusal with everything that is wrong; HubDown as it comes; NotFound for a tenant not theirs."""
    key = f"{attempt.tenant}/{attempt.owner}/{attempt.name}"
    async with portal.locks.holding(key):
        live = await _live(portal, attempt)
        checked = await dry_run(portal, visitor, attempt)
        if live is not None:
            return Started(again=True, same=_same(live, checked))
        if checked.violations:
            raise Refusal("options", checked.violations)
        try:
            await portal.hub.start(
                visitor.token, attempt.owner, attempt.name, attempt.display_name, attempt.user_options()
            )
        except HubRefused as refused:
            # Started meanwhile, by another portal or over REST: the hub says that it is pending or running.
            if await _live(portal, attempt) is not None:
                return Started(again=True)
            if isinstance(refused, HubChecking):
                raise
            raise Refusal.of("hub", str(refused)) from None
        log.info("%s started %s (%s)", visitor.name, key, attempt.profile)
        return Started(again=False)


async def _live(portal: Portal, attempt: Attempt) -> Seen | None:
    seen = await workloads(portal, attempt.tenant)
    wanted = (attempt.owner, attempt.name)
    return next((one for one in seen if one.live and (one.workload.owner, one.workload.name) == wanted), None)


def _same(live: Seen, checked: Checked) -> bool:
    wanted = checked.workload
    work = live.workload
    return wanted is not None and (work.profile, work.options) == (wanted.profile, wanted.options)


async def stop(portal: Portal, visitor: Visitor, found: Found) -> None:
    """Stop it through the hub. Refusal in the hub's words; HubDown and HubChecking as they come: they pass."""
    work = found.seen.workload
    try:
        await portal.hub.stop(visitor.token, work.owner, work.name)
    except HubChecking:
        raise
    except HubRefused as refused:
        raise Refusal.of("hub", str(refused)) from None
    log.info("%s stopped %s", visitor.name, work.id)


async def take_back(portal: Portal, visitor: Visitor, found: Found) -> None:
    """Let the hub know an orphan of the tenant again. Refusal in the hub's words."""
    await _of_orphan(portal, found, portal.hub.take_back(visitor.token, *_parts(found)))
    log.info("%s took back %s", visitor.name, found.seen.workload.id)


async def remove(portal: Portal, visitor: Visitor, found: Found) -> None:
    """End an orphan. Refusal in the hub's words."""
    await _of_orphan(portal, found, portal.hub.remove_orphan(visitor.token, *_parts(found)))
    log.info("%s removed %s", visitor.name, found.seen.workload.id)


def _parts(found: Found) -> tuple[str, str, str]:
    work = found.seen.workload
    return work.tenant, work.owner, work.name


async def _of_orphan(portal: Portal, found: Found, asking: Awaitable[None]) -> None:
    try:
        await asking
    except HubRefused as refused:
        raise Refusal.of("hub", str(refused)) from None
    finally:
        portal.orphans.forget()


async def act(function: Callable[..., None], *arguments: object) -> None:
    """run_now or forget; Refusal in the runtime's words where it cannot be."""
    try:
        await reading(function, *arguments)
    except RuntimeError as error:
        raise Refusal.of("runtime", str(error)) from None
