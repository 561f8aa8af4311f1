"""The page of one workload, and what can be done there."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse
from markupsafe import Markup

from hub.portal import acts
from hub.portal.acts import Found, NotFound, find, reading, run_id
from hub.portal.auth import SignedIn, Visitor
from hub.portal.context import Portal, portal_of
from hub.portal.hub_client import HubDown, HubRefused
from hub.portal.render import NO_STORE, STALE, fragment, live, page, part, stale, swap
from hub.portal.views.kept import home_view
from hub.portal.views.text import counts_text, outcome, plain_log
from hub.portal.views.workload import WorkloadPage, progress_view, upload_row, workload_page
from spawners.refusal import Refusal

router = APIRouter(prefix="/w/{tenant}/{owner}/{name}", include_in_schema=False)
_NAME = re.compile(r"[a-z](-?[a-z0-9])*")
LOG_BYTES = 16384
PHASES = {"starting": "starting", "running": "live", "scheduled": "live", "backoff": "live"}


async def looking(request: Request, visitor: SignedIn, tenant: str, owner: str, name: str) -> Found:
    """The workload, to be looked at."""
    return await find(portal_of(request), visitor, tenant, owner, name)


async def acting(request: Request, visitor: SignedIn, tenant: str, owner: str, name: str) -> Found:
    """The workload, to be acted on."""
    return await find(portal_of(request), visitor, tenant, owner, name, to_act=True)


Looking = Annotated[Found, Depends(looking)]
Acting = Annotated[Found, Depends(acting)]


def _view(portal: Portal, visitor: Visitor, found: Found) -> WorkloadPage:
    return workload_page(
        portal.settings,
        found.world,
        found.tenant,
        found.kind,
        visitor.name,
        found.allowed,
        found.seen,
        portal.clock(),
        found.orphan,
        on_cluster=portal.tools is None,
    )


@router.get("")
async def show(request: Request, visitor: SignedIn, tenant: str, owner: str, name: str) -> Response:
    """The page. Right after a start the record may not be there yet: then only the progress is shown."""
    portal = portal_of(request)
    just_started = request.query_params.get("started") == "1"
    try:
        found = await find(portal, visitor, tenant, owner, name)
    except NotFound:
        _, known = await acts.my_tenant(portal, visitor, tenant)
        if just_started and owner in (visitor.name, known.account) and _NAME.fullmatch(name):
            return page(request, portal, visitor, "starting.html", url=str(request.url.path), tenant=known)
        raise
    view = _view(portal, visitor, found)
    parts = {name: swap(name, html) for name, html in (await _parts(portal, visitor, found, view)).items()}
    return page(request, portal, visitor, "workload.html", w=view, parts=parts, just_started=just_started)


@router.get("/live")
async def refresh(request: Request, visitor: SignedIn, found: Looking) -> Response:
    """What has changed since the page was drawn; the whole page again where it begins or ends to run."""
    portal = portal_of(request)
    if request.query_params.get("phase") != PHASES.get(found.seen.state, "ended"):
        return Response(headers={"HX-Refresh": "true", **NO_STORE})
    parts = await _parts(portal, visitor, found, _view(portal, visitor, found))
    return live({STALE: stale(portal), **parts}, request.query_params)


async def _parts(portal: Portal, visitor: Visitor, found: Found, view: WorkloadPage) -> dict[str, Markup]:
    """The live parts, in the order of the page."""
    work = found.seen.workload
    where = (work.tenant, work.owner, work.name)
    runtime = portal.runtime
    parts = {"status": part(portal, "parts/status.html", w=view)}
    if "progress" in view.panels and not view.interactive:
        running = found.seen.state == "running"  # afterwards the last run's progress lies there still
        progress = progress_view(await reading(runtime.progress, *where)) if running else None
        parts["progress"] = part(portal, "parts/progress.html", progress=progress, w=view)
    if "home" in view.panels:
        home = home_view(await reading(runtime.progress, *where))
        parts["home"] = part(portal, "parts/home.html", home=home, w=view)
    if "uploads" in view.panels:
        rows = [upload_row(row) for row in await reading(runtime.uploads, *where)]
        parts["uploads"] = part(portal, "parts/uploads.html", uploads=rows, w=view)
    if "schedule" in view.panels:
        parts["schedule"] = part(portal, "parts/schedule.html", w=view)
    if "runs" in view.panels:
        runs = [(run, outcome(run.outcome), counts_text(run.counts)) for run in await reading(runtime.runs, *where)]
        parts["runs"] = part(portal, "parts/runs.html", runs=runs, w=view)
    if "log" in view.panels:
        log = plain_log(await reading(runtime.log, *where, None, LOG_BYTES))
        parts["log"] = part(portal, "parts/log.html", log=log, w=view)
    return parts


@router.get("/progress")
async def progress(request: Request, visitor: SignedIn, tenant: str, owner: str, name: str) -> Response:
    """The hub's events of a start (text/event-stream), asked with the visitor's own token."""
    portal = portal_of(request)
    _, known = await acts.my_tenant(portal, visitor, tenant)
    if owner not in (visitor.name, known.account):
        raise NotFound(f"{known.name} has no workload {owner}/{name} that you may see")

    async def events() -> AsyncIterator[str]:
        try:
            async for event in portal.hub.progress(visitor.token, owner, name):
                # html_message is markup made by spawners: never passed on
                told = {key: event[key] for key in ("progress", "message", "ready", "failed") if key in event}
                yield f"data: {json.dumps(told)}\n\n"
        except HubRefused as refused:
            yield f"data: {json.dumps({'over': True, 'message': str(refused)})}\n\n"
        except HubDown:
            yield f"data: {json.dumps({'lost': True, 'message': 'The hub does not answer just now.'})}\n\n"

    return StreamingResponse(events(), media_type="text/event-stream", headers={**NO_STORE, "X-Accel-Buffering": "no"})


@router.get("/runs/{run}")
async def run_page(request: Request, visitor: SignedIn, found: Looking, run: str) -> Response:
    """The log of one run."""
    portal, work = portal_of(request), found.seen.workload
    runs = await reading(portal.runtime.runs, work.tenant, work.owner, work.name, 1000)
    seen = next((one for one in runs if one.id == run_id(run)), None)
    if seen is None:
        raise NotFound("there is no such run; old ones are removed")
    log = plain_log(await reading(portal.runtime.log, work.tenant, work.owner, work.name, seen.id))
    return page(
        request,
        portal,
        visitor,
        "run.html",
        w=_view(portal, visitor, found),
        run=seen,
        badge=outcome(seen.outcome),
        counts=counts_text(seen.counts),
        log=log,
    )


@router.get("/remove")
async def confirm_removal(request: Request, visitor: SignedIn, found: Looking) -> Response:
    """What it means to end one that the hub forgot."""
    portal = portal_of(request)
    if not found.orphan:
        return _back(portal, found)
    view = _view(portal, visitor, found)
    return page(request, portal, visitor, "confirm.html", w=view, act="remove", error="")


@router.post("/remove")
@router.post("/take-back")
async def of_orphan(request: Request, visitor: SignedIn, found: Looking) -> Response:
    """End it, or let the hub know it again. Whose it is to do, the hub decides."""
    portal = portal_of(request)
    removing = request.url.path.endswith("/remove")
    try:
        await (acts.remove if removing else acts.take_back)(portal, visitor, found)
    except Refusal as refusal:
        view = _view(portal, visitor, found)
        return page(request, portal, visitor, "refused.html", 409, w=view, error=str(refusal))
    return _back(portal, found, "removed" if removing else "taken-back")


@router.get("/stop")
@router.get("/forget")
async def confirm(request: Request, visitor: SignedIn, found: Acting) -> Response:
    """What would happen, before it does."""
    portal = portal_of(request)
    act = request.url.path.rpartition("/")[2]
    view = _view(portal, visitor, found)
    if (act == "stop") != view.live:
        return _back(portal, found)
    return page(request, portal, visitor, "confirm.html", w=view, act=act, error="")


@router.post("/stop")
async def stop(request: Request, visitor: SignedIn, found: Acting) -> Response:
    """Stop it. Of one that the hub forgot its page says what can be done instead."""
    portal = portal_of(request)
    if found.orphan:
        return _back(portal, found)
    try:
        await acts.stop(portal, visitor, found)
    except Refusal as refusal:
        return page(
            request,
            portal,
            visitor,
            "confirm.html",
            409,
            w=_view(portal, visitor, found),
            act="stop",
            error=str(refusal),
        )
    return _back(portal, found, "stopped")


@router.post("/forget")
async def forget(request: Request, visitor: SignedIn, found: Acting) -> Response:
    """Take an ended one off the list."""
    portal, work = portal_of(request), found.seen.workload
    try:
        await acts.act(portal.runtime.forget, work.tenant, work.owner, work.name)
    except Refusal as refusal:
        view = _view(portal, visitor, found)
        return page(request, portal, visitor, "confirm.html", 409, w=view, act="forget", error=str(refusal))
    return RedirectResponse(f"{portal.settings.prefix}?notice=forgotten", 303)


@router.post("/run-now")
async def run_now(request: Request, visitor: SignedIn, found: Acting) -> Response:
    """Ask for a run at once."""
    portal, work = portal_of(request), found.seen.workload
    try:
        await acts.act(portal.runtime.run_now, work.tenant, work.owner, work.name)
    except Refusal as refusal:
        view = _view(portal, visitor, found)
        return page(request, portal, visitor, "refused.html", 409, w=view, error=str(refusal))
    return _back(portal, found, "run-asked")


@router.post("/password")
async def password(request: Request, visitor: SignedIn, found: Acting) -> Response:
    """The password, on request only: never part of a page that is kept, listed or refreshed."""
    portal, work = portal_of(request), found.seen.workload
    secret = await reading(portal.runtime.password, work.tenant, work.owner, work.name)
    if request.headers.get("HX-Request") == "true":
        return fragment(portal, "parts/password.html", password=secret)
    return page(request, portal, visitor, "password.html", w=_view(portal, visitor, found), password=secret)


@router.get("/run-now")
@router.get("/password")
@router.get("/take-back")
async def back(request: Request, found: Looking) -> Response:
    """Where a sign-in in between lands: these are posted, so it is asked for again on the page."""
    return _back(portal_of(request), found)


def _back(portal: Portal, found: Found, notice: str = "") -> Response:
    query = f"?notice={notice}" if notice else ""
    return RedirectResponse(f"{portal.settings.prefix}w/{found.seen.workload.id}{query}", 303)
