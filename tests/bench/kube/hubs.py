"""Real JupyterHubs on one cluster, as processes outside of it, and their proxies. Which ones: setups.py.

The proxy is a process of its own, as on a cluster: it goes on when its hub is restarted. Each hub has an account of its
own at the API server, so that the audit log tells whose a request was.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import psutil

from tests.bench.contest import CannotRun
from tests.bench.stock import proxy_command
from tests.bench.table import one_line
from tests.cluster.bed import Bed, certs, control
from tests.embedded.harness import free_port

T = TypeVar("T")
ROOT = Path(__file__).parents[3]
ACCOUNTS = "bench"
"""Namespace of the hubs' accounts."""
_STOP_WITHIN_S = 60
_ASK_EVERY_S = 0.02


@dataclass(frozen=True)
class Place:
    """Where one hub is to run: URLs without a slash at their end, secrets of this run."""

    folder: Path
    url: str
    """The proxy's: what people open."""
    hub_url: str
    """Where the hub listens."""
    proxy_api: str
    proxy_token: str
    token: str
    """Of the service `bench`, by which the benchmark asks for launches."""
    kubeconfig: Path


@dataclass(frozen=True)
class Command:
    """How the hub is started; *environment* comes on top of ours."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class Setup:
    """One sort of hub: *name* for its account, *prepare* writes its files."""

    name: str
    prepare: Callable[[Place], Command]


def account(bed: Bed, name: str) -> str:
    """Make the account *name*, which may do everything, and give back a token for it."""
    make(bed, "/api/v1/namespaces", {"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": ACCOUNTS}})
    accounts = f"/api/v1/namespaces/{ACCOUNTS}/serviceaccounts"
    make(bed, accounts, {"kind": "ServiceAccount", "apiVersion": "v1", "metadata": {"name": name}})
    group = "rbac.authorization.k8s.io"
    binding = {
        "kind": "ClusterRoleBinding",
        "apiVersion": f"{group}/v1",
        "metadata": {"name": f"{ACCOUNTS}-{name}"},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "namespace": ACCOUNTS, "name": name}],
    }
    make(bed, f"/apis/{group}/v1/clusterrolebindings", binding)
    asked = {"kind": "TokenRequest", "apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": 36000}}
    return str(control.call(bed, "POST", f"{accounts}/{name}/token", asked)["status"]["token"])


def make(bed: Bed, path: str, body: Mapping[str, Any]) -> None:
    """Create it; one that is there is left alone."""
    try:
        control.call(bed, "POST", path, body)
    except OSError as error:
        if getattr(error, "code", 0) != 409:
            raise


class Proxy:
    """configurable-http-proxy, and the secret that its hub writes routes with."""

    def __init__(self, folder: Path) -> None:
        self.port, self.api_port = free_port(), free_port()
        self.token = secrets.token_hex(32)
        argv = [*proxy_command(), "--ip=127.0.0.1", f"--port={self.port}", "--api-ip=127.0.0.1"]
        argv += [f"--api-port={self.api_port}", "--error-target=http://127.0.0.1:9"]
        with (folder / "proxy.log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, env={**os.environ, "CONFIGPROXY_AUTH_TOKEN": self.token}, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class BenchHub:
    """One hub with its proxy and its database, in *folder*."""

    def __init__(self, bed: Bed, folder: Path, setup: Setup) -> None:
        self.bed, self.folder, self.setup = bed, folder, setup
        self.user = f"system:serviceaccount:{ACCOUNTS}:{setup.name}"
        """Its account, as the audit log has it."""
        self.kubeconfig = folder / "kubeconfig"
        ca = (bed.state / "pki" / "ca.crt").read_bytes()
        certs.private_file(self.kubeconfig, certs.kubeconfig(bed.api, ca, token=account(bed, setup.name)))
        self.proxy = Proxy(folder)
        self.url = f"http://127.0.0.1:{self.proxy.port}"
        self.token = secrets.token_hex(32)
        self.log = folder / "hub.log"
        self._process: psutil.Popen | None = None
        self._command = setup.prepare(
            Place(
                folder=folder,
                url=self.url,
                hub_url=f"http://127.0.0.1:{free_port()}",
                proxy_api=f"http://127.0.0.1:{self.proxy.api_port}",
                proxy_token=self.proxy.token,
                token=self.token,
                kubeconfig=self.kubeconfig,
            )
        )

    @property
    def process(self) -> psutil.Popen:
        """The running hub. CannotRun where it has ended, with what it said last."""
        if self._process is None or self._process.poll() is not None:
            raise CannotRun(f"the hub has ended: {one_line(self.said()[-300:])}")
        return self._process

    def said(self) -> str:
        """The hub's log since it was started first."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def start(self) -> float:
        """Start it; seconds until its API answers through the proxy."""
        with self.log.open("ab") as log:
            began = time.perf_counter()
            self._process = psutil.Popen(
                list(self._command.argv),
                cwd=self.folder,
                env={**os.environ, "PYTHONPATH": str(ROOT), **self._command.environment},
                stdout=log,
                stderr=log,
            )
        self.until("the hub answers", self._answers, 300)
        return time.perf_counter() - began

    def stop(self) -> None:
        """End the hub; its proxy and what it has launched go on."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_WITHIN_S)
        except psutil.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def close(self) -> None:
        """End all of it."""
        self.stop()
        self.proxy.stop()

    def until(self, what: str, look: Callable[[], T | None], timeout_s: float) -> T:
        """What *look* finds. CannotRun when the hub ends meanwhile, or it takes too long."""
        deadline = time.monotonic() + timeout_s
        while not (found := look()):
            self.process  # noqa: B018  (raises where it has ended)
            if time.monotonic() > deadline:
                raise CannotRun(f"{what}: not within {timeout_s:.0f} s: {one_line(self.said()[-300:])}")
            time.sleep(_ASK_EVERY_S)
        return found

    def api(self, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request to the hub's REST API."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(
            method, f"{self.url}/hub/api{path}", json=body, headers=headers, timeout=120, trust_env=False
        )

    def active_servers(self) -> int:
        """How many people have a server: one that was found to have ended is none any more."""
        headers = {"Authorization": f"token {self.token}", "Accept": "application/jupyterhub-pagination+json"}
        answer = httpx.get(
            f"{self.url}/hub/api/users?state=active&limit=1", headers=headers, timeout=120, trust_env=False
        )
        return int(answer.raise_for_status().json()["_pagination"]["total"])

    def _answers(self) -> bool:
        try:
            return self.api("GET", "/").status_code == 200
        except httpx.HTTPError:
            return False

    def add_users(self, names: list[str]) -> None:
        """Accounts, before anything is measured."""
        for start in range(0, len(names), 500):
            answer = self.api("POST", "/users", {"usernames": names[start : start + 500]})
            if answer.status_code not in (201, 409):
                raise CannotRun(f"users could not be made: {answer.status_code} {one_line(answer.text)}")


@contextmanager
def hub(bed: Bed, folder: Path, setup: Setup) -> Iterator[BenchHub]:
    """A hub that runs, ended in any case."""
    made = BenchHub(bed, folder, setup)
    try:
        made.start()
        yield made
    finally:
        made.close()
