"""A home in a real Pod of the notebook's image: restricted, its root read-only, kept in an object store by real rclone.

What the server itself does is the journeys' matter; a program that waits is in its place, so that no hub has to be.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from config.names import keys
from spawners.kube import claims, names
from spawners.kube.manifests import manifests
from tests.cluster import images
from tests.cluster.bed import Bed
from tests.cluster.journeys.store import Store, serving
from tests.cluster.kube import Kube, eventually
from tests.images.lib.keeping import WAITING
from tests.unit.spawners.kube.launches import SITE, cases

READY_WITHIN_S = 240
STARTED = "/tmp/started"


def pod_of(case: str, namespace: str, image: str) -> dict[str, Any]:
    """The Pod of a launch as the spawner makes it, on any node, with a program that waits in JupyterLab's place."""
    (made,) = manifests(cases()[case])
    setting = names.annotation_settings(keys(SITE))
    told = json.loads(made["metadata"]["annotations"][setting])
    told |= {"command": ["python", "-c", WAITING, STARTED], "every_s": 3600}
    spec = {key: value for key, value in made["spec"].items() if key not in ("nodeSelector", "tolerations")}
    spec["containers"] = [{**made["spec"]["containers"][0], "image": image}]
    meta = {**made["metadata"], "namespace": namespace, "annotations": {setting: json.dumps(told)}}
    return {**made, "metadata": meta, "spec": spec}


def remotes(store: Store, namespace: str) -> dict[str, Any]:
    """The Secret that the hub would make."""
    conf = f"[data]\ntype = s3\nprovider = Rclone\nendpoint = {store.endpoint}\n"
    conf += f"access_key_id = {store.access_key}\nsecret_access_key = {store.secret_key}\n"
    meta = {"name": "tenanthub.remotes", "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"rclone.conf": conf}}


def test_a_home_outlives_its_pod(bed: Bed, kube: Kube, unique: str, tmp_path: Path) -> None:
    level = {"pod-security.kubernetes.io/enforce": "restricted"}
    kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": unique, "labels": level}})
    pod = pod_of("notebook-kept-in-a-remote", unique, images.pushed(bed)["notebook"])
    name, container = pod["metadata"]["name"], pod["spec"]["containers"][0]["name"]
    where = (f"--namespace={unique}", name)

    def inside(command: str) -> str:
        return kube.must("exec", *where, f"--container={container}", "--", "sh", "-c", command)

    def start() -> None:
        # Its service account comes a moment after its namespace; until then no Pod is taken.
        text = json.dumps(pod)
        eventually("taken", lambda: kube.kubectl("create", "--filename=-", input=text).returncode == 0)
        looked = ("exec", *where, f"--container={container}", "--", "test", "-e", STARTED)
        eventually("its program runs", lambda: kube.kubectl(*looked).returncode == 0, patience_s=READY_WITHIN_S)

    with serving(bed, tmp_path, ("physics",)) as stores:
        bucket = stores["physics"].folder / "objects" / "physics-data"
        bucket.mkdir(exist_ok=True)
        kube.apply(remotes(stores["physics"], unique))
        start()
        inside("echo work >~/a.txt; mkdir ~/bin; printf '#!/bin/sh\\necho hi\\n' >~/bin/x; chmod 755 ~/bin/x")
        assert kube.kubectl("exec", *where, "--", "touch", "/opt/x").returncode != 0  # its root is read-only
        kube.must("delete", "pod", *where)  # what is new is saved within its grace
        assert len(list(bucket.glob("homes/*/one/files/a.txt"))) == 1
        start()
        assert inside("cat ~/a.txt; ~/bin/x").split() == ["work", "hi"]
        told = json.loads(inside("cat /var/lib/tenanthub/home.json"))
        assert (told["state"], told["unsaved_files"]) == ("kept", 0)
        kube.must("delete", "pod", *where, "--grace-period=1")


def test_the_api_server_takes_the_claim_of_a_home(kube: Kube, unique: str) -> None:
    launch = cases()["ide-kept-on-a-volume"]
    made = claims.claim(launch.plan.claims[0], launch)
    kube.must("create", "namespace", unique)
    kube.apply({**made, "metadata": {**made["metadata"], "namespace": unique}})
    found = kube.get("persistentvolumeclaim", made["metadata"]["name"], f"--namespace={unique}")
    assert found["spec"]["storageClassName"] == "ceph-block"
    assert found["status"]["phase"] == "Pending"  # no such class here
