"""The form that starts a workload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse

from config.models import Profile, Tenant, World
from hub.portal.acts import NotFound, find, my_tenant, start, workloads
from hub.portal.auth import SignedIn, Visitor
from hub.portal.context import Portal, portal_of
from hub.portal.hub_client import HubDown
from hub.portal.launch import Attempt, new_name
from hub.portal.render import fragment, page
from hub.portal.views.form import PRESETS, display_name_violations, fit_of, form_page, tidy_name
from spawners.form import read_form, typed
from spawners.kinds.base import Kind
from spawners.refusal import Refusal, Violation
from spawners.schedule import ScheduleError, describe, next_runs, validate

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class Place:
    """The profile that a form is for."""

    portal: Portal
    visitor: Visitor
    world: World
    tenant: Tenant
    profile: Profile
    kind: Kind


async def place_of(request: Request, visitor: SignedIn, tenant: str, profile: str) -> Place:
    """Look tenant, profile and kind up; NotFound where one of them is not the visitor's to use."""
    portal = portal_of(request)
    world, found = await my_tenant(portal, visitor, tenant)
    offered = next((one for one in world.profiles_of(found) if one.name == profile), None)
    kind = portal.kinds.get(offered.kind) if offered else None
    if offered is None or kind is None:
        raise NotFound(f"{found.name} has no profile called {profile!r}")
    return Place(portal, visitor, world, found, offered, kind)


At = Annotated[Place, Depends(place_of)]


@dataclass(frozen=True)
class Typed:
    """What a person typed, as it is to be shown again."""

    name: str
    display_name: str | None = None
    owner: str | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


@router.get("/new/{tenant}/{profile}")
async def show(request: Request, at: At) -> Response:
    """The form, empty, or filled with what an earlier workload was started with (?from=owner/name)."""
    return await _draw(request, at, await _again(request, at))


async def _again(request: Request, at: Place) -> Typed:
    owner, _, name = request.query_params.get("from", "").partition("/")
    if not name:
        return Typed(new_name(at.profile.name))
    try:
        found = await find(at.portal, at.visitor, at.tenant.name, owner, name)
    except NotFound:
        return Typed(new_name(at.profile.name))
    work = found.seen.workload
    fields = at.kind.options.model_fields
    values = {key: value for key, value in work.options.items() if key in fields and key not in at.profile.locked}
    # The same name again, so that the new start takes the place of the old one, with its address and password.
    keep = found.allowed == "own" and not found.seen.live and work.profile == at.profile.name
    return Typed(work.name if keep else new_name(at.profile.name), work.display_name, work.owner, values)


@router.post("/new/{tenant}/{profile}")
async def launch(request: Request, at: At) -> Response:
    """Start it. Sent twice (a double click, a reload after a time-out) it finds what the first one started."""
    data = await request.form()
    lists = {key: [str(value) for value in data.getlist(key)] for key in data}
    said = Typed(
        name=_last(lists, "_name"),
        display_name=tidy_name(_last(lists, "_display_name")),
        owner=_last(lists, "_owner") or at.visitor.name,
        values=typed(at.kind, at.profile, lists),
    )
    options = read_form(at.kind, at.profile, lists)
    attempt = Attempt(at.tenant.name, at.profile.name, str(said.owner), said.name, str(said.display_name), options)
    try:
        _require_own(at, attempt)
        started = await start(at.portal, at.visitor, attempt)
    except Refusal as refusal:
        return await _draw(request, at, said, refusal.violations, status=422)
    except HubDown:
        text = "The hub does not answer: it is being restarted. Nothing was started and nothing is lost; send it again."
        return await _draw(request, at, said, [Violation("", text)], status=502)
    query = "notice=again" if started.again else "started=1"
    url = f"{at.portal.settings.prefix}w/{attempt.tenant}/{attempt.owner}/{attempt.name}?{query}"
    return RedirectResponse(url, 303)


def _require_own(at: Place, attempt: Attempt) -> None:
    """Only for oneself or for the tenant; and with a name that people can read."""
    wrong = display_name_violations(attempt.display_name)
    if attempt.owner not in (at.visitor.name, at.tenant.account):
        wrong.append(Violation("owner", f"{attempt.owner} is neither you nor {at.tenant.account}"))
    if wrong:
        raise Refusal("options", wrong)


def _last(lists: Mapping[str, Sequence[str]], name: str) -> str:
    return lists[name][-1].strip() if lists.get(name) else ""


async def _draw(
    request: Request, at: Place, said: Typed, violations: Sequence[Violation] = (), status: int = 200
) -> Response:
    seen = await workloads(at.portal, at.tenant.name)
    view = form_page(
        at.kind,
        at.profile,
        at.tenant,
        at.visitor.name,
        seen,
        at.portal.tools,
        name=said.name or new_name(at.profile.name),
        display_name=said.display_name,
        owner=said.owner,
        values=said.values,
        violations=violations,
        site=at.world.site,
    )
    widgets = {one.widget: one.name for group in view.groups for one in group.fields}
    return page(
        request,
        at.portal,
        at.visitor,
        "form.html",
        status,
        form=view,
        presets=PRESETS,
        zones=sorted(available_timezones()) if "timezone" in widgets else (),
        zone_field=widgets.get("timezone", ""),
        preview=_preview(said.values, widgets) if "cron" in widgets else None,
        again="from" in request.query_params,
        fresh=not said.values,
    )


@router.get("/fit/{tenant}/{profile}")
async def fits(request: Request, at: At) -> Response:
    """Whether the chosen size fits the quota now."""
    seen = await workloads(at.portal, at.tenant.name)
    query = request.query_params
    own = f"{at.tenant.name}/{query.get('_owner', at.visitor.name)}/{query.get('_name', '')}"
    fit = fit_of(at.tenant, at.profile, seen, query.get("size") or None, own)
    return fragment(at.portal, "parts/fit.html", fit=fit)


@dataclass(frozen=True)
class Preview:
    """What a schedule means: in words with the next runs, or what is wrong with it."""

    words: str = ""
    runs: tuple[Any, ...] = ()
    errors: tuple[str, ...] = ()
    empty: bool = False


def preview_of(portal: Portal, cron: str, timezone: str) -> Preview:
    """The next five runs of a schedule."""
    if not cron.strip():
        return Preview(empty=True)
    errors = validate(cron, timezone or "UTC")
    if errors:
        return Preview(errors=tuple(errors))
    try:
        runs = tuple(next_runs(cron, timezone or "UTC", portal.clock(), 5))
        return Preview(describe(cron, timezone or "UTC"), runs)
    except ScheduleError as error:  # valid, yet without a time that ever comes
        return Preview(errors=(str(error),))


def _preview(values: Mapping[str, Any], widgets: Mapping[str, str]) -> tuple[str, str]:
    return widgets["cron"], widgets.get("timezone", "")


@router.get("/schedule-preview")
async def schedule_preview(request: Request, visitor: SignedIn) -> Response:
    """The next five runs while a schedule is typed. *cron_field*, *zone_field*: which parameters hold it."""
    del visitor
    portal, query = portal_of(request), request.query_params
    cron = query.get(query.get("cron_field", "cron"), "")
    zone = query.get(query.get("zone_field") or "timezone", "UTC")
    return fragment(portal, "parts/schedule_preview.html", preview=preview_of(portal, cron[:200], zone[:100]))
