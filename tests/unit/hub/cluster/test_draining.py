"""A portal's last seconds: whoever asks is answered, and asks somebody else the next time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import uvicorn

from hub.cluster.draining import DRAIN_S, GRACE_S, DrainingServer
from hub.portal.hub_client import START_TIMEOUT_S
from tests.embedded.harness import free_port
from tests.loops import run_apart
from tests.unit.helm.chart import objects

PATIENCE_S = 60


class App:
    """Answers at once; at /slow when it is told to."""

    def __init__(self) -> None:
        self.asked, self.go_on = asyncio.Event(), asyncio.Event()

    async def __call__(self, scope: dict[str, Any], _: Any, send: Callable[[dict[str, Any]], Awaitable[None]]) -> None:
        if scope["path"] == "/slow":
            self.asked.set()
            await self.go_on.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"here"})


async def until(look: Callable[[], bool]) -> None:
    """Wait for it; uvicorn tells nobody. Within the timeout of `serving`."""
    while not look():  # noqa: ASYNC110
        await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    app: App, drain_s: float
) -> AsyncIterator[tuple[DrainingServer, httpx.AsyncClient, asyncio.Task[None]]]:
    """A server of it, somebody who keeps connections as the proxy does, and the task that ends with the server."""
    config = uvicorn.Config(app, host="127.0.0.1", port=free_port(), lifespan="off", timeout_graceful_shutdown=60)
    server = DrainingServer(config, drain_s)
    task = asyncio.create_task(server.serve())
    async with asyncio.timeout(PATIENCE_S):
        await until(lambda: server.started)
        url = f"http://127.0.0.1:{config.port}"
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
            yield server, client, task
        await task


def test_one_that_goes_still_answers_and_closes_the_connection_by_saying_so() -> None:
    async def lives() -> None:
        app = App()
        async with serving(app, drain_s=3600) as (server, client, task):
            kept = await client.get("/")
            assert "connection" not in kept.headers
            server.should_exit = True  # what SIGTERM does
            while "connection" not in kept.headers:  # uvicorn looks ten times a second
                kept = await client.get("/")
                assert kept.text == "here"
            assert kept.headers["connection"] == "close"
            # A node that has not heard of it yet sends a new connection here.
            assert (await client.get("/")).headers["connection"] == "close"
            assert not task.done()
            server.force_exit = True

    run_apart(lives())


def test_what_is_being_answered_when_the_port_closes_is_answered() -> None:
    async def lives() -> None:
        app = App()
        async with serving(app, drain_s=0) as (server, client, _):
            asking = asyncio.create_task(client.get("/slow"))
            await app.asked.wait()
            server.should_exit = True
            await until(lambda: not server.servers[0].is_serving())
            app.go_on.set()
            answer = await asking
            assert (answer.status_code, answer.text) == (200, "here")

    run_apart(lives())


def test_the_chart_gives_a_portal_the_time_that_it_takes() -> None:
    [portal] = [
        one
        for one in objects({"publicUrl": "https://hub.example.org/"})
        if (one["kind"], one["metadata"]["name"]) == ("Deployment", "portal")
    ]
    assert START_TIMEOUT_S < GRACE_S
    assert portal["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] > DRAIN_S + GRACE_S
