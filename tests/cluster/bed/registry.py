"""An OCI registry on the host (Debian's docker-registry), in the machine room: plain HTTP, anyone may push."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from tests.cluster.bed import certs, images, processes
from tests.cluster.bed.names import Bed, BedError

NAME = "registry"
TIMEOUT_S = 30


class Programs(Protocol):
    """The part of binaries.Binaries that is used here."""

    @property
    def registry(self) -> Path: ...


def start(bed: Bed, programs: Programs) -> None:
    """Start it and wait until it answers; nothing to do for a bed without one.

    Raises:
        BedError: It was not there in time.
    """
    if not bed.registry:
        return
    storage = bed.data / NAME
    storage.mkdir(parents=True, exist_ok=True)
    settings = {
        "version": 0.1,
        "log": {"level": "warn", "accesslog": {"disabled": False}},
        "storage": {"filesystem": {"rootdirectory": str(storage)}, "delete": {"enabled": True}},
        "http": {"addr": bed.registry},
    }
    # YAML holds JSON
    file = certs.private_file(bed.state / "registry.yaml", json.dumps(settings))
    processes.start(bed, NAME, [str(programs.registry), "serve", str(file)])
    processes.wait(bed, "the registry", lambda: _call(bed, "GET", "/v2/")[0] == http.client.OK, watch=[NAME])


def push(bed: Bed, archive: Path, name: str) -> str:
    """Push the image of an OCI archive (see images.py) as `name`, e.g. `lab/tool:1`.

    Returns:
        The reference that pods use: registry, name and tag.

    Raises:
        BedError: The registry does not take it.
    """
    repository, tag = name.rsplit(":", 1)
    manifest, blobs = images.manifest_of(archive)
    for digest, content in blobs.items():
        _, upload, _ = _wanted(bed, "POST", f"/v2/{repository}/blobs/uploads/")
        joint = "&" if urlsplit(upload).query else "?"
        _wanted(bed, "PUT", f"{upload}{joint}digest={digest}", content, "application/octet-stream")
    _wanted(bed, "PUT", f"/v2/{repository}/manifests/{tag}", manifest, images.MANIFEST)
    return f"{bed.registry}/{name}"


def catalogue(bed: Bed) -> list[str]:
    """The names of all images that it holds, without tags. Raises BedError."""
    _, _, text = _wanted(bed, "GET", "/v2/_catalog")
    return list(json.loads(text)["repositories"])


def _wanted(bed: Bed, method: str, path: str, body: bytes = b"", media: str = "") -> tuple[int, str, bytes]:
    """As `_call`, for an answer that must be a good one."""
    try:
        status, location, text = _call(bed, method, path, body, media)
    except OSError as error:
        raise BedError(f"the registry {bed.registry} does not answer: {error}") from error
    if status // 100 != 2:
        raise BedError(f"the registry answered {method} {path} with {status}: {text.decode(errors='replace')[:200]}")
    return status, location, text


def _call(bed: Bed, method: str, path: str, body: bytes = b"", media: str = "") -> tuple[int, str, bytes]:
    """Status, where the answer points to (path and query), and body; http.client uses no proxy of the machine's."""
    if not bed.registry:
        raise BedError("a bed without nodes has no registry")
    connection = http.client.HTTPConnection(bed.registry, timeout=TIMEOUT_S)
    try:
        connection.request(method, path, body, {"Content-Type": media} if media else {})
        answer = connection.getresponse()
        location = urlsplit(answer.headers.get("Location", ""))
        return answer.status, location.path + (f"?{location.query}" if location.query else ""), answer.read()
    finally:
        connection.close()
