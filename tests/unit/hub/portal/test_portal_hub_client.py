"""The hub over HTTP: whose token goes where, and what each of its answers means."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import httpx
import pytest
from jupyterhub.services.auth import HubOAuth
from tornado.web import HTTPError

from hub.portal import hub_client
from hub.portal.hub_client import HubChecking, HubClient, HubDown, HubRefused
from hub.portal.settings import Settings, SettingsError, from_environment

SETTINGS = Settings(api_url="http://hub.test/hub/api", api_token="of-the-service", client_id="service-portal")
Answer = Callable[[httpx.Request], httpx.Response]


def ask(answer: Answer, call: Callable[[HubClient], Coroutine[Any, Any, Any]]) -> Any:
    async def run() -> Any:
        client = HubClient(SETTINGS, httpx.MockTransport(answer))
        try:
            return await call(client)
        finally:
            await client.close()

    return asyncio.run(run())


def start(client: HubClient) -> Coroutine[Any, Any, bool]:
    return client.start("of-the-person", "tenant-physics", "camera", "Camera", {"tenant": "physics"})


def test_a_start_is_asked_with_the_persons_token_and_the_hubs_body() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(201)

    assert ask(answer, start) is True
    (request,) = seen
    assert str(request.url) == "http://hub.test/hub/api/users/tenant-physics/servers/camera"
    assert request.headers["authorization"] == "token of-the-person"
    assert json.loads(request.content) == {"display_name": "Camera", "user_options": {"tenant": "physics"}}


def test_names_cannot_leave_their_place_in_the_path() -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.raw_path.decode())
        return httpx.Response(202)

    ask(answer, lambda client: client.start("t", "a/../b", "c?d", "", {}))
    assert seen == ["/hub/api/users/a%2F..%2Fb/servers/c%3Fd"]


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (httpx.Response(400, json={"message": "quota: full"}), "quota: full"),
        (httpx.Response(403, text="<html>"), "the hub refused (403)"),
        (httpx.Response(409, json=["no"]), "the hub refused (409)"),
        (httpx.Response(500, json={"message": ""}), "the hub failed; its log says why"),
        (httpx.Response(500, json={"message": "Internal Server Error"}), "the hub failed; its log says why"),
        (httpx.Response(409, json={"message": "Conflict"}), "the hub refused (409)"),
    ],
)
def test_a_refusal_is_the_hubs_message(response: httpx.Response, expected: str) -> None:
    with pytest.raises(HubRefused) as caught:
        ask(lambda _: response, start)
    assert (str(caught.value), caught.value.status) == (expected, response.status_code)


def stop(client: HubClient) -> Coroutine[Any, Any, None]:
    return client.stop("of-the-person", "ada", "mine")


class FakeCheckingHub:
    """Answers a stop as JupyterHub 6 does while it checks a server after its own start, by a bare 500."""

    def __init__(self, pending: str | None, status: int = 200) -> None:
        self.pending, self.status = pending, status
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.path}")
        assert request.headers["authorization"] == "token of-the-person"
        if request.method == "DELETE":
            return httpx.Response(500, json={"status": 500, "message": "Internal Server Error"})
        model = {"name": "ada", "servers": {"mine": {"name": "mine", "pending": self.pending}}}
        return httpx.Response(self.status, json=model)


def test_a_stop_while_the_hub_still_checks_the_server_is_told_as_that() -> None:
    hub = FakeCheckingHub("check")
    with pytest.raises(HubChecking, match="still looking at this server; try again in a minute"):
        ask(hub, stop)
    assert hub.asked == ["DELETE /hub/api/users/ada/servers/mine", "GET /hub/api/users/ada"]


@pytest.mark.parametrize("hub", [FakeCheckingHub(None), FakeCheckingHub("spawn"), FakeCheckingHub("check", 403)])
def test_any_other_failure_of_a_stop_is_none_of_that(hub: FakeCheckingHub) -> None:
    with pytest.raises(HubRefused, match="the hub failed; its log says why") as caught:
        ask(hub, stop)
    assert not isinstance(caught.value, HubChecking)


def test_a_start_of_what_the_hub_still_checks_is_told_as_that() -> None:
    answer = httpx.Response(400, json={"message": "ada:mine is pending check"})
    with pytest.raises(HubChecking):
        ask(lambda _: answer, start)


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_its_hub_means_that_it_is_away(status: int) -> None:
    with pytest.raises(HubDown):
        ask(lambda _: httpx.Response(status), start)


def test_a_hub_that_is_not_there_is_away() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    for call in (start, lambda client: client.stop("t", "o", "n")):
        with pytest.raises(HubDown):
            ask(answer, call)


def test_a_slow_start_goes_on_behind_its_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_client, "PATIENCE_S", 0.01)

    async def run() -> tuple[bool, list[str]]:
        release, ended = asyncio.Event(), []

        async def answer(request: httpx.Request) -> httpx.Response:
            await release.wait()
            ended.append("answered")
            return httpx.Response(201)

        client = HubClient(SETTINGS, httpx.MockTransport(answer))
        up = await start(client)
        release.set()
        await asyncio.wait_for(asyncio.gather(*client._behind), 5)
        return up, ended

    assert asyncio.run(run()) == (False, ["answered"])


def test_stopping_what_the_hub_does_not_know_is_done_already() -> None:
    ask(lambda _: httpx.Response(404, json={"message": "no"}), lambda client: client.stop("t", "o", "n"))
    with pytest.raises(HubRefused, match="pending"):
        ask(lambda _: httpx.Response(400, json={"message": "pending"}), lambda client: client.stop("t", "o", "n"))


def test_progress_yields_each_event_and_skips_keep_alives() -> None:
    body = b'data: {"progress": 10}\n\n\n\ndata: {"progress": 100, "ready": true}\n\n'

    async def events(client: HubClient) -> list[dict[str, Any]]:
        return [event async for event in client.progress("t", "o", "n")]

    told = ask(lambda _: httpx.Response(200, content=body), events)
    assert told == [{"progress": 10}, {"progress": 100, "ready": True}]
    with pytest.raises(HubRefused, match="not starting"):
        ask(lambda _: httpx.Response(400, json={"message": "not starting"}), events)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (HTTPError(500, "Failed to connect to Hub API at 'x'."), HubDown),
        (HTTPError(502, "Failed to check authorization (upstream problem)"), HubDown),
        (HTTPError(500, "Failed to check authorization: invalid_grant"), HubRefused),
    ],
)
def test_trouble_at_sign_in_is_told_apart(monkeypatch: pytest.MonkeyPatch, error: HTTPError, expected: type) -> None:
    async def fail(self: HubOAuth, *_: Any) -> str:
        raise error

    monkeypatch.setattr(HubOAuth, "_token_for_code", fail)
    with pytest.raises(expected):
        ask(lambda _: httpx.Response(200), lambda client: client.exchange("code", "verifier"))


def test_who_a_token_belongs_to(monkeypatch: pytest.MonkeyPatch) -> None:
    async def model(self: HubOAuth, url: str, api_token: str, **_: Any) -> dict[str, Any] | None:
        assert url == "http://hub.test/hub/api/user"
        return {"name": "a", "scopes": ["self"], "groups": ["g"], "kind": "user"} if api_token == "good" else None

    monkeypatch.setattr(HubOAuth, "_check_hub_authorization", model)
    user = ask(lambda _: httpx.Response(200), lambda client: client.user("good"))
    assert (user.name, user.scopes, user.groups) == ("a", frozenset(["self"]), ("g",))
    assert ask(lambda _: httpx.Response(200), lambda client: client.user("bad")) is None
    assert ask(lambda _: httpx.Response(200), lambda client: client.user("a\nb")) is None


def test_the_sign_in_address_carries_state_and_challenge() -> None:
    async def url(client: HubClient) -> str:
        return client.authorize_url("st", "ch")

    told = ask(lambda _: httpx.Response(200), url)
    assert told.startswith("/hub/api/oauth2/authorize?client_id=service-portal")
    assert told.endswith("&state=st&code_challenge=ch&code_challenge_method=S256")


def test_settings_come_from_jupyterhubs_environment() -> None:
    env = {
        "JUPYTERHUB_API_URL": "http://127.0.0.1:8081/hub/api/",
        "JUPYTERHUB_API_TOKEN": "t",
        "JUPYTERHUB_SERVICE_PREFIX": "/base/services/portal",
        "JUPYTERHUB_BASE_URL": "/base",
        "TENANTHUB_PORTAL_PORT": "1234",
        "TENANTHUB_CONFIG": "/c",
        "TENANTHUB_STATE": "/s",
    }
    made = from_environment(env)
    assert (made.prefix, made.base_url, made.hub_url) == ("/base/services/portal/", "/base/", "/base/hub/")
    assert (made.port, made.config, made.htmx) == (1234, Path("/c"), None)
    assert made.access_scopes == {"access:services!service=portal"}
    assert made.server_url("a", "b") == "/base/user/a/b/"
    with pytest.raises(SettingsError, match="TENANTHUB_STATE"):
        from_environment({**env, "TENANTHUB_STATE": ""})
    with pytest.raises(SettingsError, match="TENANTHUB_PORTAL_PORT"):
        from_environment({**env, "TENANTHUB_PORTAL_PORT": "x"})
