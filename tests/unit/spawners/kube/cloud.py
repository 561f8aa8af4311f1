"""An API server in memory, as far as the recorder, the remotes and the runtime ask it."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spawners.kube.client import ApiError, KubeError

Where = tuple[str, str, str]


class Cloud:
    """Objects by kind, namespace and name; logs by Pod; files by Pod."""

    def __init__(self) -> None:
        self.objects: dict[Where, dict[str, Any]] = {}
        self.logs: dict[str, str] = {}
        self.files: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.error: KubeError | None = None
        self._called = asyncio.Event()
        self._uids = itertools.count(1)

    def put(self, kind: str, namespace: str, name: str, **parts: Any) -> dict[str, Any]:
        metadata = {"namespace": namespace, "name": name, "uid": f"c{next(self._uids)}", **parts.pop("metadata", {})}
        found = {"kind": kind, "metadata": metadata, **parts}
        self.objects[kind, namespace, name] = found
        return found

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        self._called.set()
        if self.error:
            raise self.error

    async def until(self, judge: Callable[[], bool]) -> None:
        """Until *judge* says so, asked after each request."""
        async with asyncio.timeout(30):
            while not judge():
                self._called.clear()
                await self._called.wait()

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self._ask(f"get {kind} {namespace}/{name}")
        found = self.objects.get((kind, namespace, name))
        return json.loads(json.dumps(found)) if found else None

    async def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        meta = manifest["metadata"]
        self._ask(f"apply {manifest['kind']} {meta['namespace']}/{meta['name']}")
        return self._applied(manifest)

    def _applied(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(manifest))  # as by the wire
        found["metadata"]["uid"] = f"c{next(self._uids)}"
        self.objects[found["kind"], found["metadata"]["namespace"], found["metadata"]["name"]] = found
        return found

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        meta = manifest["metadata"]
        self._ask(f"create {manifest['kind']} {meta['namespace']}/{meta['name']}")
        if (manifest["kind"], meta["namespace"], meta["name"]) in self.objects:
            raise ApiError(409, {"reason": "AlreadyExists"}, "POST")
        made = self._applied(manifest)
        made["metadata"] |= {"creationTimestamp": "2026-11-21T10:30:00Z", "resourceVersion": "1"}
        return made

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> bool:
        del uid
        self._ask(f"delete {kind} {namespace}/{name}")
        return self.objects.pop((kind, namespace, name), None) is not None

    async def log(self, namespace: str, pod: str, container: str, *, lines: int = 200, limit: int = 65536) -> str:
        del lines
        self._ask(f"log {namespace}/{pod} {container}")
        return self.logs.get(pod, "")[-limit:]

    async def metadata(self, path: str, selector: str) -> list[dict[str, Any]]:
        self._ask(f"metadata {path} {selector}")
        space, (label, _, value) = path.split("/")[4], selector.partition("=")
        return [
            {"metadata": found["metadata"]}
            for (kind, namespace, _), found in self.objects.items()
            if (kind, namespace) == ("ConfigMap", space) and found["metadata"].get("labels", {}).get(label) == value
        ]

    async def run(self, namespace: str, pod: str, container: str, command: Sequence[str]) -> bytes:
        del command
        self._ask(f"exec {namespace}/{pod} {container}")
        return self.files.get(pod, b"")
