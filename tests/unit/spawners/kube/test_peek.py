"""Looks into Pods: the exec protocol against a server of the test's own, and how often it is asked at all."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from kubernetes_asyncio import client as kubernetes_client

from spawners.kube import peek
from spawners.kube.client import ApiError, KubeError
from spawners.kube.peek import PROGRESS, Peeker, Shown

OK = b"\x03" + json.dumps({"status": "Success"}).encode()
FAILED = b"\x03" + json.dumps({"status": "Failure", "reason": "NonZeroExitCode"}).encode()
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def against(handler: Handler, ask: Callable[[Peeker], Awaitable[Any]]) -> Any:
    """What *ask* gives at an API server that answers by *handler*."""

    async def run() -> Any:
        app = web.Application()
        app.router.add_get("/{path:.*}", handler)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            settings = kubernetes_client.Configuration()
            settings.host = f"http://127.0.0.1:{runner.addresses[0][1]}"
            settings.api_key = {"BearerToken": "Bearer abc"}
            async with Peeker(settings) as peeker:
                return await ask(peeker)
        finally:
            await runner.cleanup()

    return asyncio.run(run())


def speaking(*frames: bytes, protocols: tuple[str, ...] = ("v5.channel.k8s.io",)) -> Handler:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer abc"
        assert request.path == "/api/v1/namespaces/tenant-physics/pods/news-x/exec"
        assert request.query.getall("command") == list(PROGRESS)
        assert {name: request.query[name] for name in ("container", "stdout", "stderr")} == {
            "container": "main",
            "stdout": "true",
            "stderr": "false",
        }
        socket = web.WebSocketResponse(protocols=protocols)
        await socket.prepare(request)
        for frame in frames:
            await socket.send_bytes(frame)
        await socket.close()
        return socket

    return handler


def look(handler: Handler) -> bytes:
    found: bytes = against(handler, lambda peeker: peeker.run("tenant-physics", "news-x", "main", PROGRESS))
    return found


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io"])
def test_what_the_command_writes_comes_in_pieces(protocol: str) -> None:
    assert (
        look(speaking(b"\x01", b'\x01{"pages"', b"\x01: 5}", b"\x02noise", OK, protocols=(protocol,)))
        == b'{"pages": 5}'
    )


def test_a_command_that_fails_says_nothing() -> None:
    assert look(speaking(b"\x01half", FAILED)) == b""


def test_a_file_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peek, "READ_LIMIT", 10)
    assert look(speaking(*[b"\x01abcdef"] * 3)) == b"abcdefabcd"


def test_a_refusal_is_an_error_with_its_code() -> None:
    async def forbidden(request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response({"message": "pods/exec is forbidden"}, status=403)

    with pytest.raises(ApiError) as refused:
        look(forbidden)
    assert refused.value.status == 403


def test_a_server_that_hangs_up_is_an_error_without_the_token() -> None:
    async def hangs_up(request: web.Request) -> web.StreamResponse:
        assert request.transport
        request.transport.abort()
        return web.Response()

    with pytest.raises(KubeError) as gone:
        look(hangs_up)
    assert "abc" not in str(gone.value)


def test_a_list_asks_for_the_metadata_alone() -> None:
    async def listing(request: web.Request) -> web.StreamResponse:
        assert request.headers["Accept"] == "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
        assert dict(request.query) == {"labelSelector": "a/b=past", "resourceVersion": "0"}
        return web.json_response({"kind": "PartialObjectMetadataList", "items": [{"metadata": {"name": "x"}}]})

    found = against(listing, lambda peeker: peeker.metadata("/api/v1/namespaces/n/configmaps", "a/b=past"))
    assert found == [{"metadata": {"name": "x"}}]


def test_a_refused_list_is_an_error() -> None:
    async def forbidden(request: web.Request) -> web.StreamResponse:
        del request
        return web.json_response({"message": "no"}, status=403)

    with pytest.raises(ApiError):
        against(forbidden, lambda peeker: peeker.metadata("/x", "a=b"))


# -- how often it is asked --------------------------------------------------------------------------------------------


class Asked:
    def __init__(self) -> None:
        self.count = self.now_asking = self.most = 0
        self.go = asyncio.Event()

    async def __call__(self) -> int:
        self.now_asking += 1
        self.most = max(self.most, self.now_asking)
        await self.go.wait()
        self.now_asking -= 1
        self.count += 1
        return self.count


def test_many_who_ask_at_once_get_one_answer_and_keep_it_for_a_while() -> None:
    async def run() -> None:
        clock, asked = [0.0], Asked()
        shown = Shown(for_s=4, clock=lambda: clock[0])
        asking = [asyncio.create_task(shown.get(("one",), asked)) for _ in range(50)]
        await asyncio.sleep(0)
        asking[0].cancel()  # a page that was closed
        asked.go.set()
        assert set(await asyncio.gather(*asking[1:])) == {1}
        clock[0] = 3.9
        assert await shown.get(("one",), asked) == 1
        clock[0] = 4.1
        assert await shown.get(("one",), asked) == 2
        shown.forget(("one",))
        assert await shown.get(("one",), asked) == 3

    asyncio.run(run())


def test_no_more_than_a_few_are_asked_at_once() -> None:
    async def run() -> None:
        asked = Asked()
        shown = Shown(at_once=8)
        asking = [asyncio.create_task(shown.get((str(number),), asked)) for number in range(100)]
        for _ in range(5):
            await asyncio.sleep(0)
        assert asked.now_asking == 8
        asked.go.set()
        await asyncio.gather(*asking)
        assert (asked.count, asked.most) == (100, 8)

    asyncio.run(run())


def test_an_error_is_told_to_all_who_wait_and_the_next_one_asks_again() -> None:
    async def run() -> None:
        clock = [0.0]
        shown = Shown(for_s=4, clock=lambda: clock[0])

        async def broken() -> int:
            raise KubeError("away")

        async def well() -> int:
            return 1

        for _ in range(2):
            with pytest.raises(KubeError):
                await shown.get(("one",), broken)
        clock[0] = 5
        assert await shown.get(("one",), well) == 1

    asyncio.run(run())
