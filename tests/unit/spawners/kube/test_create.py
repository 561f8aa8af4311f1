"""The Pod of a launch is created without a look before; where its name is taken, what has it goes first."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from config.names import keys
from spawners.kube import acts
from spawners.kube.client import ApiError, KubeError
from spawners.kube.index import Index, key_of
from spawners.kube.spawner import TenantKubeSpawner
from tests.unit.spawners.kube import launches, objects
from tests.unit.spawners.kube.cloud import Cloud

LAUNCH = launches.cases()["notebook"]
KEY = key_of(LAUNCH.workload)
MANIFEST: dict[str, Any] = {"kind": "Pod", "metadata": {"namespace": LAUNCH.namespace, "name": LAUNCH.name}}
WHERE = ("Pod", LAUNCH.namespace, LAUNCH.name)


class Creating(TenantKubeSpawner):
    """Without KubeSpawner's own beginning, which looks for a cluster."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def say(self, words: str) -> None:
        self.heard.append(words)


def created(cloud: Any) -> tuple[Creating, dict[str, Any]]:
    cluster: Any = SimpleNamespace(client=cloud, watch=SimpleNamespace(index=Index(keys(launches.SITE))))
    spawner = Creating()
    made = asyncio.run(spawner._create(cluster, LAUNCH, MANIFEST))
    return spawner, cast(dict[str, Any], made)


def test_a_free_name_costs_one_request() -> None:
    cloud = Cloud()
    spawner, made = created(cloud)
    assert cloud.asked == [f"create Pod {LAUNCH.namespace}/{LAUNCH.name}"]
    assert made["metadata"]["uid"] == cloud.objects[WHERE]["metadata"]["uid"]
    assert spawner.begun
    assert not spawner.heard


def test_a_pod_that_the_index_does_not_know_goes_first() -> None:
    cloud = Cloud()
    old = cloud.put(*WHERE)
    spawner, made = created(cloud)
    assert [one.split()[0] for one in cloud.asked] == ["create", "get", "delete", "create"]
    assert made["metadata"]["uid"] != old["metadata"]["uid"]
    assert spawner.begun
    assert spawner.heard == ["making room for it"]


def test_where_no_room_can_be_made_nothing_has_begun() -> None:
    class Stuck(Cloud):
        async def delete(self, kind: str, namespace: str, name: str, *, uid: str = "") -> bool:
            raise KubeError("away")

    cloud = Stuck()
    cloud.put(*WHERE)
    spawner = Creating()
    cluster: Any = SimpleNamespace(client=cloud, watch=SimpleNamespace(index=Index(keys(launches.SITE))))
    with pytest.raises(KubeError, match="away"):
        asyncio.run(spawner._create(cluster, LAUNCH, MANIFEST))
    assert not spawner.begun


def test_only_a_name_that_is_taken_makes_room() -> None:
    assert acts.is_taken(ApiError(409, {"reason": "AlreadyExists"}, "POST"))
    assert not acts.is_taken(ApiError(409, {"reason": "Conflict"}, "POST"))
    assert not acts.is_taken(ApiError(403, {"reason": "Forbidden"}, "POST"))
    assert not acts.is_taken(KubeError("away"))


def test_a_pod_that_the_index_has_is_there_ended_or_not() -> None:
    index = Index(keys(launches.SITE))
    assert not acts.is_there(index, KEY, LAUNCH.name)
    index.put(objects.pod_of(LAUNCH, LAUNCH.name, {"phase": "Failed"}))
    assert acts.is_there(index, KEY, LAUNCH.name)
    assert not acts.is_there(index, KEY, "another")
