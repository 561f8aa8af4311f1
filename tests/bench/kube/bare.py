"""Bare Pods: what a launch costs the cluster alone, without any hub. Created by the API, awaited by one watch."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson

from spawners.kube.client import Client, KubeError, path_of
from tests.bench.contest import CannotRun
from tests.bench.kube.crowd import Crowd, Launched
from tests.bench.kube.setups import CPU, MEMORY_MIB
from tests.cluster.bed import Bed, images

NAMESPACE = "bare"
PORT = 8888
_PATIENCE_S = 300


def manifest(name: str) -> dict[str, Any]:
    """A Pod of the image, program and size that both hubs launch, and nothing else."""
    size = {"cpu": str(CPU), "memory": f"{MEMORY_MIB}Mi"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "tool",
                    "image": images.TOOL,
                    "args": ["http", str(PORT)],
                    "resources": {"requests": size, "limits": size},
                }
            ],
        },
    }


@dataclass
class _Seen:
    """What the watch has told of each Pod."""

    pods: dict[str, dict[str, Any]] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def take(self, event: dict[str, Any]) -> None:
        pod = event["object"]
        async with self.changed:
            if event["type"] == "DELETED":
                self.pods.pop(pod["metadata"]["name"], None)
            elif event["type"] in ("ADDED", "MODIFIED"):
                self.pods[pod["metadata"]["name"]] = pod
            self.changed.notify_all()

    async def ready(self, name: str) -> str:
        """Its address, once it is Ready."""
        async with self.changed:
            await self.changed.wait_for(lambda: is_ready(self.pods.get(name)))
            return str(self.pods[name]["status"]["podIP"])

    async def gone(self, name: str) -> None:
        async with self.changed:
            await self.changed.wait_for(lambda: name not in self.pods)


def is_ready(pod: dict[str, Any] | None) -> bool:
    """Whether Kubernetes says that it is Ready."""
    conditions = (pod or {}).get("status", {}).get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


@asynccontextmanager
async def _following(bed: Bed) -> AsyncIterator[tuple[Client, _Seen]]:
    async with await Client.connect(bed.kubeconfig, connections=100) as client:
        seen, begun = _Seen(), asyncio.Event()

        query = {"watch": "true"}

        async def follow() -> None:
            # The API server ends a watch whose reader falls behind. Another one begins with all there is.
            while True:
                with suppress(KubeError):
                    seen.pods.clear()
                    async for line in client.lines(path_of("Pod", NAMESPACE), query, _PATIENCE_S, begun.set):
                        await seen.take(orjson.loads(line))
                await asyncio.sleep(0.1)

        following = asyncio.create_task(follow())
        try:
            await begun.wait()
            yield client, seen
        finally:
            following.cancel()


def run(bed: Bed, names: Sequence[str]) -> tuple[Crowd, float]:
    """Create Pods of these *names* all at once and wait until each is Ready and answers; then delete them all.

    How it went, and the seconds of the deletion until the last is gone. CannotRun where that takes too long.
    """
    try:
        return asyncio.run(asyncio.wait_for(_run(bed, names), _PATIENCE_S))
    except TimeoutError:
        raise CannotRun(f"bare Pods: not done within {_PATIENCE_S} s") from None


async def _run(bed: Bed, names: Sequence[str]) -> tuple[Crowd, float]:
    async with _following(bed) as (client, seen), aiohttp.ClientSession(trust_env=False) as session:

        async def one(name: str) -> Launched:
            began = time.perf_counter()
            await client.create(manifest(name))
            address = await seen.ready(name)
            ready_s = time.perf_counter() - began
            while True:
                try:
                    async with session.get(f"http://{address}:{PORT}/") as answer:
                        if answer.status == 200:
                            return Launched(ready_s, time.perf_counter() - began)
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.02)

        async def end(name: str) -> None:
            await client.delete("Pod", NAMESPACE, name, grace_s=1)
            await seen.gone(name)

        began = time.perf_counter()
        launched = await asyncio.gather(*map(one, names))
        created = time.perf_counter()
        await asyncio.gather(*map(end, names))
        return Crowd(tuple(launched), created - began), time.perf_counter() - created
