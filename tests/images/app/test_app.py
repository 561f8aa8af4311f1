"""The launcher with a real app behind it."""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from pathlib import Path

import httpx
import psutil
import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.images.spawned import PREFIX, FakeHub, wait_for

SMALL_APP = [sys.executable, str(Path(__file__).with_name("small_app.py"))]
ON_PORT = [*SMALL_APP, "port={port}"]
ON_SOCKET = [*SMALL_APP, "socket={unix_socket}"]


def test_it_is_served_to_its_owner_and_to_nobody_else(launch) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()
    told = app.get("some/where?a=1&a=2").json()
    assert (told["path"], told["query"]) == ("/some/where", "a=1&a=2")
    anonymous = httpx.get(app.url)
    assert anonymous.status_code == 302
    assert anonymous.headers["location"].startswith("/hub/api/oauth2/authorize?")
    assert app.get(headers={"Authorization": "token eve-token"}).status_code == 403
    assert httpx.post(app.url).status_code == 403


def test_the_app_learns_who_visits_and_no_secret(launch) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()
    cookies = "mine=1; jupyterhub-user-ada-app=secret; _xsrf=secret; jupyterhub-session-id=secret"
    told = app.get("?token=ada-token&x=1", headers={"Cookie": cookies, "X-Forwarded-User": "root"}).json()
    assert told["headers"]["X-Forwarded-User"] == "ada"
    assert told["headers"]["Cookie"] == "mine=1"
    assert "Authorization" not in told["headers"]
    assert (told["query"], told["token"], told["user"]) == ("x=1", None, "ada")
    assert "ada-token" not in app.log
    assert "ada-server-token" not in app.log


def test_answers_come_whole(launch) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()
    assert app.get().headers.get_list("set-cookie") == ["one=1", "two=2"]
    assert app.get("away", follow_redirects=False).headers["location"] == f"{PREFIX}elsewhere"
    with httpx.stream("GET", f"{app.url}much?mib=150", headers={"Authorization": "token ada-token"}) as answer:
        assert sum(len(part) for part in answer.iter_bytes()) == 150 * 1024**2
    assert app.get("much?mib=0").content == b""
    assert app.get(method="HEAD").status_code == 200
    assert app.get(method="DELETE").json()["method"] == "DELETE"


def test_requests_from_other_sites_are_refused(launch) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()

    def status(method: str, **headers: str) -> int:
        return httpx.request(method, app.url, headers=headers).status_code

    # Without a token: what a browser with or without a cookie would be told is not 200, and never reaches the app.
    assert status("POST", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}) == 403
    assert status("GET", **{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"}) in (302, 403)


@pytest.mark.parametrize("command", [ON_PORT, ON_SOCKET], ids=["port", "socket"])
def test_websockets_need_the_sign_in_too(launch, command: list[str]) -> None:
    app = launch(command=command, unix_socket=command is ON_SOCKET)
    app.wait_until_ready()
    url = app.url.replace("http", "ws", 1) + "echo"

    async def talk(headers: dict[str, str]) -> str | bytes | None:
        connection = await websocket_connect(HTTPRequest(url, headers=headers))
        await connection.write_message("hello")
        return await connection.read_message()

    assert asyncio.run(talk({"Authorization": "token ada-token"})) == "echo hello"
    for headers in ({}, {"Authorization": "token eve-token"}, {"Authorization": "token wrong"}):
        with pytest.raises(HTTPClientError) as refused:
            asyncio.run(talk(headers))
        assert refused.value.code == 403
    with pytest.raises(HTTPClientError) as refused:
        asyncio.run(talk({"Authorization": "token ada-token", "Origin": "http://elsewhere.example"}))
    assert refused.value.code == 403


def test_absolute_urls_and_placeholders(launch) -> None:
    app = launch(
        command=[*ON_PORT, "base={base_url}", "note={kept}"], absolute_url=True, environment={"WHERE": "{base_url}"}
    )
    app.wait_until_ready()
    assert app.get("x").json()["path"] == f"{PREFIX}x"


def test_a_socket_is_reached_by_its_owner_alone(launch) -> None:
    app = launch(command=ON_SOCKET, unix_socket=True)
    app.wait_until_ready()
    assert app.get("x").json()["path"] == "/x"
    command = psutil.Process(app.process.pid).children()[0]
    path = Path(next(word for word in command.cmdline() if word.startswith("socket=")).removeprefix("socket="))
    assert path.parent.stat().st_mode & 0o777 == 0o700
    app.process.terminate()
    assert app.process.wait(30) == 143
    assert not path.parent.exists()


def test_ready_only_when_the_app_answers(launch, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    slow = f"import pathlib,time,runpy,sys\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(.05)\n"
    slow += f"sys.argv=sys.argv[1:]\nrunpy.run_path({SMALL_APP[1]!r}, run_name='__main__')"
    app = launch(command=[sys.executable, "-c", slow, SMALL_APP[1], "port={port}"])
    wait_for(lambda: psutil.Process(app.process.pid).children(), "the command was started")
    with pytest.raises(httpx.ConnectError):
        httpx.get(app.url)
    assert not (app.folder / "ready.json").exists()
    gate.touch()
    app.wait_until_ready()
    assert app.get().status_code == 200


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"command": [sys.executable, "-c", "import sys; sys.exit('no data folder')", "{port}"]}, "ended with code 1"),
        ({"command": [sys.executable, "-c", "import sys; sys.exit('no data folder')", "{port}"]}, "no data folder"),
        ({"command": ["/nowhere/app", "{port}"]}, "could not be started: /nowhere/app"),
        ({"command": ["sleep", "1000"], "port": 45679, "ready_timeout_s": 1}, "No answer on port 45679 within 1 s"),
        ({"command": [*ON_PORT, "address=0.0.0.0"]}, "listens on 0.0.0.0"),
        ({"command": ["x"]}, "say where {port} goes"),
        ({"command": ["x", "{unix_socket}"]}, "unix_socket: true"),
        ({"command": ON_PORT, "colour": "red"}, "colour"),
    ],
)
def test_a_failure_is_told_with_its_reason(launch, settings, words: str) -> None:
    app = launch(**settings)
    assert app.process.wait(60) == 1
    assert words in app.result["message"]
    assert words in app.log
    assert "Traceback" not in app.log
    assert not (app.folder / "ready.json").exists()


def test_a_taken_port_is_told(launch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        app = launch(command=["sleep", "1000"], port=taken.getsockname()[1])
        assert app.process.wait(60) == 1
        assert "is not free" in app.result["message"]


def test_without_a_hub_it_says_so(launch) -> None:
    app = launch(command=ON_PORT, environment={"JUPYTERHUB_OAUTH_ACCESS_SCOPES": ""})
    assert app.process.wait(60) == 1
    assert "JUPYTERHUB_OAUTH_ACCESS_SCOPES not set" in app.result["message"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_outlives_it(launch, number: signal.Signals) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()
    pids = app.get("pids").json()["pids"]
    app.process.send_signal(number)
    assert app.process.wait(30) == (143 if number == signal.SIGTERM else -9)
    watched = pids if number == signal.SIGTERM else pids[:1]  # what it started itself is the app's own to end
    try:
        wait_for(lambda: not any(psutil.pid_exists(pid) for pid in watched), "the app ended")
    finally:
        for pid in filter(psutil.pid_exists, pids):
            psutil.Process(pid).kill()


def test_a_later_end_is_told_too(launch) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()
    pids = app.get("pids").json()["pids"]
    psutil.Process(pids[0]).send_signal(signal.SIGSEGV)
    assert app.process.wait(30) == 1
    wait_for(lambda: not any(psutil.pid_exists(pid) for pid in pids), "what it had started ended too")
    assert "was ended by SIGSEGV" in app.result["message"]


def test_use_is_told_to_the_hub_and_polling_is_not_use(launch, hub: FakeHub) -> None:
    app = launch(command=ON_PORT)
    app.wait_until_ready()
    first = wait_for(lambda: hub.activity, "a first report")[0]
    assert first["path"] == "/hub/api/users/ada/activity"
    assert first["token"] == "ada-server-token"
    assert set(first["servers"]) == {"app"}
    quiet = wait_for(lambda: list(hub.activity), "reports")
    polls = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
    for _ in range(3):
        assert app.get("poll", headers=polls).status_code == 200
    # The next use proves that reports still go out; had the polls counted, one would lie between.
    assert app.get("save", method="POST", headers=polls).status_code == 200
    wait_for(lambda: len(hub.activity) > len(quiet), "a report of the use")
    assert len(hub.activity) == len(quiet) + 1
    assert hub.activity[-1]["last_activity"] > quiet[-1]["last_activity"]
