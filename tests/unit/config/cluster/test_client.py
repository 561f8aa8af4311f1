"""The small client against a server that misbehaves."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.cluster.client import ApiError, Cluster, ClusterError

Answer = tuple[int, dict[str, str], Any]


@dataclass
class Server:
    """Gives the answers that a test has prepared, one a request; None closes the connection."""

    port: int = 0
    answers: list[Answer | None] = field(default_factory=list)
    asked: list[tuple[str, str, Any]] = field(default_factory=list)


@pytest.fixture
def server() -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found.asked.append((self.command, self.path, json.loads(body) if body else None))
            said = found.answers.pop(0)
            if said is None:
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, headers, told = said
            data = told.encode() if isinstance(told, str) else json.dumps(told).encode()
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PATCH = do_DELETE = answer  # as http.server calls them

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.port = http.server_address[1]
    threading.Thread(target=http.serve_forever, daemon=True).start()
    yield found
    http.shutdown()
    http.server_close()


def kubeconfig(folder: Path, port: int) -> Path:
    path = folder / "kubeconfig.yaml"
    parts = {
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump({"apiVersion": "v1", "kind": "Config", **parts, "current-context": "x"}))
    return path


@pytest.fixture
def cluster(server: Server, tmp_path: Path) -> Cluster:
    return Cluster.connect(kubeconfig(tmp_path, server.port))


BUSY: Answer = (429, {"Retry-After": "0"}, {"message": "too many requests"})
OK: Answer = (200, {}, {"kind": "Thing"})


def test_a_server_that_is_too_busy_is_asked_again(server: Server, cluster: Cluster) -> None:
    server.answers = [BUSY, (503, {"Retry-After": "0"}, {}), OK]
    assert cluster.request("POST", "/x", body={"a": 1}) == {"kind": "Thing"}
    assert server.asked == [("POST", "/x", {"a": 1})] * 3


def test_in_the_end_busy_is_an_error(server: Server, cluster: Cluster) -> None:
    server.answers = [BUSY] * 6
    with pytest.raises(ApiError, match="too many requests"):
        cluster.get("/x")
    assert server.answers == []


@pytest.mark.parametrize(
    "act", [lambda one: one.get("/x"), lambda one: one.apply("/x", {}), lambda one: one.delete("/x")]
)
def test_a_closed_connection_is_tried_again_where_twice_is_once(
    server: Server, cluster: Cluster, act: Callable[[Cluster], Any]
) -> None:
    server.answers = [None, OK]
    assert act(cluster)
    assert len(server.asked) == 2


def test_a_creation_is_not_sent_twice(server: Server, cluster: Cluster) -> None:
    server.answers = [None, OK]
    with pytest.raises(ClusterError, match="it closed the connection"):
        cluster.request("POST", "/x", body={})
    assert len(server.asked) == 1


def test_an_error_has_the_servers_words_in_one_line(server: Server, cluster: Cluster) -> None:
    causes = [{"field": ".spec", "message": "no", "reason": "x"}]
    told = {"reason": "Invalid", "message": "it is\n  wrong", "details": {"causes": causes}}
    server.answers = [(422, {}, told), (500, {}, "plain text"), (404, {}, {})]
    with pytest.raises(ApiError) as caught:
        cluster.apply("/x", {})
    assert (caught.value.status, caught.value.reason, caught.value.causes) == (422, "Invalid", causes)
    assert str(caught.value) == "PATCH /x: it is wrong"
    with pytest.raises(ApiError, match="GET /x: plain text"):
        cluster.get("/x")
    assert cluster.get("/x") is None


def test_warnings_reach_whoever_listens(server: Server, cluster: Cluster) -> None:
    said: list[str] = []
    cluster.warned = said.append
    server.answers = [(200, {"Warning": '299 - "v1beta1 is deprecated"'}, {})]
    cluster.get("/x")
    assert said == ["v1beta1 is deprecated"]


def test_a_list_is_read_to_its_last_page(server: Server, cluster: Cluster) -> None:
    server.answers = [
        (200, {}, {"metadata": {"continue": "more"}, "items": [1, 2]}),
        (200, {}, {"metadata": {}, "items": [3]}),
        (404, {}, {}),
        (200, {}, {"metadata": {}, "items": None}),
    ]
    found: list[object] = list(cluster.list("/x", labelSelector="a=b"))
    assert found == [1, 2, 3]
    assert [path for _, path, _ in server.asked] == [
        "/x?limit=2000&labelSelector=a%3Db",
        "/x?limit=2000&labelSelector=a%3Db&continue=more",
    ]
    assert list(cluster.list("/unknown")) == []
    assert list(cluster.list("/none")) == []


def test_a_delete_is_of_one_object_and_orphans_when_told(server: Server, cluster: Cluster) -> None:
    other = {"reason": "Conflict", "message": "Precondition failed: UID in precondition: 1, UID in object meta: 2"}
    server.answers = [OK, (404, {}, {}), (409, {}, other), (409, {}, {"message": "ending"})]
    assert cluster.delete("/x", uid="1", orphan=True)
    assert server.asked[0][2] == {"propagationPolicy": "Orphan", "preconditions": {"uid": "1"}}
    assert not cluster.delete("/x")
    assert not cluster.delete("/x", uid="1")  # gone; another has its name
    with pytest.raises(ApiError, match="ending"):
        cluster.delete("/x", uid="1")


def test_a_cluster_that_is_not_there_is_said_in_words(server: Server, tmp_path: Path) -> None:
    with socket.socket() as unused:  # bound, but nobody listens
        unused.bind(("127.0.0.1", 0))
        there = Cluster.connect(kubeconfig(tmp_path, unused.getsockname()[1]))
        with pytest.raises(ClusterError, match="cannot be reached: connection refused"):
            there.get("/x")
    with pytest.raises(ClusterError, match=r"no cluster to talk to.*give --kubeconfig FILE or set KUBECONFIG"):
        Cluster.connect(tmp_path / "none.yaml")
    with pytest.raises(ClusterError, match="no cluster to talk to"):
        Cluster.connect(kubeconfig(tmp_path, 1), context="other")
