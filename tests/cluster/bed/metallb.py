"""A real MetalLB, deployed as its own manifest says: a controller, and a speaker on each node's network.

Changed from that manifest: the programs are mounted from the build cache; pods are asked for readiness at once, not
after 10 s; the members' key is there from the start, so that no speaker waits for the controller to make it; and there
is no validating webhook, because the API server, outside the cluster's network, could not call it.
"""

from __future__ import annotations

import base64
import secrets
import urllib.error
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import yaml

from tests.cluster.bed import control, deploy
from tests.cluster.bed.deploy import Object
from tests.cluster.bed.names import Bed

NAMESPACE = "metallb-system"
MEMBERS = "memberlist"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_LEFT_OUT = {"CustomResourceDefinition", "ValidatingWebhookConfiguration"}


class Programs(Protocol):
    """The part of binaries.Binaries that is used here."""

    @property
    def metallb_controller(self) -> Path: ...
    @property
    def metallb_speaker(self) -> Path: ...
    @property
    def metallb_crds(self) -> Path: ...
    @property
    def metallb_manifest(self) -> Path: ...


def start(bed: Bed, programs: Programs) -> None:
    """Start it and wait until its controller and all its speakers are at work.

    Raises:
        BedError: They were not in time.
    """
    apart = {"controller": programs.metallb_controller, "speaker": programs.metallb_speaker}
    there = {item["metadata"]["name"] for item in control.call(bed, "GET", DEFINITIONS)["items"]}
    manifest = yaml.safe_load_all(programs.metallb_manifest.read_text(encoding="utf-8"))
    wanted = [*definitions(programs.metallb_crds, there), *objects(manifest, apart)]
    deploy.apply(bed, wanted if _has_key(bed) else [*wanted, _key()])
    deploy.wait(bed, NAMESPACE, "deployments", "controller")
    deploy.wait(bed, NAMESPACE, "daemonsets", "speaker")


def definitions(folder: Path, there: Iterable[str]) -> list[Object]:
    """MetalLB's own resource definitions, without those that the bed has from elsewhere, of whichever release."""
    found = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.yaml"))]
    return [each for each in found if each["metadata"]["name"] not in set(there)]


def objects(manifest: Iterable[Object | None], programs: Mapping[str, Path]) -> list[Object]:
    """The manifest's objects as the bed needs them, the namespace first.

    Args:
        manifest: MetalLB's own, parsed.
        programs: What each container runs, by the container's name.
    """
    kept = [each for each in manifest if each and each["kind"] not in _LEFT_OUT]
    for each in kept:
        if each["kind"] in ("Deployment", "DaemonSet"):
            _fit(each["spec"]["template"]["spec"], programs)
    return sorted(kept, key=lambda each: each["kind"] != "Namespace")  # stable: the rest stays in its order


def _fit(pod: Object, programs: Mapping[str, Path]) -> None:
    pod["tolerations"] = [{"operator": "Exists"}]  # tests taint nodes as they like
    for container in pod["containers"]:
        deploy.mounted(pod, container, programs[container["name"]])
        container["readinessProbe"].update(initialDelaySeconds=0, periodSeconds=1)
        container["livenessProbe"].update(initialDelaySeconds=30)
        if "runAsUser" not in pod.get("securityContext", {}):
            container["securityContext"]["runAsUser"] = 0  # MetalLB's image, in whose place ours is, has root as user
        container["resources"] = {"requests": {"cpu": "20m", "memory": "64Mi"}}
        if container["name"] == "controller":
            container["args"] += ["--webhook-mode=disabled", "--disable-cert-rotation"]


def _has_key(bed: Bed) -> bool:
    """Another key under running speakers would part those that have read it from those that have not."""
    try:
        control.call(bed, "GET", f"/api/v1/namespaces/{NAMESPACE}/secrets/{MEMBERS}")
    except urllib.error.HTTPError as error:
        if error.code != HTTPStatus.NOT_FOUND:
            raise
        return False
    return True


def _key() -> Object:
    """What the speakers know each other by, as MetalLB's controller would make it."""
    metadata = {"name": MEMBERS, "namespace": NAMESPACE}
    key = base64.b64encode(secrets.token_bytes(128)).decode()
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {"secretkey": key}}
