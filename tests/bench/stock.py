"""The peer: JupyterHub as it comes, of the same version, with its own proxy, spawner and defaults."""

from __future__ import annotations

import getpass
import os
import secrets
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from spawners.local.tools import find_tools
from tests.bench.contest import CannotRun
from tests.embedded.harness import free_port, until

_BIN = Path(sys.executable).parent
_MODULES = Path(os.environ.get("TENANTHUB_NODE_MODULES") or Path(__file__).parents[2] / "node_modules")
_READY = "JupyterHub is now running at"

# Nothing here makes it slower or quicker: ports, paths, who may sign in, and the folders that keep a server of the
# person who runs the benchmark out of that person's own Jupyter configuration.
_CONFIG = """
import os
c = get_config()
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_port = {hub_port}
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
c.JupyterHub.allow_named_servers = True
c.ConfigurableHTTPProxy.command = {proxy!r}
c.ConfigurableHTTPProxy.api_url = {proxy_api!r}
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "localprocess"
c.Spawner.notebook_dir = {home!r}
c.Spawner.args = {arguments!r}
c.Spawner.environment = {environment!r}
c.JupyterHub.services = [{{"name": "bench", "api_token": os.environ["BENCH_TOKEN"]}}]
c.JupyterHub.load_roles = [{{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "tokens"]}}]
"""


def proxy_command() -> list[str]:
    """Node and the proxy's script. CannotRun where one is missing."""
    node, script = find_tools().node, _MODULES / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    if node is None or not script.exists():
        raise CannotRun("Node or configurable-http-proxy is not installed (make setup)")
    return [str(node), str(script)]


class StockHub:
    """`jupyterhub` on a folder of its own. Its one account is the system account that runs the benchmark.

    LocalProcessSpawner starts servers as the system account of the same name; any but one's own would need root.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.user = getpass.getuser()
        self.output = root / "output.txt"
        self._process: subprocess.Popen[bytes] | None = None
        self._service_token = secrets.token_hex(32)
        self._token = ""
        self._write_config()

    def start(self) -> StockHub:
        """Start it; returns when it says that it runs. AssertionError with its last lines where it ends instead."""
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                [_BIN / "jupyterhub", "--config", str(self.root / "jupyterhub_config.py")],
                cwd=self.root,
                env={
                    **os.environ,
                    "PATH": os.pathsep.join([str(_BIN), os.environ.get("PATH", os.defpath)]),
                    "BENCH_TOKEN": self._service_token,
                },
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        process, before = self._process, self.output.read_text().count(_READY)

        def ready() -> bool:
            text = self.output.read_text()
            assert process.poll() is None, f"jupyterhub ended: {text[-1000:]}"
            return text.count(_READY) > before

        until("stock JupyterHub is ready", ready, 120)
        return self

    def stop(self) -> None:
        """Ctrl-C: it ends its servers and its proxy, then itself."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def token(self) -> str:
        """An API token of the account, which is made with it."""
        if not self._token:
            self._ask(f"/users/{self.user}", known={201, 409})
            answer = self._ask(f"/users/{self.user}/tokens", known={200, 201})
            self._token = str(answer.json()["token"])
        return self._token

    def _ask(self, path: str, known: set[int]) -> httpx.Response:
        headers = {"Authorization": f"token {self._service_token}"}
        answer = httpx.post(f"{self.url}/hub/api{path}", headers=headers, json={}, timeout=30, trust_env=False)
        assert answer.status_code in known, f"POST {path}: {answer.status_code} {answer.text}"
        return answer

    def _write_config(self) -> None:
        home = self.root / "home"
        home.mkdir(parents=True)
        kept = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR")
        lab = ("JUPYTERLAB_SETTINGS_DIR", "JUPYTERLAB_WORKSPACES_DIR")
        (self.root / "jupyterhub_config.py").write_text(
            _CONFIG.format(
                url=self.url,
                hub_port=free_port(),
                proxy=proxy_command(),
                proxy_api=f"http://127.0.0.1:{free_port()}",
                home=str(home),
                arguments=["--allow-root"] if os.geteuid() == 0 else [],
                environment={name: str(home / f".{name.lower()}") for name in (*kept, *lab)},
            )
        )
