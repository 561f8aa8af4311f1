"""A stand-in for the hub's API, and the environment that a spawner gives: for programs that a hub starts."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

DEADLINE_S = 60
SCOPE = "access:servers!server=ada/app"
PREFIX = "/user/ada/app/"


def wait_for(condition: Callable[[], Any], what: str, seconds: float = DEADLINE_S) -> Any:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail(f"not within {seconds} s: {what}")


@dataclass
class FakeHub:
    """As much of JupyterHub's REST API as its servers call: the version, whose token it is, and activity."""

    users: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {
            "ada-token": {"name": "ada", "kind": "user", "groups": [], "scopes": [SCOPE]},
            "eve-token": {"name": "eve", "kind": "user", "groups": [], "scopes": ["access:servers!server=eve/app"]},
        }
    )
    activity: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""

    def start(self) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self, status: int, body: Any) -> None:
                raw = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("X-JupyterHub-Version", "6.1.1")
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

            def do_GET(self) -> None:
                token = self.headers.get("Authorization", "").rpartition(" ")[2]
                if self.path.startswith("/hub/api/user"):
                    user = hub.users.get(token)
                    self._answer(200 if user else 403, user or {"message": "no"})
                else:
                    self._answer(200, {"version": "6.1.1"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                token = self.headers.get("Authorization", "").rpartition(" ")[2]
                hub.activity.append({"path": self.path, "token": token, **body})
                self._answer(200, {})

            def log_message(self, *args: Any) -> None: ...

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def spawner_environment(hub: FakeHub, port: int, prefix: str = PREFIX) -> dict[str, str]:
    """What JupyterHub's Spawner.get_env gives for the server "app" of ada."""
    return {
        "PATH": os.environ["PATH"],
        "JUPYTERHUB_API_TOKEN": "ada-server-token",
        "JUPYTERHUB_CLIENT_ID": "jupyterhub-user-ada-app",
        "JUPYTERHUB_HOST": "",
        "JUPYTERHUB_OAUTH_CALLBACK_URL": f"{prefix}oauth_callback",
        "JUPYTERHUB_OAUTH_ACCESS_SCOPES": json.dumps([SCOPE]),
        "JUPYTERHUB_USER": "ada",
        "JUPYTERHUB_SERVER_NAME": "app",
        "JUPYTERHUB_API_URL": f"{hub.url}/hub/api",
        "JUPYTERHUB_ACTIVITY_URL": f"{hub.url}/hub/api/users/ada/activity",
        "JUPYTERHUB_ACTIVITY_INTERVAL": "1",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_SERVICE_PREFIX": prefix,
        "JUPYTERHUB_SERVICE_URL": f"http://127.0.0.1:{port}{prefix}",
    }


@dataclass
class App:
    """A launcher at work."""

    folder: Path
    url: str
    process: subprocess.Popen[bytes]

    def get(self, path: str = "", **kwargs: Any) -> httpx.Response:
        headers = {"Authorization": "token ada-token", **kwargs.pop("headers", {})}
        return httpx.request(kwargs.pop("method", "GET"), self.url + path, headers=headers, timeout=30, **kwargs)

    def wait_until_ready(self) -> None:
        wait_for(lambda: (self.folder / "ready.json").exists() or self.process.poll() is not None, "ready or ended")
        assert self.process.poll() is None, self.log

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    @property
    def log(self) -> str:
        return (self.folder / "launcher.log").read_text()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(DEADLINE_S)


def start_launcher(
    module: str, hub: FakeHub, folder: Path, settings: dict[str, Any], environment: dict[str, str] | None = None
) -> App:
    """Start `python -m MODULE settings.json` as the hub's spawner would; its run folder is FOLDER/run."""
    run_dir = folder / "run"
    run_dir.mkdir(exist_ok=True)
    path = folder / "settings.json"
    path.write_text(json.dumps({"run_dir": str(run_dir), **settings}, default=str))
    port = free_port()
    env = {**spawner_environment(hub, port), "HOME": str(folder), **(environment or {})}
    with (run_dir / "launcher.log").open("wb") as log:
        process = subprocess.Popen([sys.executable, "-P", "-m", module, str(path)], env=env, stderr=log)
    return App(run_dir, f"http://127.0.0.1:{port}{PREFIX}", process)
