"""Home, sign-in and sign-out, and the URLs of unattended named servers."""

from __future__ import annotations

import re
from typing import Any

import jupyterhub
from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse, RedirectResponse

from config.models import Tenant, World
from hub.portal.acts import NotFound, my_tenant, orphans, workloads, world_of
from hub.portal.auth import SignedIn, Visitor, finish_sign_in, sign_out
from hub.portal.context import Portal, portal_of
from hub.portal.render import STALE, live, page, part, stale, swap
from hub.portal.views.home import tenant_view

router = APIRouter(include_in_schema=False)
unattended = APIRouter(include_in_schema=False)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}")


@router.get("")
async def without_slash(request: Request) -> Response:
    """The same page, where somebody left out the slash."""
    return RedirectResponse(portal_of(request).settings.prefix, 302)


@router.get("/")
async def home(request: Request, visitor: SignedIn) -> Response:
    """My tenants with what they run, and the cards."""
    portal = portal_of(request)
    world = await world_of(portal)
    tenants = []
    for tenant in world.tenants_of(visitor.name):
        view = await _view(portal, world, tenant, visitor)
        running = swap(tenant.name, part(portal, "parts/tenant.html", tenant=view))
        tenants.append({"view": view, "running": running})
    return page(request, portal, visitor, "home.html", tenants=tenants, site=world.site)


@router.get("/live")
async def home_live(request: Request, visitor: SignedIn) -> Response:
    """What has changed on the home page since it was drawn."""
    portal = portal_of(request)
    world = await world_of(portal)
    parts = {
        tenant.name: part(portal, "parts/tenant.html", tenant=await _view(portal, world, tenant, visitor))
        for tenant in world.tenants_of(visitor.name)
        if tenant.name in request.query_params
    }
    return live({STALE: stale(portal), **parts}, request.query_params)


async def _view(portal: Portal, world: World, tenant: Tenant, visitor: Visitor) -> Any:
    seen = await workloads(portal, tenant.name)
    lost = await orphans(portal, visitor, tenant.name)
    return tenant_view(portal.settings, world, portal.kinds, portal.tools, tenant, visitor.name, seen, lost)


@router.get("/health")
async def health() -> Response:
    """For whoever watches the process: it answers."""
    return PlainTextResponse("ok\n")


@router.get("/ready")
async def is_ready(request: Request) -> Response:
    """Whether it can show what runs: not until that was listed once."""
    if portal_of(request).ready():
        return PlainTextResponse("ok\n")
    return PlainTextResponse("what runs on the cluster has not been listed yet\n", 503)


@router.get("/oauth_callback")
async def oauth_callback(request: Request) -> Response:
    """Where the hub sends the browser back to."""
    return await finish_sign_in(request, portal_of(request))


@router.get("/sign-out")
async def leave(request: Request) -> Response:
    """Sign out here and at the hub."""
    return sign_out(portal_of(request))


@router.get("/u/{owner}/{name}")
async def mine(request: Request, visitor: SignedIn, owner: str, name: str) -> Response:
    """A server's page where only owner and name are known: it is in one of the visitor's tenants, or not theirs."""
    portal = portal_of(request)
    for tenant in (await world_of(portal)).tenants_of(visitor.name):
        await my_tenant(portal, visitor, tenant.name)
        for seen in await workloads(portal, tenant.name):
            if (seen.workload.owner, seen.workload.name) == (owner, name):
                return RedirectResponse(f"{portal.settings.prefix}w/{tenant.name}/{owner}/{name}", 303)
    raise NotFound(f"there is no workload {owner}/{name} that you may see")


@unattended.api_route("/user/{owner}/{name}", methods=["GET", "HEAD"])
@unattended.api_route("/user/{owner}/{name}/{rest:path}", methods=["GET", "HEAD"])
async def unattended_server(request: Request, owner: str, name: str, rest: str = "") -> Response:
    """An unattended named server has no process that answers; the hub's proxy leads here, and we show its page.

    The hub itself asks without a cookie, to see whether the server is up; it wants to be told its own version.
    """
    del rest
    prefix = portal_of(request).settings.prefix
    if not _NAME.fullmatch(owner) or not _NAME.fullmatch(name):
        raise NotFound("there is no such server")
    tenant = owner.removeprefix("tenant-")
    where = f"w/{tenant}/{owner}/{name}" if tenant != owner else f"u/{owner}/{name}"
    headers = {"X-JupyterHub-Version": jupyterhub.__version__}
    return RedirectResponse(f"{prefix}{where}", 302, headers)
