"""A home on a storage class: what a notebook leaves there VS Code finds, and the notebook's next Pod finds both's."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import yaml

from config.names import namespace
from tests.cluster.chart import Installed
from tests.cluster.chart_people import PATIENCE_S, Person
from tests.cluster.journeys import world
from tests.cluster.kube import eventually

pytestmark = pytest.mark.timeout(1200)
"""Seconds; one minute is usual."""
CLASS = "shelf"
VOLUME = "shelf-1"
SPACE = namespace(world.PHYSICS)


@pytest.fixture
def shelf(installed: Installed) -> Iterator[None]:
    """The storage class in the declared world, with one volume made by hand, as a site without a provisioner has it. A
    local volume, and of root: the kubelet gives it to the Pod's group, as it does with a disk."""
    folder = installed.state / "shelf"
    folder.mkdir()
    site = installed.folder / "site.yaml"
    before = site.read_text()
    changed = yaml.safe_load(before)
    changed["cluster"]["storage_classes"] = [{"name": CLASS, "title": "Shelf", "home_size": "1Gi"}]
    there = {"key": "kubernetes.io/hostname", "operator": "In", "values": [world.WORKER[world.PHYSICS]]}
    installed.kube.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": VOLUME},
            "spec": {
                "capacity": {"storage": "1Gi"},
                "accessModes": ["ReadWriteOnce"],
                "storageClassName": CLASS,
                "local": {"path": str(folder)},
                "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [there]}]}},
            },
        }
    )
    site.write_text(yaml.safe_dump(changed, sort_keys=False))
    try:
        installed.apply()
        installed.upgrade()  # the hub's right to make claims comes by it; nothing is restarted
        yield
    finally:
        site.write_text(before)
        installed.kube.kubectl("delete", "persistentvolumeclaim", "--all", f"--namespace={SPACE}")
        installed.kube.kubectl("delete", "persistentvolume", VOLUME)
        installed.apply()
        installed.upgrade()


def test_a_home_on_a_volume_goes_from_server_to_server(installed: Installed, shelf: None) -> None:
    member = Person(installed, world.MEMBER)
    where = {"home": f"class:{CLASS}", "home_name": "desk"}
    installed.hurry()
    eventually(
        "the hub knows the class",
        lambda: member.accepted(world.MEMBER, "first", "notebook", **where),
        patience_s=PATIENCE_S,
    )
    member.ready(world.MEMBER, "first")
    first = _inside(installed, "first", "echo measured > ~/a.txt; mkdir ~/bin; id -g")
    [claim] = installed.kube.get("persistentvolumeclaims", f"--namespace={SPACE}")["items"]
    assert claim["spec"]["volumeName"] == VOLUME
    member.stop(world.MEMBER, "first")
    assert (installed.state / "shelf" / "a.txt").stat().st_gid == int(first)

    member.launch(world.MEMBER, "editor", "vscode", **where)
    assert _inside(installed, "editor", "cat ~/a.txt; echo edited >> ~/a.txt") == "measured"
    member.stop(world.MEMBER, "editor")

    member.launch(world.MEMBER, "first", "notebook", **where)
    assert _inside(installed, "first", "cat ~/a.txt; ls -d ~/bin").split()[:2] == ["measured", "edited"]
    member.stop(world.MEMBER, "first")
    [kept] = installed.kube.get("persistentvolumeclaims", f"--namespace={SPACE}")["items"]
    assert kept["metadata"]["uid"] == claim["metadata"]["uid"], json.dumps(kept)


def _inside(made: Installed, name: str, command: str) -> str:
    """What a command says in the workload's Pod."""
    label = f"--selector={world.DOMAIN}/workload={name}"
    found = made.kube.get("pods", f"--namespace={SPACE}", label)["items"]
    [pod] = [one for one in found if "deletionTimestamp" not in one["metadata"]]
    target = (f"--namespace={SPACE}", pod["metadata"]["name"])
    return made.kube.must(
        "exec", *target, f"--container={pod['spec']['containers'][0]['name']}", "--", "sh", "-c", command
    ).strip()
