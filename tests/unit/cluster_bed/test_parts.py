"""Pure parts of what the bed is made of: Debian's mirror, image archives, the add-ons' objects."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.bed import binaries, coredns, debs, deploy, gobuild, images, metallb
from tests.cluster.bed.names import BedError, bed_of

TARGETS = """\
trixie main http://security.example/debian-security/
bookworm-updates main http://mirror.example/debian/
bookworm contrib http://mirror.example/contrib/
bookworm main http://mirror.example/debian/
bookworm main http://second.example/debian/
"""


def test_debian_comes_from_the_mirror_of_the_machines_own_release() -> None:
    assert debs.choose(TARGETS, "bookworm") == debs.Mirror("http://mirror.example/debian/", "bookworm")
    with pytest.raises(BedError, match="no source for Debian forky"):
        debs.choose(TARGETS, "forky")


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    (tmp_path / "program").write_bytes(b"\x7fELF")
    images.write(tmp_path / "image.tar", "example.test/a:1", tmp_path / "program", "/bin/program", ["serve", "80"])
    return tmp_path / "image.tar"


def test_an_image_archive_is_an_oci_layout(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        files = {entry.name: tar.extractfile(entry).read() for entry in tar if entry.isfile()}  # type: ignore[union-attr]
    assert json.loads(files["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}
    (entry,) = json.loads(files["index.json"])["manifests"]
    assert entry["annotations"]["io.containerd.image.name"] == "example.test/a:1"
    for name, content in files.items():
        if name.startswith("blobs/"):
            assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"


def test_an_image_runs_its_program_as_nobody(archive: Path) -> None:
    manifest, blobs = images.manifest_of(archive)
    parts = json.loads(manifest)
    config = json.loads(blobs[parts["config"]["digest"]])
    assert config["config"]["User"] == images.NOBODY
    assert (config["config"]["Entrypoint"], config["config"]["Cmd"]) == (["/bin/program"], ["serve", "80"])
    (layer,) = parts["layers"]
    with tarfile.open(fileobj=io.BytesIO(blobs[layer["digest"]]), mode="r:gz") as tar:
        modes = {entry.name: oct(entry.mode) for entry in tar}
    assert modes == {"tmp": "0o1777", "bin": "0o755", "bin/program": "0o755"}
    assert layer["size"] == len(blobs[layer["digest"]])


def test_an_image_is_the_same_each_time(archive: Path, tmp_path: Path) -> None:
    again = tmp_path / "again.tar"
    images.write(again, "example.test/a:1", tmp_path / "program", "/bin/program", ["serve", "80"])
    assert again.read_bytes() == archive.read_bytes()


def workload(kind: str, generation: int = 1, **status: int) -> dict[str, Any]:
    return {"kind": kind, "metadata": {"generation": generation}, "spec": {"replicas": 2}, "status": status}


READY = {"updatedReplicas": 2, "readyReplicas": 2, "replicas": 2}
ON_NODES = {"desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberReady": 3}


@pytest.mark.parametrize(
    ("given", "complete"),
    [
        (workload("Deployment", observedGeneration=1, **READY), True),
        (workload("Deployment"), False),
        (workload("Deployment", generation=2, observedGeneration=1, **READY), False),
        (workload("Deployment", observedGeneration=1, **{**READY, "replicas": 3}), False),  # an old pod is still there
        (workload("Deployment", observedGeneration=1, **{**READY, "readyReplicas": 1}), False),
        (workload("DaemonSet", observedGeneration=1, **ON_NODES), True),
        (workload("DaemonSet", observedGeneration=1), False),  # no node yet, so nothing wanted
        (workload("DaemonSet", observedGeneration=1, **{**ON_NODES, "numberReady": 2}), False),
        (workload("DaemonSet", observedGeneration=1, **{**ON_NODES, "updatedNumberScheduled": 2}), False),
    ],
)
def test_when_a_workload_is_complete(given: dict[str, Any], complete: bool) -> None:
    assert deploy.complete(given) is complete


@pytest.mark.parametrize(
    ("version", "kind", "namespace", "path"),
    [
        ("v1", "Namespace", None, "/api/v1/namespaces/x"),
        ("v1", "ConfigMap", "ns", "/api/v1/namespaces/ns/configmaps/x"),
        ("apps/v1", "DaemonSet", "ns", "/apis/apps/v1/namespaces/ns/daemonsets/x"),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", None, "/apis/rbac.authorization.k8s.io/v1/clusterroles/x"),
    ],
)
def test_where_an_object_is(version: str, kind: str, namespace: str | None, path: str) -> None:
    metadata = {"name": "x", **({"namespace": namespace} if namespace else {})}
    assert deploy.path_of({"apiVersion": version, "kind": kind, "metadata": metadata}) == path


MANIFEST = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: speaker, namespace: metallb-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: ipaddresspools.metallb.io}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata: {name: metallb-webhook-configuration}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: speaker, namespace: metallb-system}
spec:
  template:
    spec:
      containers:
      - name: speaker
        image: example.test/speaker
        args: [--port=7472]
        readinessProbe: {initialDelaySeconds: 10, periodSeconds: 10}
        livenessProbe: {initialDelaySeconds: 10}
        securityContext: {readOnlyRootFilesystem: true}
---
"""


def test_metallb_is_deployed_as_its_manifest_says_but_from_the_cache() -> None:
    programs = {"speaker": Path("/cache/metallb/speaker")}
    objects = metallb.objects(yaml.safe_load_all(MANIFEST), programs)
    assert [each["kind"] for each in objects] == ["Namespace", "ServiceAccount", "DaemonSet"]
    pod = objects[2]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert (container["image"], container["command"]) == (images.TOOL, ["/program/speaker"])
    assert container["args"] == ["--port=7472"]
    assert container["securityContext"] == {"readOnlyRootFilesystem": True, "runAsUser": 0}
    assert pod["volumes"] == [{"name": "program", "hostPath": {"path": "/cache/metallb", "type": "Directory"}}]


def test_metallbs_own_definitions_fill_what_the_bed_lacks(tmp_path: Path) -> None:
    for name in ("bgppeers", "ipaddresspools"):
        (tmp_path / f"{name}.yaml").write_text(json.dumps({"metadata": {"name": f"{name}.metallb.io"}}))
    found = metallb.definitions(tmp_path, ["ipaddresspools.metallb.io", "tenants.capsule.clastix.io"])
    assert [each["metadata"]["name"] for each in found] == ["bgppeers.metallb.io"]


def test_dns_is_where_kubelets_say_it_is() -> None:
    bed = bed_of("bed", 3)
    (service,) = [each for each in coredns.objects(bed, Path("/c/coredns")) if each["kind"] == "Service"]
    assert service["spec"]["clusterIP"] == str(bed.dns)
    assert service["spec"]["selector"] == coredns.LABELS


def test_a_modules_key_follows_its_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gobuild, "MODULES", tmp_path)
    (tmp_path / "tool").mkdir()
    (tmp_path / "tool" / "main.go").write_text("package main")
    first = gobuild.key(gobuild.TOOL)
    (tmp_path / "tool" / "notes.txt").write_text("not a source")
    assert gobuild.key(gobuild.TOOL) == first
    (tmp_path / "tool" / "main.go").write_text("package main // changed")
    assert gobuild.key(gobuild.TOOL) != first


def test_every_part_has_a_name_that_can_be_asked_for() -> None:
    assert {each.name for each in binaries.artefacts()} == set(binaries.ALL)
    assert set(binaries.CONTROL_PLANE) < set(binaries.BED) < set(binaries.ALL)
