"""Hub, portal, culler and proxy as on a cluster, but as processes of this machine over a bed: `tenanthub <part>`.

They are told by environment and files alone, as docs/hub-on-a-cluster.md says. Two kinds that run the bed's own small
image come from a package of the test's own, as a site adds its kinds.
"""

from __future__ import annotations

import html
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx

from config.models import Site, Tenant
from hub.cluster.settings import HUB_SERVICES
from spawners.kinds.base import Kind, Options
from spawners.kube.plan import STATE, KubePlace, KubePlan, KubePort, Ready
from spawners.plan import LocalPlan
from spawners.workload import Workload
from tests.cluster.bed import images
from tests.embedded.harness import free_port

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PORT = 8888
PARTS = ("proxy", "hub", "portal", "culler")
NAVIGATE = {"sec-fetch-mode": "navigate", "sec-fetch-site": "none"}
_STOP_WITHIN_S = 20
_SCRIPTS = re.compile(r'data-csrf="([^"]*)"')
_TOKEN = re.compile(r'name="_csrf" value="([^"]*)"')


class _Tool(Kind):
    icon = "🔧"
    options = Options
    panels = ("log", "options")
    words: tuple[str, ...] = ("http", str(PORT))
    """What the bed's program is to do."""

    def local(self, *_: Any) -> LocalPlan:
        raise NotImplementedError

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        del workload, tenant, site
        argv = (images.TOOL_PROGRAM, *self.words)
        web = KubePort(name="web", port=80, target=PORT)
        if self.interactive:
            return KubePlan(mode="pod", image=place.image, argv=argv, home=STATE, grace_s=1)
        ready = Ready(http="/")
        return KubePlan(mode="keep", image=place.image, argv=argv, home=STATE, grace_s=1, ports=(web,), ready=ready)


class Desk(_Tool):
    """What a person opens."""

    name = "desk"
    title = "Desk"
    owners = frozenset({"person"})
    interactive = True


class Mute(Desk):
    """A desk that never answers: its launch goes on until somebody cancels it."""

    name = "mute"
    title = "Mute"
    words = ("sleep",)


class Watcher(_Tool):
    """What goes on unattended."""

    name = "watcher"
    title = "Watcher"
    owners = frozenset({"tenant"})


class Parts:
    """All four parts, over one world."""

    def __init__(self, world: Path, folder: Path, kubeconfig: Path) -> None:
        self.world, self.folder, self.kubeconfig = world, folder, kubeconfig
        self.state, self.secrets = folder / "state", folder / "secrets"
        self.ports = {name: _fresh(free_port) for name in ("public", "proxy_api", "hub", "portal")}
        self.url = f"http://127.0.0.1:{self.ports['public']}"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.more: dict[str, str] = {}
        """Variables besides, of what is started from now on."""
        self.passwords = {name: secrets.token_urlsafe(12) for name in ("ada", "bob", "eve")}
        self._write()

    def _write(self) -> None:
        for path in (self.state, self.secrets, self.folder / "kinds" / "tools-1.dist-info"):
            path.mkdir(mode=0o700, parents=True)
        keys = ("cookie-secret", "crypt-key", "portal-cookie-key")
        for name in ("proxy-token", *keys, *(f"{one}-token" for one in HUB_SERVICES)):
            self._private(self.secrets / name, secrets.token_hex(32) + "\n")
        accounts = "".join(f"{name} {password}\n" for name, password in self.passwords.items())
        self._private(self.folder / "accounts", accounts)
        info = self.folder / "kinds" / "tools-1.dist-info"
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tools\nVersion: 1\n")
        points = "".join(f"{one.name} = tests.cluster.hubparts:{one.__name__}\n" for one in (Desk, Mute, Watcher))
        (info / "entry_points.txt").write_text(f"[tenanthub.kinds]\n{points}")

    def _private(self, path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o600)

    @property
    def environ(self) -> dict[str, str]:
        """What all parts are told; each takes its own."""
        here = {name: f"127.0.0.1:{port}" for name, port in self.ports.items()}
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("TENANTHUB_", "JUPYTERHUB_"))}
        modules = os.environ.get("TENANTHUB_NODE_MODULES")
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join([str(self.folder / "kinds"), str(ROOT)]),
            "PYTHONUNBUFFERED": "1",
            "TENANTHUB_CONFIG": str(self.world),
            "TENANTHUB_STATE": str(self.state),
            "TENANTHUB_SECRETS": str(self.secrets),
            "TENANTHUB_ACCOUNTS": str(self.folder / "accounts"),
            "TENANTHUB_KUBECONFIG": str(self.kubeconfig),
            "TENANTHUB_PUBLIC_URL": f"{self.url}/",
            "TENANTHUB_HUB_CONNECT": f"http://{here['hub']}",
            "TENANTHUB_HUB_BIND": f"http://{here['hub']}",
            "TENANTHUB_PORTAL_URL": f"http://{here['portal']}",
            "TENANTHUB_PORTAL_BIND": here["portal"],
            "TENANTHUB_PROXY_BIND": here["public"],
            "TENANTHUB_PROXY_API": f"http://{here['proxy_api']}",
            "TENANTHUB_PROXY_API_BIND": here["proxy_api"],
            "TENANTHUB_CULL_EVERY_S": "5",
            **({"TENANTHUB_NODE_MODULES": modules} if modules else {}),
            **self.more,
        }

    def start(self, *names: str) -> None:
        """Start these, or all, and wait until they answer."""
        for name in names or PARTS:
            argv = [sys.executable, "-P", "-m", "hub.cli", name]
            with (self.folder / f"{name}.log").open("ab") as log:
                self.processes[name] = subprocess.Popen(argv, cwd=self.folder, env=self.environ, stdout=log, stderr=log)
        for name in names or PARTS:
            self.until(f"the {name} is ready", lambda one=name: self._ready(one))

    def mend(self) -> None:
        """Start again whatever is not there."""
        gone = [name for name in PARTS if name not in self.processes or self.processes[name].poll() is not None]
        if gone:
            self.start(*gone)

    def _ready(self, name: str) -> bool:
        assert self.processes[name].poll() is None, self.log(name)
        where = {
            "proxy": f"{self.url}/_chp_healthz",
            "hub": f"http://127.0.0.1:{self.ports['hub']}/hub/health",
            "portal": f"http://127.0.0.1:{self.ports['portal']}/services/portal/ready",
        }
        return name not in where or _answers(where[name])

    @contextmanager
    def configured(self, extra: str) -> Iterator[None]:
        """The hub with these lines of configuration of the site's own, started again for them and after them."""
        file = self.folder / "extra.py"
        file.write_text(extra)
        self.more["TENANTHUB_EXTRA_CONFIG"] = str(file)
        try:
            self.kill("hub")
            self.start("hub")
            yield
        finally:
            self.more.clear()
            if "hub" in self.processes:
                self.kill("hub")
            self.start("hub")

    @contextmanager
    def another_portal(self) -> Iterator[str]:
        """A second replica; its URL."""
        port = _fresh(free_port)
        env = {**self.environ, "TENANTHUB_PORTAL_BIND": f"127.0.0.1:{port}"}
        with (self.folder / "portal-2.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hub.cli", "portal"], env=env, stdout=log, stderr=log
            )
        try:
            url = f"http://127.0.0.1:{port}/services/portal/"
            self.until("the second portal is ready", lambda: _answers(f"{url}ready"))
            yield url
        finally:
            process.terminate()
            process.wait(_STOP_WITHIN_S)

    def kill(self, name: str) -> None:
        """SIGKILL."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGKILL)
        process.wait()

    def stop(self) -> None:
        """End all; SIGTERM must do."""
        for process in self.processes.values():
            process.terminate()
        late = []
        for name, process in self.processes.items():
            try:
                process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                late.append(name)
                process.kill()
                process.wait()
        self.processes.clear()
        assert not late, f"SIGTERM did not end {late}"

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text()[-5000:]

    def until(self, what: str, look: Callable[[], T | None], timeout_s: float = 240) -> T:
        """What *look* finds; with the logs when it does not."""
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            logs = "\n".join(f"-- {name}\n{self.log(name)}" for name in ("hub", "portal") if name in self.processes)
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s\n{logs}"
            time.sleep(0.1)
        return found

    @contextmanager
    def browser(self) -> Iterator[httpx.Client]:
        """Somebody who is not signed in yet."""
        with httpx.Client(
            base_url=self.url, headers=NAVIGATE, follow_redirects=True, trust_env=False, timeout=60
        ) as browser:
            yield browser

    def sign_in(self, browser: httpx.Client, name: str, password: str) -> httpx.Response:
        """What comes of it: the portal's home page, or the sign-in page again."""
        page = browser.get("/services/portal/")
        xsrf = next(cookie.value for cookie in browser.cookies.jar if cookie.name == "_xsrf")
        form = {"username": name, "password": password, "_xsrf": xsrf or ""}
        return browser.post(str(page.url), data=form, headers={"sec-fetch-site": "same-origin"})

    @contextmanager
    def person(self, name: str) -> Iterator[Person]:
        """Somebody signed in at the portal, as a browser is."""
        with self.browser() as browser:
            there = self.sign_in(browser, name, self.passwords[name])
            assert there.url.path == "/services/portal/", (there.url, there.text[:2000], self.log("hub"))
            yield Person(self, browser)


class Person:
    """Pages as somebody sees them, without a browser."""

    def __init__(self, parts: Parts, browser: httpx.Client) -> None:
        self.parts, self.browser = parts, browser

    def page(self, path: str = "", status: int = 200) -> str:
        """The words of a page of the portal."""
        answer = self.browser.get(f"/services/portal/{path}")
        assert answer.status_code == status, (answer.status_code, words(answer.text)[:600], self.parts.log("portal"))
        return words(answer.text)

    def any_page(self, path: str = "") -> str:
        """Its words, whatever the status."""
        return words(self.browser.get(f"/services/portal/{path}").text)

    def post(self, path: str, page: str = "", **fields: str) -> httpx.Response:
        """Send a form that stands on *page*."""
        source = self.browser.get(f"/services/portal/{page or path}").text
        token = _TOKEN.search(source)
        assert token, words(source)
        return self.browser.post(
            f"/services/portal/{path}",
            data={"_csrf": token[1], **fields},
            headers={"sec-fetch-site": "same-origin"},
        )

    def launch(self, tenant: str, profile: str, name: str, owner: str) -> str:
        """Start something by the form; its page's path below the portal."""
        form = f"new/{tenant}/{profile}"
        sent = {"_name": name, "_display_name": name.capitalize(), "_owner": owner, "size": "small"}
        answer = self.post(form, **sent)
        assert f"/w/{tenant}/{owner}/{name}" in str(answer.url), (answer.url, words(answer.text))
        return f"w/{tenant}/{owner}/{name}"

    def told(self, path: str, expected: str) -> list[str]:
        """What a page that is open tells while something starts there, up to *expected* or the end of the start."""
        token = _SCRIPTS.search(self.browser.get("/services/portal/").text)
        assert token
        headers = {"x-csrf-token": html.unescape(token[1]), "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"}
        found: list[str] = []
        with self.browser.stream("GET", f"/services/portal/{path}/progress", headers=headers, timeout=180) as events:
            for line in events.iter_lines():
                if line.startswith("data:"):
                    found.append(str(json.loads(line.removeprefix("data:")).get("message", "")))
                    if expected in found[-1]:
                        break
        return found

    def sees(self, path: str, *expected: str) -> str:
        """The page, once it has all these words. Right after a start it may not be there yet."""

        def look() -> str:
            text = self.any_page(path)
            return text if all(one in text for one in expected) else ""

        return self.parts.until(f"{path or 'home'} says {expected}", look)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def words(page: str) -> str:
    """What people read of a page."""
    body = re.sub(r"<(script|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def _fresh(make: Callable[[], int], seen: set[int] = set()) -> int:  # noqa: B006  one set for all: never twice the same
    while (port := make()) in seen:
        pass
    seen.add(port)
    return port
