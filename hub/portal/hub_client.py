"""The hub as the portal sees it. Every act is done with the token of the person who asks for it."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http.client import responses
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import httpx
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from hub.portal.settings import Settings

log = logging.getLogger(__name__)
USER_CACHE_S = 10
"""How long the hub's word on a token is believed: a page and its refreshes ask once, a revoked token ends soon."""
START_TIMEOUT_S = 60.0
PATIENCE_S = 1.5
CALL_TIMEOUT_S = 15.0
CHECKING = "the hub has just been started and is still looking at this server; try again in a minute"


class HubDown(Exception):
    """The hub does not answer; it is being restarted, most often."""


class HubRefused(Exception):
    """The hub said no: *status* is its HTTP status, the text its message for people."""

    def __init__(self, status: int, message: str) -> None:
        self.status = status
        super().__init__(message)


class HubChecking(HubRefused):
    """The hub has begun a moment ago and does not know yet whether this server lives: nobody can stop it so long."""

    def __init__(self) -> None:
        super().__init__(503, CHECKING)


@dataclass(frozen=True)
class HubUser:
    """Who a token belongs to, and what it allows."""

    name: str
    scopes: frozenset[str]
    groups: tuple[str, ...] = ()
    kind: str = "user"
    admin: bool = False


class Hub(Protocol):
    """What the portal asks of the hub. HubDown and HubRefused as above."""

    def authorize_url(self, state: str, challenge: str) -> str:
        """Where a browser goes to sign in (PKCE, S256)."""

    async def exchange(self, code: str, verifier: str) -> str:
        """The person's OAuth token for the code that came back."""

    async def user(self, token: str) -> HubUser | None:
        """Whose *token* is; None when it is not (or no longer) valid."""

    async def start(self, token: str, owner: str, name: str, display_name: str, user_options: dict[str, Any]) -> bool:
        """Start a named server; True when it is up already, False while it starts."""

    async def stop(self, token: str, owner: str, name: str) -> None:
        """Stop a named server; returns when the hub has begun."""

    async def orphans(self, token: str, tenant: str) -> list[tuple[str, str]]:
        """Owners and names of what lives and the hub does not know, as far as the token's owner may see it."""

    async def take_back(self, token: str, tenant: str, owner: str, name: str) -> None:
        """Know such a one again."""

    async def remove_orphan(self, token: str, tenant: str, owner: str, name: str) -> None:
        """End such a one."""

    def progress(self, token: str, owner: str, name: str) -> AsyncIterator[dict[str, Any]]:
        """Events of a start: progress 0-100, message, at the end ready or failed."""


class HubClient:
    """Hub over HTTP: JupyterHub's own HubOAuth for identity, its REST API for the rest."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._settings = settings
        self._oauth = HubOAuth(
            api_url=settings.api_url,
            api_token=settings.api_token,
            oauth_client_id=settings.client_id,
            base_url=settings.prefix,
            hub_prefix=f"{settings.base_url}hub/",
            hub_host=settings.hub_host,
            cache_max_age=USER_CACHE_S,
        )
        # trust_env off: a proxy set for the internet is not the way to a hub on loopback
        self._behind: set[asyncio.Task[httpx.Response]] = set()
        self._http = httpx.AsyncClient(timeout=CALL_TIMEOUT_S, transport=transport, trust_env=False)

    def authorize_url(self, state: str, challenge: str) -> str:
        """HubOAuth's login URL with our state and the PKCE challenge."""
        query = urlencode({"state": state, "code_challenge": challenge, "code_challenge_method": "S256"})
        return f"{self._oauth.login_url}&{query}"

    async def exchange(self, code: str, verifier: str) -> str:
        """As Hub; HubRefused when the code is spent or not ours."""
        return str(await self._asked(self._oauth.token_for_code(code, code_verifier=verifier, sync=False)))

    async def user(self, token: str) -> HubUser | None:
        """As Hub, cached for USER_CACHE_S."""
        if not token.isascii() or not token.isprintable():
            return None  # it would not even fit in a header
        model = await self._asked(self._oauth.user_for_token(token, sync=False))
        if model is None:
            return None
        return HubUser(
            name=str(model["name"]),
            scopes=frozenset(model.get("scopes", ())),
            groups=tuple(model.get("groups", ())),
            kind=str(model.get("kind", "user")),
            admin=bool(model.get("admin")),
        )

    async def _asked(self, call: Any) -> Any:
        try:
            return await asyncio.wait_for(call, CALL_TIMEOUT_S)
        except TimeoutError:
            raise HubDown("the hub does not answer") from None
        except HTTPError as error:
            text = str(error.log_message or "")
            if error.status_code == 502 or text.startswith("Failed to connect"):
                raise HubDown("the hub does not answer") from None
            raise HubRefused(403, "the hub did not accept the sign-in") from None

    async def start(self, token: str, owner: str, name: str, display_name: str, user_options: dict[str, Any]) -> bool:
        """POST /users/{owner}/servers/{name}.

        The hub refuses at once, but answers a start only when it is up or after its slow_spawn_timeout (10 s). So we
        listen for PATIENCE_S and let the request go on behind the page, which shows the progress.
        """
        body = {"display_name": display_name, "user_options": user_options}
        call = self._call("POST", token, self._server(owner, name), json=body, timeout=START_TIMEOUT_S)
        task = asyncio.create_task(call)
        done, _ = await asyncio.wait([task], timeout=PATIENCE_S)
        if not done:
            self._behind.add(task)
            task.add_done_callback(self._over)
            return False
        try:
            return task.result().status_code == 201
        except httpx.ReadTimeout:
            return False
        except httpx.HTTPError:
            raise HubDown("the hub does not answer") from None

    def _over(self, task: asyncio.Task[httpx.Response]) -> None:
        """A start that went on behind its page has ended: the workload's record says how, our log that it failed."""
        self._behind.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a start ended late: %s", error)

    async def stop(self, token: str, owner: str, name: str) -> None:
        """DELETE /users/{owner}/servers/{name}; a server that the hub does not know is stopped already.

        While the hub checks a server after its own start, JupyterHub (6.0) answers with a bare 500: it raises a
        RuntimeError for whatever is pending (stop_single_user). What is pending it says elsewhere.
        """
        try:
            await self._call("DELETE", token, self._server(owner, name), timeout=START_TIMEOUT_S)
        except HubRefused as refused:
            if refused.status >= 500 and await self._pending(token, owner, name) == "check":
                raise HubChecking from None
            if refused.status != 404:
                raise
        except httpx.ReadTimeout:
            return
        except httpx.HTTPError:
            raise HubDown("the hub does not answer") from None

    async def _pending(self, token: str, owner: str, name: str) -> str | None:
        """What the hub does with a server just now: spawn, stop, check; None where that is nothing, or not told."""
        try:
            found = await self._call("GET", token, f"{self._settings.api_url}/users/{quote(owner, safe='')}")
            pending = found.json()["servers"][name]["pending"]
        except (HubRefused, HubDown, httpx.HTTPError, ValueError, KeyError, TypeError):
            return None
        return str(pending) if pending else None

    async def orphans(self, token: str, tenant: str) -> list[tuple[str, str]]:
        """GET /tenanthub/{tenant}/orphans (hub/orphans.py)."""
        found = (await self._orphan("GET", token, tenant)).json()
        return [(str(one["owner"]), str(one["name"])) for one in found]

    async def take_back(self, token: str, tenant: str, owner: str, name: str) -> None:
        """POST /tenanthub/{tenant}/orphans/{owner}/{name}."""
        await self._orphan("POST", token, tenant, owner, name)

    async def remove_orphan(self, token: str, tenant: str, owner: str, name: str) -> None:
        """DELETE /tenanthub/{tenant}/orphans/{owner}/{name}."""
        await self._orphan("DELETE", token, tenant, owner, name)

    async def _orphan(self, method: str, token: str, tenant: str, *one: str) -> httpx.Response:
        parts = "/".join(quote(part, safe="") for part in (tenant, "orphans", *one))
        timeout = START_TIMEOUT_S if one else CALL_TIMEOUT_S
        try:
            return await self._call(method, token, f"{self._settings.api_url}/tenanthub/{parts}", timeout=timeout)
        except httpx.HTTPError:
            raise HubDown("the hub does not answer") from None

    async def progress(self, token: str, owner: str, name: str) -> AsyncIterator[dict[str, Any]]:
        """The hub's event stream (text/event-stream) of one start, event by event."""
        url = f"{self._server(owner, name)}/progress"
        timeout = httpx.Timeout(CALL_TIMEOUT_S, read=60.0)  # the hub keeps it alive every 8 s
        try:
            async with self._http.stream("GET", url, headers=_authorization(token), timeout=timeout) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise _refusal(response)
                async for line in response.aiter_lines():
                    if line.startswith("data:"):
                        yield json.loads(line.removeprefix("data:"))
        except (httpx.HTTPError, json.JSONDecodeError):
            raise HubDown("the hub does not answer") from None

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    def _server(self, owner: str, name: str) -> str:
        return f"{self._settings.api_url}/users/{quote(owner, safe='')}/servers/{quote(name, safe='')}"

    async def _call(self, method: str, token: str, url: str, **options: Any) -> httpx.Response:
        response = await self._http.request(method, url, headers=_authorization(token), **options)
        if response.status_code >= 400:
            raise _refusal(response)
        return response


def _authorization(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


def _refusal(response: httpx.Response) -> Exception:
    """The hub's message; its 502-504 come from a proxy in front of a hub that is away."""
    if response.status_code in (502, 503, 504):
        return HubDown("the hub does not answer")
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = ""
    if message == responses.get(response.status_code):
        message = ""  # the name of the status says nothing to people
    if message.endswith(" pending check"):
        return HubChecking()
    if response.status_code >= 500:
        message = message or "the hub failed; its log says why"
    return HubRefused(response.status_code, message or f"the hub refused ({response.status_code})")
