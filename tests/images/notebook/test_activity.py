"""A real single-user server with kernels and terminals: what keeps it, and what does not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from images.lib.foreground import is_waiting_shell, jobs_below, jobs_on_terminals
from images.notebook.__main__ import arguments
from tests.images.spawned import PREFIX, FakeHub, free_port, spawner_environment, wait_for


@dataclass
class Server:
    url: str
    process: subprocess.Popen[bytes]
    hub: FakeHub
    home: Path

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        headers = {"Authorization": "token ada-token"}
        answer = httpx.request(method, self.url + path, headers=headers, timeout=30, **kwargs)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def last_activity(self) -> datetime:
        return datetime.fromisoformat(self.request("GET", "api/status")["last_activity"])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    hub = FakeHub()
    api = hub.start()
    port = free_port()
    home = tmp_path / "home"
    home.mkdir()
    (home / "queue.py").write_text("raise SystemExit('a file in the home folder was imported')")
    environment = {
        **spawner_environment(hub, port),
        "HOME": str(home),
        "SHELL": "/bin/bash",
        "TENANTHUB_ACTIVITY_POLL_S": "0.2",
    }
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "images.notebook"], env=environment, cwd=home, stderr=stream, stdout=stream
        )
    url = f"http://127.0.0.1:{port}{PREFIX}"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return httpx.get(url + "api").status_code == 200
        except httpx.HTTPError:
            return False

    try:
        wait_for(answers, "the server answers")
        yield Server(url, process, hub, home)
    finally:
        for child in psutil.Process(process.pid).children(recursive=True):
            child.kill()
        process.terminate()
        process.wait(60)
        api.shutdown()
        api.server_close()


def moves(server: Server) -> bool:
    """Whether the server's last activity goes on by itself: read, wait for two looks at the work, read again."""
    before = server.last_activity()
    end = time.monotonic() + 20
    while time.monotonic() < end:
        time.sleep(0.1)
        if server.last_activity() > before:
            return True
    return False


def rests(server: Server) -> None:
    """Fail unless the last activity comes to a stand while the page's own questions are asked again and again."""

    def stands() -> bool:
        before = server.last_activity()
        for _ in range(20):  # two seconds: ten looks at the work
            for path in ("api/contents", "api/kernels", "api/sessions", "api/terminals"):
                server.request("GET", path)
            time.sleep(0.1)
        return server.last_activity() == before

    wait_for(stands, "no activity while a tab only asks")


def test_a_tab_that_only_asks_is_no_activity_and_a_change_is(server: Server) -> None:
    rests(server)
    before = server.last_activity()
    server.request("PUT", "api/contents/note.txt", json={"type": "file", "format": "text", "content": "x"})
    assert server.last_activity() > before


async def execute(url: str, code: str) -> None:
    """Ask a kernel to run *code*; return when it says that it is busy with it. Then leave, as a closed tab does."""
    connection = await websocket_connect(
        HTTPRequest(url.replace("http", "ws", 1), headers={"Authorization": "token ada-token"})
    )
    header = {"msg_id": "m1", "session": "s", "username": "ada", "msg_type": "execute_request", "version": "5.3"}
    content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}, "allow_stdin": False}
    message = {"header": header, "parent_header": {}, "metadata": {}, "content": content, "channel": "shell"}
    await connection.write_message(json.dumps(message))
    while True:
        raw = await connection.read_message()
        assert isinstance(raw, str), "the kernel's connection was closed"
        answer = json.loads(raw)
        if answer["parent_header"].get("msg_id") == "m1" and answer["content"].get("execution_state") == "busy":
            connection.close()
            return


def test_a_silent_busy_kernel_is_activity_and_an_idle_one_is_not(server: Server) -> None:
    import asyncio

    kernel = server.request("POST", "api/kernels", json={"name": "python3"})["id"]
    gate = server.home / "gate"
    code = f"import pathlib, time\nwhile not pathlib.Path({str(gate)!r}).exists(): time.sleep(0.05)"
    asyncio.run(execute(f"{server.url}api/kernels/{kernel}/channels", code))
    assert moves(server)
    reports = len(server.hub.activity)
    wait_for(lambda: len(server.hub.activity) > reports + 1, "the hub is told again and again")
    gate.touch()
    rests(server)


def test_a_program_in_a_terminal_is_activity_and_a_waiting_shell_is_not(server: Server) -> None:
    import asyncio

    name = server.request("POST", "api/terminals")["name"]

    async def type_in(text: str) -> None:
        url = f"{server.url}terminals/websocket/{name}".replace("http", "ws", 1)
        connection = await websocket_connect(HTTPRequest(url, headers={"Authorization": "token ada-token"}))
        await connection.write_message(json.dumps(["stdin", text]))
        while True:  # the echo: the shell has read it
            raw = await connection.read_message()
            assert isinstance(raw, str), "the terminal was closed"
            if text.strip() in raw:
                break
        connection.close()

    asyncio.run(type_in("true\n"))
    rests(server)
    asyncio.run(type_in("sleep 1000\n"))
    sleeper = wait_for(
        lambda: [p for p in psutil.Process(server.process.pid).children(recursive=True) if p.name() == "sleep"], "sleep"
    )
    assert moves(server)
    sleeper[0].kill()
    rests(server)


def test_the_page_and_its_parts_are_all_there(server: Server) -> None:
    def status(path: str) -> int:
        return httpx.get(server.url + path, headers={"Authorization": "token ada-token"}).status_code

    for path in ("lab", "api/contents", "api/kernelspecs", "api/terminals", "lab/api/settings", "lsp/status"):
        assert status(path) == 200, path
    assert httpx.get(server.url + "api/contents", headers={"Authorization": "token eve-token"}).status_code == 403


def test_arguments_of_the_spawner_come_last() -> None:
    words = arguments(["--ServerApp.port=1"], is_root=True)
    assert words[-1] == "--ServerApp.port=1"
    assert "--allow-root" in words
    assert "--allow-root" not in arguments([], is_root=False)


@pytest.mark.parametrize(
    ("argv", "waiting"),
    [
        (["bash"], True),
        (["-bash"], True),
        (["/bin/bash", "--init-file", "/x/shellIntegration-bash.sh"], True),
        (["zsh", "-il"], True),
        (["bash", "script.sh"], False),
        (["bash", "-c", "sleep 9"], False),
        (["sh", "-lc", "make"], False),
        (["python3"], False),
        ([], False),
    ],
)
def test_waiting_shells(argv: list[str], waiting: bool) -> None:
    assert is_waiting_shell(argv) is waiting


def test_jobs_of_a_shell() -> None:
    with subprocess.Popen(["bash", "-c", "sleep 1000 & wait"], start_new_session=True) as shell:
        wait_for(lambda: jobs_below(shell.pid) == ["sleep"], "its job is seen")
        assert jobs_on_terminals(shell.pid) == []
        sleeper = psutil.Process(shell.pid).children()[0]
        sleeper.suspend()
        wait_for(lambda: jobs_below(shell.pid) == [], "a stopped job is none")
        os.killpg(shell.pid, 9)
    assert jobs_below(shell.pid) == []
