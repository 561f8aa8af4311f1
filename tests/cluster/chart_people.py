"""Who uses the installed chart, by REST, by a terminal's WebSocket, by pages that are asked for all the time."""

from __future__ import annotations

import asyncio
import json
import re
from typing import Any

from aiohttp import ClientSession, WSMsgType
from httpx import Response

from tests.cluster.chart import Installed
from tests.cluster.journeys import world
from tests.cluster.kube import eventually

PATIENCE_S = 240.0
API = "/services/portal/api/v1/tenants/physics/workloads"


class Person:
    """Somebody with a token of theirs."""

    def __init__(self, made: Installed, name: str) -> None:
        self.made, self.name = made, name
        self.token = made.token(name)

    def launch(self, owner: str, name: str, profile: str, **options: Any) -> None:
        """Start it by REST, and wait until it is ready."""
        answer = self._start(owner, name, profile, options)
        assert answer.status_code in (201, 202), answer.text
        self.ready(owner, name)

    def accepted(self, owner: str, name: str, profile: str, **options: Any) -> bool:
        """Start it by REST; whether the hub takes it as it is asked for."""
        return self._start(owner, name, profile, options).status_code in (201, 202)

    def ready(self, owner: str, name: str) -> None:
        """Wait until it is."""
        eventually(f"{name} is ready", lambda: self.server(owner, name).get("ready"), patience_s=PATIENCE_S)

    def _start(self, owner: str, name: str, profile: str, options: dict[str, Any]) -> Response:
        body = {"user_options": {"tenant": world.PHYSICS, "profile": profile, "options": options}}
        return self.made.api("POST", f"/users/{owner}/servers/{name}", self.token, body)

    def server(self, owner: str, name: str) -> dict[str, Any]:
        """As JupyterHub shows it; {} where it does not."""
        found = self.made.api("GET", f"/users/{owner}", self.token).json().get("servers", {}).get(name) or {}
        assert not (found and found.get("pending") is None and not found.get("ready")), found
        return dict(found)

    def stop(self, owner: str, name: str) -> None:
        """Stop it, and wait until it is."""
        self.made.api("DELETE", f"/users/{owner}/servers/{name}", self.token)
        url = f"/users/{owner}"

        def gone() -> bool:
            return name not in self.made.api("GET", url, self.token).json().get("servers", {})

        eventually(f"{name} is stopped", gone, patience_s=PATIENCE_S)

    def portal(self, method: str, path: str) -> Any:
        """Of the portal's own API; decoded JSON, or text."""
        answer = self.made.portal(method, f"{API}/{path}", self.token)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text


class Ticking:
    """A terminal in the notebook that counts, seen through the hub's proxy by a WebSocket that stays open."""

    def __init__(self, made: Installed, person: Person, name: str) -> None:
        self.base = f"{made.url}/user/{person.name}/{name}"
        self.headers = {"Authorization": f"token {person.token}"}
        self.seen: list[int] = []
        self.closed = False
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Collect numbers until it is cancelled."""
        async with ClientSession(headers=self.headers, trust_env=False) as session:
            async with session.post(f"{self.base}/api/terminals") as answer:
                assert answer.status == 200, await answer.text()
                terminal = (await answer.json())["name"]
            async with session.ws_connect(f"{self.base}/terminals/websocket/{terminal}") as socket:
                await socket.send_json(["stdin", "i=0; while :; do i=$((i+1)); echo tick=$i.; sleep 0.2; done\r"])
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        self._take(json.loads(message.data))
        self.closed = True
        self.news.set()

    async def reaches(self, count: int) -> None:
        """Wait until so many numbers have come."""
        async with asyncio.timeout(60):
            while len(self.seen) < count and not self.closed:
                self.news.clear()
                await self.news.wait()
        assert not self.closed, "the connection through the proxy broke"

    def _take(self, told: list[Any]) -> None:
        if told[0] == "stdout":
            # The echo of the command itself has "$i" where a number should be.
            self.seen += [int(number) for number in re.findall(r"tick=(\d+)\.", str(told[1]))]
            self.news.set()


class Asking:
    """Somebody who asks the portal all the time, with the statuses of the answers."""

    def __init__(self, made: Installed, person: Person) -> None:
        self.made, self.headers = made, {"Authorization": f"token {person.token}"}
        self.without_hub: set[int] = set()
        """Of what the portal answers by itself."""
        self.of_hub: set[int] = set()
        """Of what it asks the hub for."""

    async def run(self) -> None:
        """Ask until it is cancelled, several at once, as the proxy's connections to portals are many."""
        async with ClientSession(headers=self.headers, trust_env=False) as session, asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(self._ask(session, "/services/portal/static/portal.js", self.without_hub))
                group.create_task(self._ask(session, API, self.of_hub))

    async def _ask(self, session: ClientSession, path: str, seen: set[int]) -> None:
        while True:
            async with session.get(f"{self.made.url}{path}") as answer:
                seen.add(answer.status)
                await answer.read()
            await asyncio.sleep(0.1)  # so that it is a load that a busy machine carries
