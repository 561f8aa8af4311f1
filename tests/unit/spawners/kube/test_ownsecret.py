"""The Secret of a launch: owned by its Pod or gone with the launch, and never over what a later launch has written."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from spawners.kube import ownsecret
from spawners.kube.client import ApiError, KubeError
from tests.unit.spawners.kube import launches

LAUNCH = launches.cases()["notebook"]
TOKENS = {"JUPYTERHUB_API_TOKEN": "not a secret at all"}
POD = {"kind": "Pod", "metadata": {"name": LAUNCH.name, "uid": "pod-1"}}


class Secrets:
    """The Secrets of an API server, which keep their uid and count their versions; `held` holds a write up."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.refused: dict[int, KubeError] = {}
        """By number of the write, from 1."""
        self.held: dict[int, asyncio.Event] = {}
        self.writes = 0
        self.begun = asyncio.Event()
        self._versions = 100

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        self.asked.append(f"get {kind}")
        found = self.there.get(name)
        return json.loads(json.dumps(found)) if found else None

    async def apply(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append(f"apply {manifest['kind']}")
        self.writes += 1
        number = self.writes
        if number in self.held:
            self.begun.set()
            await self.held[number].wait()
        if number in self.refused:
            raise self.refused[number]
        return self.write(manifest)

    def write(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        meta = dict(manifest["metadata"])
        before = self.there.get(meta["name"])
        wanted = meta.pop("resourceVersion", None)
        if wanted is not None and (before is None or before["metadata"]["resourceVersion"] != wanted):
            raise ApiError(409, {"reason": "Conflict"}, "PATCH")
        self._versions += 1
        meta |= {"uid": before["metadata"]["uid"] if before else f"uid-{self._versions}"}
        meta |= {"resourceVersion": str(self._versions)}
        data = {key: base64.b64encode(value.encode()).decode() for key, value in manifest["stringData"].items()}
        self.there[meta["name"]] = {"kind": "Secret", "metadata": meta, "data": data}
        return self.there[meta["name"]]

    async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> bool:
        self.asked.append(f"delete {kind}")
        found = self.there.get(name)
        if found is None or (uid and found["metadata"]["uid"] != uid):
            return False
        del self.there[name]
        return True

    def owners(self) -> list[str]:
        return [one["uid"] for one in self.there[LAUNCH.name]["metadata"].get("ownerReferences", ())]


def test_a_launch_that_goes_well_has_its_secret_owned_by_its_pod() -> None:
    cloud = Secrets()

    async def launch() -> None:
        async with ownsecret.holding(cloud, LAUNCH, TOKENS) as secret:
            assert cloud.there[LAUNCH.name]["data"].keys() == TOKENS.keys(), "before there is a Pod that needs it"
            secret.goes_with(POD)

    asyncio.run(launch())
    assert cloud.owners() == ["pod-1"]
    assert cloud.asked == ["apply Secret", "apply Secret"]
    (reference,) = cloud.there[LAUNCH.name]["metadata"]["ownerReferences"]
    assert reference == {"apiVersion": "v1", "kind": "Pod", "name": LAUNCH.name, "uid": "pod-1"}


def test_the_owner_is_written_beside_the_launch_which_is_not_over_before_it_is() -> None:
    cloud = Secrets()
    order = []

    async def launch() -> None:
        cloud.held[2] = asyncio.Event()
        async with ownsecret.holding(cloud, LAUNCH, TOKENS) as secret:
            secret.goes_with(POD)
            await cloud.begun.wait()
            order.append("the launch goes on")
            cloud.held[2].set()
        order.append(f"over, owned by {cloud.owners()}")

    asyncio.run(launch())
    assert order == ["the launch goes on", "over, owned by ['pod-1']"]


def test_a_launch_that_never_had_a_pod_leaves_no_secret() -> None:
    cloud = Secrets()

    async def launch() -> None:
        async with ownsecret.holding(cloud, LAUNCH, TOKENS):
            raise ApiError(403, {"message": "exceeded quota"}, "POST")

    with pytest.raises(ApiError, match="exceeded quota"):
        asyncio.run(launch())
    assert not cloud.there


def test_a_launch_that_fails_with_a_pod_leaves_a_secret_that_goes_with_it() -> None:
    cloud = Secrets()

    async def launch() -> None:
        cloud.held[2] = asyncio.Event()
        async with ownsecret.holding(cloud, LAUNCH, TOKENS) as secret:
            secret.goes_with(POD)
            asyncio.get_running_loop().call_soon(cloud.held[2].set)
            raise KubeError("doomed")

    with pytest.raises(KubeError, match="doomed"):
        asyncio.run(launch())
    assert cloud.owners() == ["pod-1"]


def test_an_owner_that_cannot_be_written_fails_the_launch_and_takes_the_secret_away() -> None:
    cloud = Secrets()
    cloud.refused[2] = KubeError("the server is away")

    async def launch() -> None:
        async with ownsecret.holding(cloud, LAUNCH, TOKENS) as secret:
            secret.goes_with(POD)

    with pytest.raises(KubeError, match="is away"):
        asyncio.run(launch())
    assert not cloud.there


@pytest.mark.parametrize("number", [1, 2])
def test_a_launch_that_is_cancelled_while_it_writes_leaves_no_secret_without_owner(number: int) -> None:
    cloud = Secrets()

    async def launch() -> None:
        async with ownsecret.holding(cloud, LAUNCH, TOKENS) as secret:
            secret.goes_with(POD)

    async def cancelled() -> None:
        cloud.held[number] = asyncio.Event()
        task = asyncio.create_task(launch())
        await cloud.begun.wait()
        task.cancel()
        asyncio.get_running_loop().call_soon(cloud.held[number].set)
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert number == 1 or cloud.owners() == ["pod-1"]
    assert number == 2 or not cloud.there


def test_a_late_owner_is_not_written_over_the_next_launch() -> None:
    cloud = Secrets()
    later = {"JUPYTERHUB_API_TOKEN": "the next launch's"}

    async def launch() -> None:
        first = await ownsecret.put(cloud, LAUNCH, TOKENS)
        await ownsecret.put(cloud, LAUNCH, later)
        assert first is not None
        await ownsecret.own(cloud, first, POD)

    asyncio.run(launch())
    assert not cloud.owners()
    found = cloud.there[LAUNCH.name]["data"]["JUPYTERHUB_API_TOKEN"]
    assert base64.b64decode(found).decode() == "the next launch's"


def test_a_secret_that_somebody_has_labelled_meanwhile_is_owned_all_the_same() -> None:
    cloud = Secrets()

    async def launch() -> None:
        written = await ownsecret.put(cloud, LAUNCH, TOKENS)
        assert written is not None
        cloud.there[LAUNCH.name]["metadata"]["resourceVersion"] = "900"
        await ownsecret.own(cloud, written, POD)

    asyncio.run(launch())
    assert cloud.owners() == ["pod-1"]


def test_a_password_stays_and_nothing_is_written_where_nothing_is_secret() -> None:
    upload = launches.cases()["collector-dual-stack"]
    cloud = Secrets()
    first = asyncio.run(ownsecret.put(cloud, upload, {}))
    second = asyncio.run(ownsecret.put(cloud, upload, {}))
    assert first is not None
    assert second is not None
    assert first.manifest["stringData"]["password"]
    assert first.manifest["stringData"] == second.manifest["stringData"]
    assert asyncio.run(ownsecret.put(cloud, LAUNCH, {})) is None
