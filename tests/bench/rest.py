"""One person's way to a hub, ours or the peer's: the same client, the same polling, the same criteria."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from html.parser import HTMLParser
from typing import Any

import httpx

from tests.bench.contest import CannotRun
from tests.embedded.harness import until


class Rest:
    """JupyterHub's REST API as *user*, on one connection that stays open."""

    def __init__(self, url: str, user: str, token: str) -> None:
        self.user = user
        headers = {"Authorization": f"token {token}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=90, trust_env=False)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def start(self, owner: str, name: str, user_options: Mapping[str, Any]) -> int:
        """Ask for the named server; the answer's status, 201 (it is ready) or 202 (it is not yet)."""
        body = {"display_name": name, "user_options": dict(user_options)}
        answer = self._client.post(f"/hub/api/users/{owner}/servers/{name}", json=body)
        if answer.status_code not in (201, 202):
            raise CannotRun(f"the start was answered {answer.status_code}: {answer.text}")
        return answer.status_code

    def until_ready(self, owner: str, name: str) -> None:
        """Wait until the hub says that the server is ready."""
        until(f"{name} is ready", lambda: (self._server(owner, name) or {}).get("ready"), 120)

    def until_answers(self, owner: str, name: str) -> None:
        """Wait until the server itself answers 200 through the proxy."""
        path = f"/user/{owner}/{name}/api/status"
        until(f"{path} answers", lambda: self._client.get(path).status_code == 200, 120)

    def stop(self, owner: str, name: str) -> float:
        """Stop the server; the seconds until the hub has it no more."""
        began = time.perf_counter()
        answer = self._client.delete(f"/hub/api/users/{owner}/servers/{name}")
        if answer.status_code not in (202, 204):
            raise CannotRun(f"the stop was answered {answer.status_code}: {answer.text}")
        until(f"{name} is stopped", lambda: self._server(owner, name) is None, 120)
        return time.perf_counter() - began

    def _server(self, owner: str, name: str) -> dict[str, Any] | None:
        servers = self._client.get(f"/hub/api/users/{owner}").raise_for_status().json()["servers"]
        found: dict[str, Any] | None = servers.get(name)
        return None if found is None or found.get("stopped") else found


class _HiddenFields(HTMLParser):
    """The hidden fields of the forms of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("type") == "hidden" and found.get("name"):
            self.fields[str(found["name"])] = found.get("value") or ""


@contextmanager
def signed_in(url: str, user: str, password: str) -> Iterator[httpx.Client]:
    """A browser's session: the sign-in page, its form, the cookies. CannotRun where the hub does not let *user* in."""
    with httpx.Client(base_url=url, timeout=30, trust_env=False, follow_redirects=True) as client:
        parser = _HiddenFields()
        parser.feed(client.get("/hub/login").text)
        answer = client.post("/hub/login", data={**parser.fields, "username": user, "password": password})
        if answer.status_code != 200 or answer.url.path.endswith("/login"):
            raise CannotRun(f"{user} could not sign in: {answer.status_code} at {answer.url.path}")
        yield client
