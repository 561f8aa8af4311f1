"""Errors as people and programs see them: what happened and what to do, never a traceback."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from config.errors import WorldError
from hub.portal.acts import NotFound
from hub.portal.auth import Forbidden, SignInNeeded, begin_sign_in
from hub.portal.context import portal_of
from hub.portal.hub_client import HubChecking, HubDown, HubRefused
from hub.portal.render import page
from spawners.refusal import Refusal, Violation
from spawners.runtime import Unreached

log = logging.getLogger(__name__)
RETRY_S = 3
_PASSES = (502, 503)
"""What goes over by itself: the page tries again."""


def install(app: FastAPI) -> None:
    """Register the handlers below."""
    app.add_exception_handler(SignInNeeded, _sign_in)
    app.add_exception_handler(Exception, _any)
    for known in (
        Forbidden, NotFound, HubDown, HubRefused, WorldError, Refusal, RequestValidationError, HTTPException, Unreached,
    ):  # fmt: skip
        app.add_exception_handler(known, _known)


def is_api(request: Request) -> bool:
    """Whether a program asks."""
    return request.url.path.startswith(f"{portal_of(request).settings.prefix}api/v1/")


async def _sign_in(request: Request, error: Exception) -> Response:
    """Programs are told; a live part reloads its page; pages go to the hub and come back."""
    portal = portal_of(request)
    if is_api(request):
        invalid = isinstance(error, SignInNeeded) and error.invalid
        text = "this token is not valid, or no longer" if invalid else "send a JupyterHub API token"
        return answer(401, f"{text}: Authorization: token …", headers={"WWW-Authenticate": "token"})
    if request.headers.get("HX-Request") == "true":
        return Response(status_code=401, headers={"HX-Refresh": "true"})
    if request.headers.get("authorization") or request.headers.get("sec-fetch-mode", "navigate") != "navigate":
        return Response("Sign in first.\n", 401, media_type="text/plain")
    return begin_sign_in(request, portal)


_TITLES = {
    403: "Not allowed",
    404: "Not found",
    405: "Not possible",
    502: "The hub is being restarted",
    503: "Not available just now",
}


def told(error: Exception) -> tuple[int, str, tuple[Violation, ...]]:
    """Status, message and violations of an error that has words for people."""
    match error:
        case Forbidden():
            return 403, str(error), ()
        case NotFound():
            return 404, str(error), ()
        case HubDown():
            return 502, "the hub does not answer: it is being restarted; try again in a moment", ()
        case HubChecking():
            return 503, str(error), ()
        case HubRefused():
            return (error.status if error.status < 500 else 502), str(error), ()
        case Unreached():
            return 503, "the cluster does not answer just now, so this cannot be shown; what runs there goes on", ()
        case WorldError():
            return 503, "the declared world cannot be read; its operator must mend it", ()
        case Refusal():
            return 422, str(error), error.violations
        case RequestValidationError():
            wrong = tuple(
                Violation(".".join(str(part) for part in item["loc"][1:]), str(item["msg"])) for item in error.errors()
            )
            return 422, "the request is not as the API takes it", wrong
        case HTTPException():
            return error.status_code, str(error.detail), ()
    return 500, "something failed here", ()


async def _known(request: Request, error: Exception) -> Response:
    status, message, violations = told(error)
    if isinstance(error, Unreached):
        log.warning("%s %s: %s", request.method, request.url.path, error)
    return await _say(request, status, message, violations)


async def _any(request: Request, error: Exception) -> Response:
    """A mistake of ours: its traceback goes to the log under a number, and only the number to the page."""
    number = secrets.token_hex(4)
    log.error("failure %s at %s %s", number, request.method, request.url.path, exc_info=error)
    return await _say(request, 500, f"something failed here; tell your operator the number {number}", ())


async def _say(request: Request, status: int, message: str, violations: tuple[Violation, ...]) -> Response:
    retry = {"Retry-After": str(RETRY_S)} if status in (502, 503) else {}
    if is_api(request):
        return answer(status, message, violations, retry)
    visitor = getattr(request.state, "visitor", None)  # known where the sign-in came before the error
    context: dict[str, Any] = {
        "title": _TITLES.get(status, "This did not work"),
        "message": message,
        "retry_s": RETRY_S if status in _PASSES and request.method == "GET" else None,
        "resend": await _sent(request) if status in _PASSES and request.method == "POST" else (),
    }
    response = page(request, portal_of(request), visitor, "error.html", status, **context)
    response.headers.update(retry)
    return response


async def _sent(request: Request) -> tuple[tuple[str, str], ...]:
    """The fields of a form that came while the hub was away, so that one button sends it again, unchanged."""
    try:
        return tuple((name, str(value)) for name, value in (await request.form()).multi_items())
    except (HTTPException, RuntimeError):
        return ()


def answer(
    status: int, message: str, violations: tuple[Violation, ...] = (), headers: dict[str, str] | None = None
) -> JSONResponse:
    """An error of the JSON API."""
    wrong = [{"field": violation.field, "message": violation.message} for violation in violations]
    return JSONResponse({"message": message, "violations": wrong}, status, headers)
