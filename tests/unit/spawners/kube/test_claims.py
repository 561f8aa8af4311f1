"""Volumes of homes: made once, kept, and never another's."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from config.names import keys
from spawners.kube import claims
from spawners.kube.manifests import manifests
from spawners.refusal import Refusal
from tests.unit.spawners.kube.launches import SITE, cases

LAUNCH = cases()["ide-kept-on-a-volume"]


class Cloud:
    """What ensure() asks of an API server."""

    def __init__(self, *there: Mapping[str, Any]) -> None:
        self.there = {one["metadata"]["name"]: dict(one) for one in there}

    async def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind, namespace) == ("PersistentVolumeClaim", "tenant-physics")
        return self.there.get(name)

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        name = manifest["metadata"]["name"]
        assert name not in self.there
        self.there[name] = dict(manifest)
        return self.there[name]


def test_it_is_made_where_it_is_not_there_and_left_as_it_is_where_it_is() -> None:
    cloud = Cloud()
    asyncio.run(claims.ensure(cloud, LAUNCH))
    (made,) = cloud.there.values()
    own = keys(SITE)
    assert made["metadata"]["name"].startswith("home-thesis--")
    assert made["metadata"]["labels"][own.tenant] == "physics"
    assert "ownerReferences" not in made["metadata"]  # else it went with the Pod
    assert f"{own.domain}/declared-by" not in made["metadata"]["labels"]  # else apply pruned it
    assert made["spec"]["storageClassName"] == "ceph-block"
    assert made["spec"]["resources"]["requests"]["storage"] == "20Gi"
    made["spec"]["resources"]["requests"]["storage"] = "50Gi"  # the operator has let it grow
    asyncio.run(claims.ensure(cloud, LAUNCH))
    assert made["spec"]["resources"]["requests"]["storage"] == "50Gi"


def test_the_pod_mounts_it_as_its_home() -> None:
    (pod,) = manifests(LAUNCH)
    (volume,) = [one for one in pod["spec"]["volumes"] if "persistentVolumeClaim" in one]
    assert volume["persistentVolumeClaim"]["claimName"] == LAUNCH.plan.claims[0].name
    mounts = {one["name"]: one["mountPath"] for one in pod["spec"]["containers"][0]["volumeMounts"]}
    assert mounts[volume["name"]] == LAUNCH.plan.home


def test_one_that_is_anothers_or_going_away_is_refused() -> None:
    claim = claims.claim(LAUNCH.plan.claims[0], LAUNCH)
    with pytest.raises(Refusal, match="is not jane"):
        asyncio.run(claims.ensure(Cloud({**claim, "metadata": {**claim["metadata"], "annotations": {}}}), LAUNCH))
    going = {**claim, "metadata": {**claim["metadata"], "deletionTimestamp": "2026-11-21T17:00:00Z"}}
    with pytest.raises(Refusal, match="being deleted"):
        asyncio.run(claims.ensure(Cloud(going), LAUNCH))
