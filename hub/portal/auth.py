"""Sign-in through the hub (OAuth with PKCE), and who a request comes from."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from jupyterhub.services.auth import check_scopes

from hub.portal.context import Portal, portal_of
from hub.portal.hub_client import HubUser
from hub.portal.sealing import SESSION_S, SIGN_IN_S

_BEARER = re.compile(r"(?:token|bearer)\s+(\S+)", re.IGNORECASE)
CSRF_HEADER = "X-CSRF-Token"
CSRF_FIELD = "_csrf"


class SignInNeeded(Exception):
    """Nobody is signed in, or no longer. *invalid*: a token was sent, and it is not valid."""

    def __init__(self, *, invalid: bool = False) -> None:
        self.invalid = invalid
        super().__init__("sign in first")


class Forbidden(Exception):
    """The request must not be served; the text says why, for people."""


@dataclass(frozen=True)
class Visitor:
    """Who a request comes from. *token* is theirs: all that is asked of the hub is asked with it."""

    user: HubUser
    token: str
    csrf: str

    @property
    def name(self) -> str:
        """The account."""
        return self.user.name

    def may(self, scope: str, owner: str) -> bool:
        """Whether the person's token holds *scope* over the account *owner*, by the hub's own rules."""
        return bool(check_scopes({f"{scope}!user={owner}"}, self.user.scopes))


async def visitor_of(request: Request) -> Visitor:
    """The signed-in person (FastAPI dependency). SignInNeeded, Forbidden otherwise; HubDown as it comes.

    A cookie counts only where the request can be meant: a page that is navigated to, or one that carries the CSRF
    token. Servers of other people live on the same origin under /user/, so SameSite alone would not do.
    """
    portal = portal_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        match = _BEARER.fullmatch(header.strip())
        if not match:
            raise SignInNeeded(invalid=True)
        return await _visitor(portal, match[1])
    session = portal.sealer.unseal(request.cookies.get(portal.settings.cookie, ""), SESSION_S)
    token = str(session["token"]) if session and "token" in session else ""
    if not token:
        raise SignInNeeded
    visitor = await _visitor(portal, token)
    await _require_meant(request, portal, token)
    request.state.visitor = visitor
    return visitor


async def _visitor(portal: Portal, token: str) -> Visitor:
    user = await portal.hub.user(token)
    if user is None:
        raise SignInNeeded(invalid=True)
    if user.kind != "user":
        raise Forbidden("this is for people; a service has no tenant")
    if portal.settings.access_scopes and not check_scopes(set(portal.settings.access_scopes), user.scopes):
        raise Forbidden("your account or token may not use the portal; it needs the scope access:services")
    return Visitor(user, token, portal.sealer.csrf(token))


async def _require_meant(request: Request, portal: Portal, token: str) -> None:
    """Refuse what another page could have made the browser send, or a script read. Forbidden says so."""
    site = request.headers.get("sec-fetch-site", "none")
    mode = request.headers.get("sec-fetch-mode", "navigate")
    reading = request.method in ("GET", "HEAD")
    if reading and mode == "navigate":
        return
    if site not in ("same-origin", "none"):
        raise Forbidden("this request came from another site, so it was not carried out")
    sent = request.headers.get(CSRF_HEADER, "")
    if not sent and request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        sent = str((await request.form()).get(CSRF_FIELD, ""))
    if not portal.sealer.csrf_ok(token, sent):
        raise Forbidden("this page is older than your sign-in: load it again, then repeat what you did")


SignedIn = Annotated[Visitor, Depends(visitor_of)]


def begin_sign_in(request: Request, portal: Portal) -> Response:
    """Send the browser to the hub. What must come back is in a sealed cookie, one for each sign-in under way."""
    state, verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(48)
    challenge = urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    response = RedirectResponse(portal.hub.authorize_url(state, challenge), 302)
    sealed = portal.sealer.seal({"state": state, "verifier": verifier, "next": _next_url(request, portal)})
    _set_cookie(request, portal, response, _state_cookie(portal, state), sealed, SIGN_IN_S)
    return response


def _next_url(request: Request, portal: Portal) -> str:
    """The page to come back to: always one of ours; the form's page for a form that was sent."""
    path = request.url.path
    if not path.startswith(portal.settings.prefix) or request.method not in ("GET", "POST"):
        return portal.settings.prefix
    query = request.url.query if request.method == "GET" else ""
    return f"{path}?{query}" if query else path


async def finish_sign_in(request: Request, portal: Portal) -> Response:
    """The hub sent the browser back: fetch the token, keep it in the cookie. Forbidden says what to do otherwise."""
    again = "Open the portal again to sign in."
    if request.query_params.get("error"):
        raise Forbidden(f"The hub did not let you in. {again}")
    state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
    cookie = _state_cookie(portal, state)
    began = portal.sealer.unseal(request.cookies.get(cookie, ""), SIGN_IN_S)
    if not code or began is None or not hmac.compare_digest(str(began["state"]).encode(), state.encode()):
        raise Forbidden(f"This sign-in took too long, or the browser keeps no cookies. {again}")
    token = await portal.hub.exchange(code, str(began["verifier"]))
    if await portal.hub.user(token) is None:
        raise Forbidden(f"The hub did not confirm who you are. {again}")
    response = RedirectResponse(str(began["next"]), 303)
    response.delete_cookie(cookie, path=portal.settings.prefix)
    _set_cookie(request, portal, response, portal.settings.cookie, portal.sealer.seal({"token": token}), None)
    return response


def sign_out(portal: Portal) -> Response:
    """Forget the session here; the hub's page then ends its own, which revokes the token."""
    response = RedirectResponse(f"{portal.settings.hub_url}logout", 303)
    response.delete_cookie(portal.settings.cookie, path=portal.settings.prefix)
    return response


def _state_cookie(portal: Portal, state: str) -> str:
    return f"{portal.settings.cookie}-sign-in-{hashlib.sha256(state.encode()).hexdigest()[:10]}"


def _set_cookie(
    request: Request, portal: Portal, response: Response, name: str, value: str, max_age_s: int | None
) -> None:
    """Lax, because the way back from the hub is a navigation; only for our own paths; never to a script."""
    scheme = request.headers.get("x-forwarded-proto", request.url.scheme).split(",")[0].strip()
    response.set_cookie(
        name,
        value,
        max_age=max_age_s,
        path=portal.settings.prefix,
        secure=portal.settings.https or scheme == "https",
        httponly=True,
        samesite="lax",
    )
