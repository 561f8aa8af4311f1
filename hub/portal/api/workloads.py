"""Workloads: start, see, stop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import PlainTextResponse

from hub.portal import acts
from hub.portal.acts import Found, find, my_tenant, reading, run_id
from hub.portal.api.models import PasswordOut, Problem, ProgressOut, RunOut, StartIn, WorkloadOut, workload_out
from hub.portal.api.tenants import attempt_of
from hub.portal.auth import SignedIn, Visitor
from hub.portal.context import Portal, portal_of
from hub.portal.errors import answer
from hub.portal.render import NO_STORE
from hub.portal.views.form import display_name_violations
from hub.portal.views.rights import access
from spawners.refusal import Refusal, Violation

router = APIRouter(prefix="/tenants/{tenant}/workloads")
ONE = "/{owner}/{name}"
Limit = Annotated[int, Query(ge=1, le=500, description="At most so many, newest first")]


async def looking(request: Request, visitor: SignedIn, tenant: str, owner: str, name: str) -> Found:
    """The workload, to be looked at."""
    return await find(portal_of(request), visitor, tenant, owner, name)


async def acting(request: Request, visitor: SignedIn, tenant: str, owner: str, name: str) -> Found:
    """The workload, to be acted on."""
    return await find(portal_of(request), visitor, tenant, owner, name, to_act=True)


Looking = Annotated[Found, Depends(looking)]
Acting = Annotated[Found, Depends(acting)]


def _where(found: Found) -> tuple[str, str, str]:
    work = found.seen.workload
    return work.tenant, work.owner, work.name


@router.get("")
async def workloads(request: Request, visitor: SignedIn, tenant: str) -> list[WorkloadOut]:
    """All that is listed for the tenant, what failed or stopped too until it is removed."""
    portal = portal_of(request)
    _, found = await my_tenant(portal, visitor, tenant)
    every, lost = await acts.workloads(portal, found.name), await acts.orphans(portal, visitor, found.name)
    return [
        workload_out(portal.settings, seen, access(visitor.name, found, seen.workload), acts.is_orphan(seen, lost))
        for seen in every
    ]


@router.post(
    "",
    status_code=201,
    response_model=None,
    responses={
        200: {"description": "It was started before by the same request; nothing was started now"},
        201: {"description": "It starts"},
        409: {"model": Problem, "description": "The name is taken by something else that runs"},
    },
)
async def start(request: Request, visitor: SignedIn, tenant: str, body: StartIn) -> Response | dict[str, Any]:
    """Start a workload through the hub, with the caller's own token. The answer says where it is."""
    portal = portal_of(request)
    attempt = await attempt_of(portal, visitor, tenant, body)
    _, found = await my_tenant(portal, visitor, tenant)
    wrong = display_name_violations(attempt.display_name)
    if attempt.owner not in (visitor.name, found.account):
        wrong.append(Violation("owner", f"{attempt.owner} is neither you nor {found.account}"))
    if wrong:
        raise Refusal("options", wrong)
    acts.require_act(visitor, attempt.owner)
    started = await acts.start(portal, visitor, attempt)
    if started.again and not started.same:
        return answer(409, f"{attempt.owner} already runs a server called {attempt.name!r} with other options")
    where = f"{portal.settings.prefix}api/v1/tenants/{tenant}/workloads/{attempt.owner}/{attempt.name}"
    told = {"tenant": tenant, "owner": attempt.owner, "name": attempt.name, "started": not started.again, "href": where}
    response = answer(200 if started.again else 201, "")
    response.body = response.render(told)
    response.headers["content-length"] = str(len(response.body))
    response.headers["Location"] = where
    return response


@router.get(ONE)
async def one(request: Request, found: Looking) -> WorkloadOut:
    """One workload."""
    return workload_out(portal_of(request).settings, found.seen, found.allowed, found.orphan)


@router.delete(
    ONE,
    status_code=202,
    response_model=None,
    responses={
        409: {"model": Problem, "description": "The hub does not know it (`orphan`): there is nothing to stop there"},
        503: {"model": Problem, "description": "The hub was just started and still looks at it; try again in a minute"},
    },
)
async def stop(request: Request, visitor: SignedIn, found: Acting) -> Response:
    """Stop it. It stays listed until it is removed with `forget`."""
    if found.orphan:
        return answer(409, "the hub lost its memory of this one: use remove, which ends it, or take-back")
    await acts.stop(portal_of(request), visitor, found)
    return Response(status_code=202)


@router.post(ONE + "/remove", status_code=202, response_model=None)
async def remove(request: Request, visitor: SignedIn, found: Looking) -> Response:
    """End one that the hub does not know (`orphan`)."""
    return await _of_orphan(request, visitor, found, acts.remove)


@router.post(ONE + "/take-back", status_code=202, response_model=None)
async def take_back(request: Request, visitor: SignedIn, found: Looking) -> Response:
    """Let the hub know one again that it does not know (`orphan`) and that the tenant owns; it goes on as it is."""
    return await _of_orphan(request, visitor, found, acts.take_back)


async def _of_orphan(
    request: Request, visitor: Visitor, found: Found, act: Callable[[Portal, Visitor, Found], Awaitable[None]]
) -> Response:
    if not found.orphan:
        return answer(409, "the hub knows it: stop it instead")
    await act(portal_of(request), visitor, found)
    return Response(status_code=202)


@router.post(ONE + "/forget", status_code=204, response_model=None)
async def forget(request: Request, found: Acting) -> Response:
    """Remove an ended one from the list, with its logs; its address is given up."""
    await acts.act(portal_of(request).runtime.forget, *_where(found))
    return Response(status_code=204)


@router.post(ONE + "/run-now", status_code=202, response_model=None)
async def run_now(request: Request, found: Acting) -> Response:
    """Ask a scheduled one for a run at once."""
    await acts.act(portal_of(request).runtime.run_now, *_where(found))
    return Response(status_code=202)


@router.get(ONE + "/password")
async def password(request: Request, response: Response, found: Acting) -> PasswordOut:
    """Its generated password. The answer must not be stored."""
    response.headers.update(NO_STORE)
    return PasswordOut(password=await reading(portal_of(request).runtime.password, *_where(found)))


@router.get(ONE + "/uploads")
async def uploads(request: Request, found: Looking, limit: Limit = 50) -> list[dict[str, Any]]:
    """Last uploads: path, bytes, time, source and outcome (stored, incomplete, waiting …)."""
    return list(await reading(portal_of(request).runtime.uploads, *_where(found), limit))


@router.get(ONE + "/runs")
async def runs(request: Request, found: Looking, limit: Limit = 50) -> list[RunOut]:
    """Last runs."""
    seen = await reading(portal_of(request).runtime.runs, *_where(found), limit)
    return [RunOut(**run.model_dump()) for run in seen]


@router.get(ONE + "/runs/{run}/log", response_class=PlainTextResponse)
async def run_log(request: Request, found: Looking, run: str) -> PlainTextResponse:
    """The end of one run's log, as text."""
    return PlainTextResponse(await reading(portal_of(request).runtime.log, *_where(found), run_id(run)))


@router.get(ONE + "/log", response_class=PlainTextResponse)
async def log(request: Request, found: Looking) -> PlainTextResponse:
    """The end of its log, as text."""
    return PlainTextResponse(await reading(portal_of(request).runtime.log, *_where(found)))


@router.get(ONE + "/progress")
async def progress(request: Request, found: Looking) -> ProgressOut:
    """What it does just now."""
    run = await reading(portal_of(request).runtime.progress, *_where(found))
    return ProgressOut(state=found.seen.state, message=found.seen.message, run=run)
