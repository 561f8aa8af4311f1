"""The first launches of 150 tenants at once: where stock KubeSpawner, with two reflectors a namespace, fails most.

API server, admission, quotas, hub and spawner are real. There are no nodes: 150 Pods would tell more of this machine's
two processors than of the hub, so what a kubelet would report is written here. Measurements are in docs/benchmarks.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread

import httpx
import pytest

from config.cluster.client import Cluster
from config.names import namespace
from tests.cluster.bed import Bed, images, metallb
from tests.cluster.kubehub import KubeHub
from tests.cluster.kubeworld import declare, tenant_of, write, write_profiles
from tests.cluster.onlooker import put_status
from tests.cluster.operator import Operator

TENANTS = 150
AT_ONCE = 20
ControlPlane = Callable[[str], Bed]


class _Answer(BaseHTTPRequestHandler):
    """What every program answers."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def _programs() -> Iterator[int]:
    """All programs at once, on one port of this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def _kubelets(cluster: Cluster, label: str) -> Iterator[None]:
    """Reports each Pod that carries *label* as running, here."""
    ended = Event()

    def work() -> None:
        while not ended.wait(0.2):
            for pod in cluster.list("/api/v1/pods", labelSelector=label):
                meta = pod["metadata"]
                if not pod["status"].get("podIP") and "deletionTimestamp" not in meta:
                    put_status(cluster, f"/api/v1/namespaces/{meta['namespace']}/pods/{meta['name']}", _running(pod))

    thread = Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _running(pod: dict[str, object]) -> dict[str, object]:
    made = pod["metadata"]["creationTimestamp"]  # type: ignore[index]
    container = {"image": images.TOOL, "imageID": "", "ready": True, "started": True, "restartCount": 0}
    return {
        "phase": "Running",
        "podIP": "127.0.0.1",
        "podIPs": [{"ip": "127.0.0.1"}],
        "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
        "containerStatuses": [{**container, "name": "notebook", "state": {"running": {"startedAt": made}}}],
    }


@pytest.fixture
def tenants(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Operator, list[str]]]:
    """The operator, and the names of all tenants, whose namespaces are there."""
    bed, run = control_plane("current"), f"t{secrets.token_hex(2)}"
    names = [f"{run}-{number:03d}" for number in range(TENANTS)]
    operator = Operator(bed.kubeconfig, tmp_path_factory.mktemp("world"), f"{run}.example.org", metallb.NAMESPACE)
    files = [{**tenant_of(name, {"dedicated": False}, 2), "networks": []} for name in names]
    declare(bed, operator, *files)
    operator.apply()
    write_profiles(operator.folder, {"tool": images.TOOL}, network=None)
    for one in files:
        write(operator.folder, {**one, "profiles": ["tool"]})
    yield operator, names
    for name in names:
        operator.cluster.request("DELETE", f"/api/v1/namespaces/{namespace(name)}")


@pytest.mark.timeout(900)  # 150 namespaces with all that is in them are made and removed
def test_first_launches_of_150_tenants_at_once_all_succeed(
    control_plane: ControlPlane, tenants: tuple[Operator, list[str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    operator, names = tenants
    state = tmp_path_factory.mktemp("hub")
    with _programs() as port, _kubelets(operator.cluster, operator.keys.workload), ThreadPoolExecutor(TENANTS) as pool:
        bed = control_plane("current")
        hub = KubeHub(bed, operator.folder, state, names[0], operator.domain, at_once=AT_ONCE, port=port)
        hub.start()
        try:
            hub.api("POST", "/users/ada")
            server = {name: f"s{number}" for number, name in enumerate(names)}
            asked = {name: pool.submit(_launch, hub, name, server[name]) for name in names}
            answers = {name: one.result() for name, one in asked.items()}
            assert {one.status_code for one in answers.values()} <= {201, 202}

            def ready() -> bool:
                found = hub.api("GET", "/users/ada").json()["servers"]
                assert set(server.values()) <= set(found), hub.log()  # JupyterHub forgets one that has failed
                return all(found[one]["ready"] for one in server.values())

            hub.until("all of them are ready", ready, timeout_s=300)
            pods = list(operator.cluster.list("/api/v1/pods", labelSelector=operator.keys.workload))
            assert {one["metadata"]["namespace"] for one in pods} == {namespace(name) for name in names}
            assert len(pods) == TENANTS
            assert "Traceback" not in (state / "hub.log").read_text()
        finally:
            hub.stop()


def _launch(hub: KubeHub, tenant: str, name: str) -> httpx.Response:
    body = {"user_options": {"tenant": tenant, "profile": "tool", "options": {}}}
    return hub.api("POST", f"/users/ada/servers/{name}", body)
