"""The portal's view with the real clients and the real watch, over HTTP, against a server that speaks as much of the
Kubernetes API as it asks for."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from spawners.kube import keepsake
from spawners.kube.runtime import KubeRuntime
from spawners.kube.site import KubeSite
from spawners.kube.watch import WATCHED
from tests.unit.spawners.kube import launches, objects

LOG = logging.getLogger("runtime-wire-test")
UPLOAD = launches.launch(launches.TENANT, "upload", launches.UPLOAD, name="camera")
BOOK = launches.launch("physics-member", "notebook")
CAMERA = ("physics", launches.TENANT, "camera")
SPACE = f"/api/v1/namespaces/{launches.TENANT}"
SERVES = {"observedGeneration": 1, "updatedReplicas": 1, "availableReplicas": 1}


class ApiServer:
    """Lists by path; watches that stay silent; one log; one file; ConfigMaps that can be applied and deleted."""

    def __init__(self, lists: Mapping[str, list[dict[str, Any]]]) -> None:
        self.lists = lists
        self.config_maps: dict[str, dict[str, Any]] = {}
        self.over = asyncio.Event()
        self.app = web.Application()
        router = self.app.router
        for path in WATCHED.values():
            router.add_get(path, self.collection)
        router.add_get(f"{SPACE}/pods/camera-x/log", self.log)
        router.add_get(f"{SPACE}/pods/camera-x/exec", self.exec)
        router.add_get(f"{SPACE}/configmaps", self.records)
        router.add_get(f"{SPACE}/configmaps/{{name}}", self.config_map)
        router.add_patch(f"{SPACE}/configmaps/{{name}}", self.apply)

    async def collection(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("watch") != "true":
            body = {"metadata": {"resourceVersion": "7"}, "items": self.lists.get(request.path, [])}
            return web.json_response(body)
        answer = web.StreamResponse()
        await answer.prepare(request)
        await self.over.wait()
        return answer

    async def log(self, request: web.Request) -> web.StreamResponse:
        assert request.query["container"] == "main"
        return web.Response(text="serving ftp\n")

    async def exec(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        await socket.send_bytes(b'\x01{"id": "1", "path": "a.tif"}\n')
        await socket.send_bytes(b"\x03" + json.dumps({"status": "Success"}).encode())
        await socket.close()
        return socket

    async def records(self, request: web.Request) -> web.StreamResponse:
        assert request.query["labelSelector"].endswith("/keeps=past")
        return web.json_response({"items": [{"metadata": one["metadata"]} for one in self.config_maps.values()]})

    async def config_map(self, request: web.Request) -> web.StreamResponse:
        found = self.config_maps.get(request.match_info["name"])
        if found is None:
            return web.json_response({"reason": "NotFound", "message": "not found"}, status=404)
        return web.json_response(found)

    async def apply(self, request: web.Request) -> web.StreamResponse:
        assert request.headers["Content-Type"] == "application/apply-patch+yaml"
        found = json.loads(await request.read())
        self.config_maps[request.match_info["name"]] = found
        return web.json_response(found)


def declare(folder: Path) -> None:
    """A world with the tenant and the profile, as files."""
    size = {"name": "small", "cpu": "500m", "memory": "1Gi"}
    files: dict[str, dict[str, Any]] = {
        "site.yaml": {"contact": "help@example.org"},
        "profiles/upload.yaml": {"name": "upload", "kind": "collector", "title": "Upload", "sizes": [size]},
        "tenants/physics.yaml": {"name": "physics", "admins": ["ada"], "profiles": ["upload"]},
    }
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(yaml.safe_dump(content))


def kubeconfig_for(folder: Path, url: str) -> Path:
    path = folder / "kubeconfig"
    found = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url}}],
        "users": [{"name": "u", "user": {"token": "abc"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(yaml.safe_dump(found))
    return path


def test_what_the_portal_asks_is_answered_over_the_wire(tmp_path: Path) -> None:
    declare(tmp_path / "world")

    async def run() -> None:
        pod = objects.pod_of(UPLOAD, "camera-x", objects.running())
        lists = {WATCHED["Pod"]: [pod], WATCHED["Deployment"]: [objects.top_of(UPLOAD, SERVES)]}
        server = ApiServer(lists)
        runner = web.AppRunner(server.app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        kubeconfig = kubeconfig_for(tmp_path, f"http://127.0.0.1:{runner.addresses[0][1]}")
        known = KubeSite(tmp_path / "world", kubeconfig)
        runtime = await KubeRuntime.begin(known, kubeconfig, LOG)
        cluster = await known.cluster(LOG)
        try:
            (seen,) = await asyncio.to_thread(runtime.workloads, "physics")
            assert (seen.workload, seen.state) == (UPLOAD.workload, "running")
            assert await asyncio.to_thread(runtime.log, *CAMERA) == "serving ftp\n"
            assert await asyncio.to_thread(runtime.uploads, *CAMERA) == [{"id": "1", "path": "a.tif"}]
            await runtime.recorder.ended(BOOK.workload, "failed", "no place")
            assert f"{BOOK.name}.past" == keepsake.object_name(BOOK.workload)
            assert list(server.config_maps) == [f"{BOOK.name}.past"]
            past = await runtime.recorder.past(BOOK.workload)
            assert past is not None
            assert past.reason == "no place"
        finally:
            server.over.set()
            await runtime.close()
            await cluster.watch.stop()
            await cluster.watch.client.close()
            await cluster.client.close()
            await runner.cleanup()

    asyncio.run(run())
