"""The pre-puller of a tenant on real nodes: a profile's image is on its workers before anybody asks for it."""

from __future__ import annotations

import dataclasses
from typing import Any

from config.emit import prepull
from config.models import Profile, Site, Tenant, World
from config.names import keys
from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.kube import Kube, eventually
from tools.images import layout

PATIENCE_S = 240


def world(hub_namespace: str, tenant: str, image: str) -> World:
    size = {"name": "small", "cpu": 1, "memory": "1G"}
    profile = Profile.model_validate(
        {"name": "lab", "kind": "notebook", "title": "Lab", "image": image, "sizes": [size]}
    )
    site = Site.model_validate({"cluster": {"prepull": True, "hub_namespace": hub_namespace}})
    workers: dict[str, Any] = {"nodes": ["n3"], "dedicated": True}
    one = Tenant.model_validate({"name": tenant, "admins": ["ada"], "profiles": ["lab"], "workers": workers})
    return dataclasses.replace(World(site, {}, {tenant: one}), profiles={"lab": profile})


def never_pulled(kube: Kube, namespace: str, name: str, image: str) -> str:
    """Start a Pod on n3 whose image may not be pulled; "there" once it has run, else the kubelet's reason."""
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["true"]}
    spec = {"nodeName": "n3", "restartPolicy": "Never", "containers": [container]}
    kube.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec})

    def seen() -> str:
        states = kube.get("pod", name, f"--namespace={namespace}")["status"].get("containerStatuses", [])
        state = states[0]["state"] if states else {}
        return "there" if "terminated" in state else str(state.get("waiting", {}).get("reason", ""))

    return eventually(
        f"what becomes of {name}",
        lambda: found if (found := seen()) != "ContainerCreating" else "",
        patience_s=PATIENCE_S,
    )


def test_a_profiles_image_is_there_before_the_first_launch(bed: Bed, kube: Kube, unique: str) -> None:
    # a name that no node has seen, of an image that exists
    built = images.built()["transfer"]
    image = layout.push(images.engine().stored(built.reference), str(bed.registry), f"{unique}/tool", "1")
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    (hub, elsewhere) = (f"{unique}-hub", f"{unique}-pods")
    kube.apply(
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": hub, "labels": level}},
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": elsewhere}},
    )
    eventually(
        "service accounts",
        lambda: all(
            kube.kubectl("get", "serviceaccount", "default", f"--namespace={one}").returncode == 0
            for one in (hub, elsewhere)
        ),
    )
    assert never_pulled(kube, elsewhere, "before", image) == "ErrImageNeverPull"

    mine = world(hub, unique, image)
    label = keys(mine.site).node(mine.tenants[unique])
    kube.must("label", "node", "n3", f"{label}=true")
    try:
        (daemonset,) = prepull.emit(mine)
        kube.apply(daemonset)

        def settled() -> bool:
            status = kube.get("daemonset", f"prepull-{unique}", f"--namespace={hub}")["status"]
            return bool(status.get("desiredNumberScheduled", 0) == 1 and status.get("numberReady", 0) == 1)

        eventually("the pre-puller", settled, patience_s=PATIENCE_S)
        assert never_pulled(kube, elsewhere, "after", image) == "there"
        (pod,) = kube.get("pods", f"--namespace={hub}")["items"]
        assert pod["spec"]["nodeName"] == "n3"
    finally:
        kube.must("label", "node", "n3", f"{label}-")
