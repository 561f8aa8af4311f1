"""Which images are kept on whose workers."""

from __future__ import annotations

import dataclasses
from typing import Any

from config.emit import prepull
from config.models import Profile, World
from tests.unit.config.emit.small import DOMAIN, small

WANTED: dict[str, Any] = {"cluster": {"prepull": True, "hub_namespace": "research"}}
SIZE = {"name": "small", "title": "Small", "cpu": 1, "memory": "1G"}
IMAGES = {"lab": "registry.example.org/lab/tool:1.2", "other": "registry.example.org/other:1", "plain": None}


def world(*tenants: dict[str, Any], site: dict[str, Any] = WANTED) -> World:
    profiles = {
        name: Profile.model_validate({"name": name, "kind": "notebook", "title": name, "image": image, "sizes": [SIZE]})
        for name, image in IMAGES.items()
    }
    return dataclasses.replace(small(*tenants, site=site), profiles=profiles)


def test_nothing_unless_the_site_wants_it() -> None:
    assert not list(prepull.emit(world({"name": "physics", "profiles": ["lab"]}, site={})))


def test_only_images_that_the_tenant_may_use_and_each_once() -> None:
    (found,) = prepull.emit(
        world({"name": "physics", "profiles": ["other", "lab", "plain"]}, {"name": "history", "profiles": ["plain"]})
    )
    assert (found["metadata"]["namespace"], found["metadata"]["name"]) == ("research", "prepull-physics")
    pod = found["spec"]["template"]["spec"]
    assert [one["image"] for one in pod["initContainers"]] == [IMAGES["lab"], IMAGES["other"]]
    assert len(pod["containers"]) == 1 and pod["containers"][0]["image"] in IMAGES.values()
    assert found["spec"]["selector"]["matchLabels"].items() <= found["spec"]["template"]["metadata"]["labels"].items()


def test_it_lands_on_the_tenants_workers_and_there_alone() -> None:
    workers = {"nodes": ["n1"], "dedicated": True}
    (found,) = prepull.emit(world({"name": "physics", "profiles": ["lab"], "workers": workers}))
    pod = found["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == {f"{DOMAIN}/node_physics": "true"}
    assert [(one["key"], one["value"]) for one in pod["tolerations"]] == [(f"{DOMAIN}/tenant", "physics")]


def test_two_tenants_never_select_each_others_pods() -> None:
    found = list(
        prepull.emit(world({"name": "physics", "profiles": ["lab"]}, {"name": "history", "profiles": ["lab"]}))
    )
    first, second = (one["spec"]["selector"]["matchLabels"] for one in found)
    assert first != second and first.keys() == second.keys()


def test_it_fits_restricted() -> None:
    (found,) = prepull.emit(world({"name": "physics", "profiles": ["lab"]}))
    pod = found["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["automountServiceAccountToken"] is False
    for one in (*pod["initContainers"], *pod["containers"]):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }
