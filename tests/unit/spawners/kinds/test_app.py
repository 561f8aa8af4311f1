"""An app of one's own image, and one at an address: what is refused, and what stands before whose program."""

from __future__ import annotations

from typing import Any

import pytest

from images.app.settings import AppSettings
from spawners.kinds.app import DOOR_MEMORY, AppKind
from spawners.kube.manifests import manifests, pod_of
from spawners.refusal import Refusal
from tests.unit.spawners.kinds.test_plans import PLACE
from tests.unit.spawners.kube.launches import COMMAND, OWN, REGISTRY, TENANT, cases, launch


def pod(case: str) -> dict[str, Any]:
    (found,) = filter(None, map(pod_of, manifests(cases()[case])))
    return found


@pytest.mark.parametrize(
    ("options", "field", "told"),
    [
        ({}, "command", "name an image"),
        ({"command": "serve"}, "port", "write {port}"),
        ({"image": f"{REGISTRY}/viewer:1"}, "port", "give the port"),
        ({**OWN, "image": "docker.io/somebody/viewer:1"}, "image", "must come from"),
        ({**OWN, "image": f"{REGISTRY}-evil/viewer:1"}, "image", "must come from"),
        ({**OWN, "image": "viewer:1 --privileged"}, "image", "match"),
        ({**OWN, "command": "serve {base_url}"}, "command", "behind the hub's sign-in"),
        ({"command": "serve {port} {base_url}", "reach": "address"}, "command", "behind the hub's sign-in"),
        ({**COMMAND, "folders": ["/data"]}, "folders", "image of your own"),
        ({**OWN, "folders": ["/var/../etc"]}, "folders", "no folder"),
        ({**OWN, "folders": ["/run/secrets/x"]}, "folders", "system's"),
        ({**OWN, "folders": ["data"]}, "folders", "no folder"),
    ],
)
def test_what_is_refused_is_refused_at_its_field(options: dict[str, Any], field: str, told: str) -> None:
    with pytest.raises(Refusal) as refused:
        launch(TENANT, "own-app", options)
    said = {one.field.partition(".")[0]: one.message for one in refused.value.violations}
    assert told in said[field]


def test_one_machine_refuses_both_in_words() -> None:
    workload = launch(TENANT, "own-app", {**OWN, "reach": "address"}).workload
    found = cases()["app"]
    with pytest.raises(Refusal, match="cluster only") as refused:
        AppKind().local(workload, found.tenant, found.site, PLACE)
    assert [one.field for one in refused.value.violations] == ["image", "reach"]


def test_an_own_image_has_nothing_of_ours_in_it() -> None:
    """Neither our program, nor the hub's token, nor a Secret, nor our settings; and it takes its part of the size."""
    spec = pod("app-own-image")["spec"]
    (door,), (own,) = spec["containers"], spec["initContainers"]
    assert own["image"] == OWN["image"] != door["image"]
    assert "command" not in own and own["restartPolicy"] == "Always"
    mounted = {one["name"] for one in own["volumeMounts"]}
    assert mounted.isdisjoint(one["name"] for one in door["volumeMounts"])
    assert [one["name"] for one in own["env"]] == ["HOME"]
    assert own["securityContext"] == door["securityContext"]
    memory = cases()["app-own-image"].workload.size.memory
    assert door["resources"]["limits"]["memory"] == f"{DOOR_MEMORY >> 20}Mi"
    assert own["resources"]["limits"]["memory"] == f"{(memory - DOOR_MEMORY) >> 20}Mi"


def test_the_door_is_told_of_a_neighbour() -> None:
    settings = AppSettings.model_validate(cases()["app-own-image"].plan.settings)
    assert settings.beside and settings.port == 8080 and not settings.command
    for wrong in ({"command": ("serve",)}, {"port": None}):
        with pytest.raises(ValueError, match="beside"):
            AppSettings.model_validate({**settings.model_dump(), **wrong})


def test_at_an_address_the_program_runs_by_itself() -> None:
    container = pod("app-address")["spec"]["containers"][0]
    assert container["command"][-1] == "8080" and "images.app" not in container["command"]
    own = pod("app-own-image-address")["spec"]
    assert own["containers"][0]["image"] == OWN["image"] and "initContainers" not in own
    rows = dict(AppKind().endpoints(cases()["app-address"].workload, cases()["app"].tenant, "2001:db8::1"))
    assert rows["Address"] == "http://[2001:db8::1]" and "none of the hub's" in rows["Sign-in"]
    services = [one for one in manifests(cases()["app-address"]) if one["kind"] == "Service"]
    assert services[0]["spec"]["loadBalancerSourceRanges"]


def test_a_size_too_small_for_two_containers_is_refused() -> None:
    sizes = [{"name": "tiny", "cpu": "100m", "memory": "128Mi"}]
    from config.models import Size

    with pytest.raises(Refusal, match="at least 384 MiB"):
        launch(TENANT, "own-app", OWN, extra={"sizes": tuple(map(Size.model_validate, sizes)), "default_size": None})
