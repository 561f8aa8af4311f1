"""A real embedded hub of a test's own: own state folder, own ports, own loopback addresses."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil
import yaml

from config.demo import write_demo

T = TypeVar("T")
TENANTHUB = Path(sys.executable).with_name("tenanthub")


def until(what: str, look: Callable[[], T | None], timeout_s: float = 60) -> T:
    """What *look* finds; asked again until it finds something. The time-out is a safety net, no expectation."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout_s:.0f} s")
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ended(process: psutil.Process) -> bool:
    """Also true of a zombie: where nobody reaps it, that is all that ever becomes of an orphan."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


class Hub:
    """`tenanthub run` as a process, and what people and scripts do with it."""

    def __init__(self, root: Path, environ: Mapping[str, str] | None = None) -> None:
        self.root = root
        self.state = root / "state"
        self.world = root / "world"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.output = root / "output.txt"
        self.process: subprocess.Popen[bytes] | None = None
        self.environ = {
            **os.environ,
            "TENANTHUB_STATE": str(self.state),
            "TENANTHUB_CONFIG": str(self.world),
            "TENANTHUB_PORT": str(self.port),
            "TENANTHUB_CULL_EVERY_S": "1",
            **(environ or {}),
        }
        self._tokens: dict[str, str] = {}

    def write_world(self) -> None:
        """The demo world, with loopback subnets that no other hub on this machine has."""
        write_demo(self.world)
        network = secrets.randbelow(200) + 30
        for index, tenant in enumerate(("physics", "history")):
            self.edit_tenant(tenant, lambda text, i=index: text.replace(f"127.{20 + i}.0.", f"127.{network}.{i}."))

    def edit_tenant(self, tenant: str, change: Callable[[str], str]) -> None:
        path = self.world / "tenants" / f"{tenant}.yaml"
        text = path.read_text()
        changed = change(text)
        assert changed != text, f"nothing to change in {path}"
        temporary = path.with_suffix(".new")
        temporary.write_text(changed)
        temporary.replace(path)

    def tenant(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = yaml.safe_load((self.world / "tenants" / f"{name}.yaml").read_text())
        return found

    # -- life ----------------------------------------------------------------------------------------------------

    def start(self) -> Hub:
        with self.output.open("ab") as output:
            self.process = subprocess.Popen([TENANTHUB, "run"], env=self.environ, stdout=output, stderr=output)
        began = self.output.read_text().count("is ready at")

        def ready() -> bool:
            assert self.process is not None
            text = self.output.read_text()
            assert self.process.poll() is None, f"the hub ended:\n{text}\n{self.logs()}"
            return text.count("is ready at") > began

        until("the hub is ready", ready, 120)
        return self

    def logs(self) -> str:
        texts = [f"== {path.name}\n{path.read_text()[-6000:]}" for path in sorted(self.state.glob("logs/*.log"))]
        return "\n".join(texts)

    def cli(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TENANTHUB, *words], env=self.environ, capture_output=True, text=True, timeout=120, check=False
        )

    def interrupt(self) -> None:
        """Ctrl-C."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        self.process.wait(60)

    def kill(self) -> None:
        """kill -9 of the launcher; its parts end with it, workloads do not."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children()
        # The object store's keeper may be its child as well; it is meant to go on.
        parts = [child for child in children if "spawners.local.keeper" not in child.cmdline()]
        self.process.kill()
        self.process.wait(30)
        until("the hub's parts have ended", lambda: all(_ended(part) for part in parts), 30)

    def part(self, module: str) -> psutil.Process:
        """The process of one of the hub's own parts."""
        assert self.process is not None
        for child in psutil.Process(self.process.pid).children():
            with contextlib.suppress(psutil.Error):  # one that was just killed is still there as a zombie
                if module in " ".join(child.cmdline()):
                    return child
        raise StopIteration(module)

    def stop(self) -> None:
        self.cli("stop")
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(30)

    def leftovers(self) -> list[str]:
        """Processes that still belong to this hub's state folder."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            words = " ".join(process.info["cmdline"] or [])
            if str(self.state) in words and process.pid != os.getpid():
                found.append(words)
        return found

    # -- use -----------------------------------------------------------------------------------------------------

    def token(self, user: str) -> str:
        if user not in self._tokens:
            done = self.cli("token", user)
            assert done.returncode == 0, done.stderr
            self._tokens[user] = done.stdout.strip()
        return self._tokens[user]

    def api(self, user: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """JupyterHub's own REST API as *user*."""
        return self._ask(user, method, f"/hub/api{path}", body)

    def portal(self, user: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """The portal's JSON API as *user*."""
        return self._ask(user, method, f"/services/portal/api/v1{path}", body)

    def _ask(self, user: str, method: str, path: str, body: Any) -> httpx.Response:
        headers = {"Authorization": f"token {self.token(user)}"}
        return httpx.request(method, self.url + path, headers=headers, json=body, timeout=90, trust_env=False)

    def launch(
        self, user: str, owner: str, name: str, profile: str, options: dict[str, Any], tenant: str = "physics"
    ) -> httpx.Response:
        """Start a named server by JupyterHub's REST API."""
        body = {"display_name": name, "user_options": {"tenant": tenant, "profile": profile, "options": options}}
        return self.api(user, "POST", f"/users/{owner}/servers/{name}", body)

    def server(self, user: str, owner: str, name: str) -> dict[str, Any] | None:
        """The hub's model of a server while it is active, or None."""
        found = self.api(user, "GET", f"/users/{owner}").json()["servers"].get(name)
        return found if found and not found["stopped"] else None

    def folder(self, owner: str, name: str, tenant: str = "physics") -> Path:
        return self.state / "workloads" / tenant / owner / name

    def record(self, owner: str, name: str, tenant: str = "physics") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder(owner, name, tenant) / "record.json").read_text())
        return found

    def keeper(self, owner: str, name: str, tenant: str = "physics") -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder(owner, name, tenant) / "keeper.json").read_text())
        return found

    def password(self, owner: str, name: str, tenant: str = "physics") -> str:
        return (self.folder(owner, name, tenant) / "secrets" / "password").read_text().strip()

    def account_password(self, user: str) -> str:
        lines = (self.state / "passwords.txt").read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"{user} "))

    def objects(self, tenant: str = "physics") -> Path:
        """The bucket of a tenant's remote, as the object store keeps it."""
        return self.state / "objectstore" / tenant / f"{tenant}-data"
