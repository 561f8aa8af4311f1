"""The way to the API server: what is sent again and what is not; a Pod's own token, which is renewed under way."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web
from kubernetes_asyncio.client import Configuration
from kubernetes_asyncio.config import incluster_config

from spawners.kube import client as client_module
from spawners.kube.client import ApiError, Client, KubeError

POD = {"kind": "Pod", "metadata": {"name": "one", "namespace": "tenant-physics"}}
QUOTA = 'Operation cannot be fulfilled on resourcequotas "tenanthub": the object has been modified'
Said = tuple[int, str, str]
"""Status, reason, message."""


@asynccontextmanager
async def server(answer: Callable[[web.Request], web.Response]) -> AsyncIterator[str]:
    """An API server that answers as it is told; its URL."""

    async def handle(request: web.Request) -> web.Response:
        return answer(request)

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield site.name
    finally:
        await runner.cleanup()


def _answer(said: Said) -> web.Response:
    status, reason, message = said
    body = json.dumps({"kind": "Status", "reason": reason, "message": message}, separators=(",", ":"))
    return web.Response(status=status, text=body)


@pytest.mark.parametrize(
    ("first", "sent"),
    [
        ((409, "Conflict", QUOTA), 2),
        ((500, "InternalError", "Internal error occurred: resource quota evaluation timed out"), 2),
        ((409, "AlreadyExists", 'pods "one" already exists'), 1),
        ((403, "Forbidden", "exceeded quota: tenanthub"), 1),
        ((500, "InternalError", "something else"), 1),
        ((429, "TooManyRequests", "without a word of when"), 1),
    ],
)
def test_a_pod_is_sent_again_only_where_nothing_can_have_come_of_it(first: Said, sent: int) -> None:
    asked: list[str] = []

    def answer(request: web.Request) -> web.Response:
        asked.append(request.method)
        return _answer(first) if len(asked) == 1 else web.json_response(POD)

    async def run() -> KubeError | None:
        async with server(answer) as url, Client(Configuration(host=url)) as client:
            try:
                await client.create(POD)
            except KubeError as error:
                return error
            return None

    error = asyncio.run(run())
    assert asked == ["POST"] * sent
    assert (error is None) == (sent == 2)
    assert error is None or (isinstance(error, ApiError) and error.message == first[2])


def test_a_pods_own_token_is_read_anew_as_the_kubelet_renews_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("first")
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(token))
    authority = tmp_path / "ca.crt"
    authority.write_text("read by nobody: this server speaks plain HTTP")
    monkeypatch.setattr(client_module, "_tls", lambda settings: ssl.create_default_context())
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(authority))
    monkeypatch.setattr(incluster_config, "TOKEN_REFRESH_PERIOD", timedelta(0))  # a minute, else
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "2001:db8::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    sent: list[str] = []

    def answer(request: web.Request) -> web.Response:
        sent.append(request.headers["Authorization"])
        return web.json_response(POD)

    async def run() -> None:
        async with server(answer) as url, await Client.connect() as client:
            assert client.host == "https://[2001:db8::1]:443"
            client._settings.host = url
            await client.get("Pod", "tenant-physics", "one")
            token.write_text("second")
            await client.get("Pod", "tenant-physics", "one")

    asyncio.run(run())
    assert sent == ["Bearer first", "Bearer second"]


def test_where_there_is_no_cluster_one_line_says_so(tmp_path: Path) -> None:
    with pytest.raises(KubeError, match="no cluster to talk to") as found:
        asyncio.run(Client.connect(tmp_path / "none.yaml"))
    assert "\n" not in str(found.value)


def test_a_cluster_whose_ca_is_old_is_taken_as_kubectl_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.13's own context, on whatever Python: certificates without key identifiers."""
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    monkeypatch.setattr(client_module.ssl, "create_default_context", lambda **_: strict)
    found = client_module._tls(Configuration())
    assert not found.verify_flags & ssl.VERIFY_X509_STRICT
    assert found.verify_mode is ssl.CERT_REQUIRED and found.check_hostname
