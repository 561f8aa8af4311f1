"""Tenants, profiles, forms, dry runs."""

from __future__ import annotations

from fastapi import APIRouter, Request

from config.models import Profile, Tenant
from hub.portal.acts import NotFound, dry_run, my_tenant, workloads, world_of
from hub.portal.api.models import (
    CheckOut,
    FormOut,
    ProfileOut,
    StartIn,
    TenantOut,
    ViolationOut,
    form_out,
    owners_of,
    profile_out,
    quota_out,
    tenant_out,
    usage_out,
)
from hub.portal.auth import SignedIn, Visitor
from hub.portal.context import Portal, portal_of
from hub.portal.launch import Attempt, new_name
from spawners.kinds.base import Kind

router = APIRouter()


@router.get("/tenants")
async def tenants(request: Request, visitor: SignedIn) -> list[TenantOut]:
    """All tenants of the caller."""
    portal = portal_of(request)
    mine = (await world_of(portal)).tenants_of(visitor.name)
    return [tenant_out(tenant, visitor.name, list(await workloads(portal, tenant.name))) for tenant in mine]


@router.get("/tenants/{tenant}")
async def one_tenant(request: Request, visitor: SignedIn, tenant: str) -> TenantOut:
    """One tenant with its quota and what is taken of it."""
    portal = portal_of(request)
    _, found = await my_tenant(portal, visitor, tenant)
    return tenant_out(found, visitor.name, list(await workloads(portal, found.name)))


@router.get("/tenants/{tenant}/profiles")
async def profiles(request: Request, visitor: SignedIn, tenant: str) -> list[ProfileOut]:
    """What may be started."""
    portal = portal_of(request)
    world, found = await my_tenant(portal, visitor, tenant)
    return [
        profile_out(profile, portal.kinds[profile.kind], found, visitor.name, portal.tools)
        for profile in world.profiles_of(found)
        if profile.kind in portal.kinds
    ]


async def profile_of(portal: Portal, visitor: Visitor, tenant: str, profile: str) -> tuple[Tenant, Profile, Kind]:
    """A profile that the tenant may use; NotFound otherwise."""
    world, found = await my_tenant(portal, visitor, tenant)
    offered = next((one for one in world.profiles_of(found) if one.name == profile), None)
    if offered is None or offered.kind not in portal.kinds:
        raise NotFound(f"{found.name} has no profile called {profile!r}")
    return found, offered, portal.kinds[offered.kind]


@router.get("/tenants/{tenant}/profiles/{profile}/form")
async def form(request: Request, visitor: SignedIn, tenant: str, profile: str) -> FormOut:
    """The JSON Schema of the profile's options, with defaults, locks and choices."""
    found, offered, kind = await profile_of(portal_of(request), visitor, tenant, profile)
    return form_out(offered, kind, found, visitor.name)


async def attempt_of(portal: Portal, visitor: Visitor, tenant: str, body: StartIn) -> Attempt:
    """The attempt that a request means, its defaults filled in."""
    found, offered, kind = await profile_of(portal, visitor, tenant, body.profile)
    return Attempt(
        tenant=found.name,
        profile=offered.name,
        owner=body.owner or owners_of(kind, found, visitor.name)[0],
        name=body.name or new_name(offered.name),
        display_name=body.display_name or offered.title,
        options=body.options,
    )


@router.post("/tenants/{tenant}/check")
async def check(request: Request, visitor: SignedIn, tenant: str, body: StartIn) -> CheckOut:
    """What a start would be told now, without starting anything: every violation, and the quota."""
    portal = portal_of(request)
    attempt = await attempt_of(portal, visitor, tenant, body)
    checked = await dry_run(portal, visitor, attempt)
    _, found = await my_tenant(portal, visitor, tenant)
    seen = list(await workloads(portal, tenant))
    return CheckOut(
        ok=not checked.violations,
        violations=[ViolationOut(field=v.field, message=v.message) for v in checked.violations],
        quota=quota_out(found),
        usage=usage_out(seen, f"{attempt.tenant}/{attempt.owner}/{attempt.name}"),
    )
