"""Pre-pullers on real nodes, a tenant's and the chart's: an image is on the workers before anybody asks for it."""

from __future__ import annotations

import dataclasses
from typing import Any

from config.emit import prepull
from config.models import Profile, Site, Tenant, World
from config.names import keys
from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.chart import PARTS, Installed
from tests.cluster.journeys import world as journeys
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


def never_pulled(kube: Kube, namespace: str, name: str, image: str, node: str = "n3") -> str:
    """Start a Pod on *node* whose image may not be pulled; "there" once it has run, else the kubelet's reason."""
    container = {"name": "main", "image": image, "imagePullPolicy": "Never", "command": ["true"]}
    spec = {"nodeName": node, "restartPolicy": "Never", "containers": [container]}
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


def unseen(bed: Bed, unique: str) -> str:
    """A name that no node has seen, of an image that exists."""
    built = images.built()["transfer"]
    return layout.push(images.engine().stored(built.reference), str(bed.registry), f"{unique}/tool", "1")


def test_a_profiles_image_is_there_before_the_first_launch(bed: Bed, kube: Kube, unique: str) -> None:
    image = unseen(bed, unique)
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


def test_the_charts_pre_puller_reaches_a_tenants_worker_and_goes_again(
    installed: Installed, kube: Kube, unique: str
) -> None:
    """The kinds' images, and one more: on a worker that a taint keeps for its tenant."""
    node = journeys.WORKER[journeys.PHYSICS]
    [taint] = kube.get("node", node)["spec"]["taints"]
    assert taint["effect"] == "NoSchedule"
    image = unseen(installed.bed, unique)
    kube.must("create", "namespace", unique)
    account = ("get", "serviceaccount", "default", f"--namespace={unique}")
    eventually("a service account", lambda: kube.kubectl(*account).returncode == 0)
    assert never_pulled(kube, unique, "before", image, node) == "ErrImageNeverPull"
    before = {part: installed.uids(part) for part in PARTS}
    chosen = {"kubernetes.io/hostname": node}
    try:
        # It waits until the DaemonSet is ready: the namespace takes Pods that are `restricted` alone.
        installed.upgrade(prePuller={"enabled": True, "images": [image], "nodeSelector": chosen})
        [pod] = installed.pods("pre-puller")
        assert pod["spec"]["nodeName"] == node
        wanted = {one["image"] for one in pod["spec"]["initContainers"]}
        assert image in wanted
        assert len(wanted) == len(installed.values()["images"]["kinds"]) + 1
        assert never_pulled(kube, unique, "after", image, node) == "there"
    finally:
        installed.upgrade()
    eventually("it is gone", lambda: not installed.pods("pre-puller"), patience_s=PATIENCE_S)
    assert {part: installed.uids(part) for part in PARTS} == before
