"""Templates into responses. Everything is escaped; nothing is cached; live parts are sent only where they changed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jupyterhub
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from hub.portal.auth import Visitor
from hub.portal.context import Portal
from hub.portal.views.text import duration_text, size_text

FOLDER = Path(__file__).parent
NO_STORE = {"Cache-Control": "no-store"}
STALE = "stale"
"""The name of the live part of every page."""
NOTICES = {
    "stopped": "It is being stopped.",
    "forgotten": "Removed from the list.",
    "run-asked": "A run was asked for; it begins in a moment.",
    "again": "This was started before; here it is.",
    "taken-back": "It was taken back: the hub knows it again.",
    "removed": "It was ended and removed.",
}
"""What a page may say after an act. Only these: a text of the URL is never shown."""


def make_templates() -> Environment:
    """The environment, with our filters. A name that is missing is an error, never an empty spot."""
    env = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters["when"] = when
    env.filters["bytes"] = size_text
    env.filters["duration"] = duration_text
    env.globals["static_version"] = _static_version()
    return env


def when(moment: datetime | str | None) -> Markup:
    """A point in time: in UTC here, in the reader's zone where scripts run (portal.js)."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return escape(moment)
    if moment is None:
        return Markup("-")
    utc = moment.astimezone(UTC)
    return Markup('<time datetime="{}">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M} UTC"
    )


def _static_version() -> str:
    """Changes when one of our static files does, so that browsers may keep them."""
    digest = hashlib.sha256(jupyterhub.__version__.encode())
    for path in sorted((FOLDER / "static").iterdir()):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:10]


def page(
    request: Request,
    portal: Portal,
    visitor: Visitor | None,
    template: str,
    status: int = 200,
    **context: Any,
) -> HTMLResponse:
    """A whole page."""
    html = portal.templates.get_template(template).render(**_base(request, portal, visitor), **context)
    return HTMLResponse(html, status, NO_STORE)


def fragment(portal: Portal, template: str, **context: Any) -> HTMLResponse:
    """A part of a page, for htmx."""
    return HTMLResponse(part(portal, template, **context), headers=NO_STORE)


def part(portal: Portal, template: str, **context: Any) -> Markup:
    """A part of a page as text."""
    return Markup(portal.templates.get_template(template).render(settings=portal.settings, **context))  # noqa: S704


def _base(request: Request, portal: Portal, visitor: Visitor | None) -> dict[str, Any]:
    site = _site_title(portal)
    return {
        "settings": portal.settings,
        "site_title": site,
        "visitor": visitor,
        "htmx": portal.settings.htmx is not None,
        "notice": NOTICES.get(request.query_params.get("notice", ""), ""),
        "problems": _problems(portal, visitor),
        "stale": swap(STALE, stale(portal)) if visitor else "",
    }


def stale(portal: Portal) -> Markup:
    """That what is shown may be old; empty while it is not. A live part of every page."""
    return part(portal, "parts/stale.html", problem=portal.runtime.problem)


def _site_title(portal: Portal) -> str:
    try:
        return portal.worlds.current().site.title
    except Exception:  # an error page must appear even when the world cannot be read
        return "TenantHub"


def _problems(portal: Portal, visitor: Visitor | None) -> tuple[str, ...]:
    """What is wrong with the world's files, for those who can mend it."""
    problems = portal.worlds.problems
    if visitor is None or not problems:
        return ()
    world = portal.worlds.current()
    admin = any(visitor.name in tenant.admins for tenant in world.tenants.values())
    mends = admin or visitor.name in world.site.operators or visitor.user.admin
    return tuple(str(problem) for problem in problems) if mends else ()


def digest(html: str) -> str:
    """A short name of a part's content, which the browser sends back to say what it shows."""
    return hashlib.sha256(html.encode()).hexdigest()[:12]


def live(parts: Mapping[str, Markup], shown: Mapping[str, str]) -> Response:
    """The parts whose content differs from what the browser shows, to be swapped in by id; 204 when none does.

    Swapping only what changed keeps a reader's place, focus and selection, and screen readers quiet.
    """
    changed = [swap(name, html, oob=True) for name, html in parts.items() if shown.get(name) != digest(html)]
    if not changed:
        return Response(status_code=204, headers=NO_STORE)
    return HTMLResponse("".join(changed), headers=NO_STORE)


def swap(name: str, html: Markup, *, oob: bool = False) -> Markup:
    """The wrapper of a live part."""
    mark = Markup(' hx-swap-oob="innerHTML"') if oob else Markup("")
    return Markup('<div id="part-{0}"{1}><input type="hidden" class="seen" name="{0}" value="{2}">{3}</div>').format(
        name, mark, digest(html), html
    )
