"""A real JupyterHub with TenantKubeSpawner on a bed, as a process, and a kind that runs the bed's own small image.

`python -m tests.cluster.kubehub --config …` is that process: JupyterHub with what belongs beside it (run_beside).
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
from jupyterhub.app import JupyterHub

from config.models import Site, Tenant
from config.names import Keys
from spawners.kinds.base import Kind, Options
from spawners.kube.beside import run_beside
from spawners.kube.plan import STATE, KubePlace, KubePlan, KubePort, Ready, password
from spawners.kube.site import KubeSite, site_of
from spawners.plan import LocalPlan, Schedule
from spawners.workload import Workload
from tests.cluster.bed import Bed, images

T = TypeVar("T")
ROOT = Path(__file__).parents[2]
PORT = 8888
_STOP_WITHIN_S = 20


class ToolOptions(Options):
    words: tuple[str, ...] = ("http", str(PORT))
    """What to run."""
    mode: Literal["pod", "keep", "once", "schedule"] = "pod"


class ToolKind(Kind):
    """In the place of a kind of ours: the bed's image knows neither Python nor a hub."""

    title = "Tool"
    icon = "🔧"
    options = ToolOptions
    owners = frozenset({"person", "tenant"})
    panels = ("uploads", "runs", "progress", "log", "options")

    def __init__(self, name: str) -> None:
        self.name = name  # type: ignore[misc]  # a class variable elsewhere: here one class stands for two kinds

    def local(self, *_: Any) -> LocalPlan:
        raise NotImplementedError

    def at_address(self, workload: Workload) -> bool:
        return bool(workload.options["mode"] == "keep")

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        del tenant, site
        words, mode = tuple(workload.options["words"]), workload.options["mode"]
        web = KubePort(name="web", port=80, target=PORT)
        keep = {"ports": (web,), "addresses": place.addresses, "ready": Ready(http="/"), "secrets": (password(),)}
        yearly = Schedule(cron="0 0 1 1 *", timezone="UTC")
        return KubePlan(
            mode=mode,
            image=place.image,
            argv=words if words[0] == "python" or words[0].startswith("/") else (images.TOOL_PROGRAM, *words),
            home=STATE,
            grace_s=1,
            **(keep if mode == "keep" else {}),
            **({"schedule": yearly} if mode == "schedule" else {}),
        )


CONFIG = """
import sys
from pathlib import Path
sys.path.insert(0, {root!r})
from spawners.kube.spawner import TenantKubeSpawner
from tests.cluster.kubehub import site_with_tools

site_with_tools(Path({world!r}), Path({kubeconfig!r}))
c = get_config()
c.JupyterHub.bind_url = "http://127.0.0.1:{port}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub_port}"
c.JupyterHub.db_url = "sqlite:///{state}/hub.sqlite"
c.JupyterHub.cookie_secret_file = "{state}/cookie"
c.JupyterHub.pid_file = "{state}/hub.pid"
c.JupyterHub.cleanup_servers = False
c.JupyterHub.allow_named_servers = True
c.JupyterHub.init_spawners_timeout = 10
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.Authenticator.allowed_users = {{"ada", "tenant-{tenant}"}}
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{proxy_port}"
c.ConfigurableHTTPProxy.pid_file = "{state}/proxy.pid"
c.JupyterHub.services = [{{"name": name, "api_token": name + {token!r}}} for name in ("test", "reviver")]
c.JupyterHub.load_roles = [
    {{"name": "test", "services": ["test", "reviver"], "scopes": ["admin:users", "admin:servers", "access:servers"]}}
]
c.JupyterHub.spawner_class = TenantKubeSpawner
c.TenantKubeSpawner.config_folder = {world!r}
c.TenantKubeSpawner.kubeconfig = {kubeconfig!r}
c.TenantKubeSpawner.portal_url = "http://127.0.0.1:{nobody}"
c.TenantKubeSpawner.kind_images = {images!r}
c.JupyterHub.concurrent_spawn_limit = 0
c.TenantKubeSpawner.launches_at_once = {at_once}
c.TenantKubeSpawner.unschedulable_s = 3
c.TenantKubeSpawner.start_timeout = {start_timeout}
c.TenantKubeSpawner.poll_interval = 1
c.TenantKubeSpawner.port = {pod_port}
c.Spawner.consecutive_failure_limit = 0
"""


def site_with_tools(world: Path, kubeconfig: Path) -> KubeSite:
    """The site of this process, where two kinds are ToolKind."""
    site = site_of(world, kubeconfig)
    site.kinds = {**site.kinds, "app": ToolKind("app"), "collector": ToolKind("collector")}
    return site


class BesideHub(JupyterHub):  # type: ignore[misc]  # jupyterhub has no types
    """As hub.app does it: what belongs beside the hub runs for as long as it does."""

    async def start(self) -> None:
        await super().start()
        spawner = self.config.TenantKubeSpawner
        site = site_of(Path(spawner.config_folder), Path(spawner.kubeconfig))
        self._beside = asyncio.create_task(run_beside(site, self.log))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class KubeHub:
    """The hub of one test."""

    def __init__(self, bed: Bed, world: Path, state: Path, tenant: str, domain: str, **settings: int) -> None:
        """*tenant*: the one that its methods launch in. *settings*: at_once (launches that do not wait in line),
        start_timeout, port (of programs in Pods)."""
        self.bed, self.world, self.state, self.tenant = bed, world, state, tenant
        self.keys = Keys(domain)
        self.token = secrets.token_hex(16)
        self.port, self.hub_port, proxy_port = _free_port(), _free_port(), _free_port()
        modules = Path(os.environ.get("TENANTHUB_NODE_MODULES") or ROOT / "node_modules")
        proxy = modules / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
        self.config = state / "jupyterhub_config.py"
        text = CONFIG.format(
            root=str(ROOT),
            world=str(world),
            kubeconfig=str(bed.kubeconfig),
            port=self.port,
            hub_port=self.hub_port,
            nobody=_free_port(),  # there is no portal: unattended work does not wait for one
            proxy_port=proxy_port,
            state=state,
            tenant=tenant,
            token=self.token,
            proxy=[str(Path(sys.executable).with_name("node")), str(proxy)],
            at_once=settings.get("at_once", 64),
            start_timeout=settings.get("start_timeout", 60),
            pod_port=settings.get("port", PORT),
            images={"app": images.TOOL, "collector": images.TOOL, "transfer": images.TOOL},
        )
        self.config.write_text(text)
        self.config.chmod(0o600)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers."""
        env = {**os.environ, "KUBECONFIG": str(self.bed.kubeconfig), "JUPYTERHUB_CRYPT_KEY": ""}
        env["PYTHONPATH"] = str(ROOT)
        argv = [sys.executable, "-m", "tests.cluster.kubehub", "--config", str(self.config)]
        with (self.state / "hub.log").open("ab") as log:
            self.process = subprocess.Popen(argv, cwd=self.state, env=env, stdout=log, stderr=log)
        self.until("the hub answers", lambda: self._answers())

    def stop(self) -> None:
        """End it; workloads go on."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(_STOP_WITHIN_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def kill(self) -> None:
        """As a machine that loses power."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        self.process = None

    def _answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log()
        try:
            return self.api("GET", "/").status_code == 200
        except httpx.HTTPError:
            return False

    def log(self) -> str:
        return (self.state / "hub.log").read_text()[-6000:]

    def until(self, what: str, look: Callable[[], T | None], timeout_s: float = 180) -> T:
        """What *look* finds; with the hub's log when it does not."""
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            assert time.monotonic() < deadline, f"{what}: not within {timeout_s:.0f} s\n{self.log()}"
            time.sleep(0.05)
        return found

    def api(self, method: str, path: str, body: Any = None, service: str = "test") -> httpx.Response:
        headers = {"Authorization": f"token {service}{self.token}"}
        url = f"http://127.0.0.1:{self.port}/hub/api{path}"
        return httpx.request(method, url, json=body, headers=headers, timeout=90, trust_env=False)

    def launch(self, owner: str, name: str, profile: str, service: str = "test", **options: Any) -> httpx.Response:
        self.api("POST", f"/users/{owner}")
        body = {"user_options": {"tenant": self.tenant, "profile": profile, "options": options}}
        return self.api("POST", f"/users/{owner}/servers/{name}", body, service)

    def server(self, owner: str, name: str) -> dict[str, Any] | None:
        found = self.api("GET", f"/users/{owner}").json().get("servers", {}).get(name)
        return found if isinstance(found, dict) else None

    def ready(self, owner: str, name: str) -> dict[str, Any]:
        """The server, once it is ready."""

        def look() -> dict[str, Any] | None:
            found = self.server(owner, name)
            return found if found and found["ready"] else None

        return self.until(f"{name} is ready", look)

    def hears(self, owner: str, name: str, words: str) -> bool:
        """Whether somebody who follows its launch is told *words*; returns as soon as that is so."""
        headers = {"Authorization": f"token test{self.token}"}
        url = f"http://127.0.0.1:{self.port}/hub/api/users/{owner}/servers/{name}/progress"
        with httpx.stream("GET", url, headers=headers, timeout=90, trust_env=False) as answer:
            return any(words in line for line in answer.iter_lines())

    def why(self, owner: str, name: str) -> str:
        """What the hub tells of a launch that failed."""
        answer = self.api("GET", f"/users/{owner}/servers/{name}/progress")
        return answer.text


if __name__ == "__main__":
    BesideHub.launch_instance()
