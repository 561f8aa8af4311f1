"""Finished images on disk: one OCI image layout for all, so that what they share (the base) lies there once.

Source: OCI image specification 1.1, image-layout and manifest; OCI distribution specification 1.1, "Pushing blobs".
"""

from __future__ import annotations

import http.client
import json
import struct
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tools.images.problem import BuildError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_NAME = "org.opencontainers.image.ref.name"
_TIMEOUT_S = 120


@dataclass(frozen=True)
class Stored:
    """An image in a layout: its manifest and the blobs that this names."""

    folder: Path
    digest: str

    def blob(self, digest: str) -> Path:
        """Where a blob lies, `sha256:…`."""
        return self.folder / "blobs" / digest.replace(":", "/")

    @property
    def manifest(self) -> dict[str, Any]:
        """The parsed manifest."""
        found: dict[str, Any] = json.loads(self.blob(self.digest).read_bytes())
        return found

    @property
    def config(self) -> dict[str, Any]:
        """The parsed image configuration."""
        found: dict[str, Any] = json.loads(self.blob(self.manifest["config"]["digest"]).read_bytes())
        return found

    @property
    def layers(self) -> list[Path]:
        """The layers' files (tar, gzip), the base's first."""
        return [self.blob(layer["digest"]) for layer in self.manifest["layers"]]

    @property
    def whole(self) -> bool:
        """Whether all of it is there."""
        try:
            parts = [self.manifest["config"], *self.manifest["layers"]]
            return all(self.blob(one["digest"]).stat().st_size == one["size"] for one in parts)
        except (OSError, ValueError, KeyError):
            return False

    def size(self) -> int:
        """Bytes that a node pulls."""
        return sum(layer["size"] for layer in self.manifest["layers"])

    def unpacked(self) -> int:
        """Bytes on a node's disk: gzip notes the length before packing in a file's last four bytes (RFC 1952)."""
        total = 0
        for layer in self.layers:
            with layer.open("rb") as stream:
                stream.seek(-4, 2)
                total += struct.unpack("<I", stream.read(4))[0]
        return total

    def read(self, path: str) -> bytes | None:
        """A file of the image, by its path without the leading slash; the last layer that has it counts."""
        for layer in reversed(self.layers):
            with tarfile.open(layer, "r:gz") as tar:
                for entry in tar:
                    if entry.name.removeprefix("./") == path and (file := tar.extractfile(entry)):
                        return file.read()
        return None


def find(folder: Path, name: str) -> Stored | None:
    """The image of that name in the layout; None where it is not there, or not whole."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    for one in index["manifests"]:
        if one.get("annotations", {}).get(_NAME) == name:
            stored = Stored(folder, one["digest"])
            return stored if stored.whole else None
    return None


def references(folder: Path) -> list[str]:
    """The names of all whole images in the layout, in the order in which they came."""
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    names = [one.get("annotations", {}).get(_NAME, "") for one in index["manifests"]]
    return [name for name in names if name and find(folder, name)]


def prune(folder: Path, keep: int) -> None:
    """Drop all but the last *keep* images of each name before the colon, and the blobs that none of the others has.

    The caller sees to it that nobody writes to the layout meanwhile.
    """
    try:
        index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return
    kept: list[dict[str, Any]] = []
    count: dict[str, int] = {}
    for one in reversed(index["manifests"]):
        name = one.get("annotations", {}).get(_NAME, "").rpartition(":")[0]
        count[name] = count.get(name, 0) + 1
        if count[name] <= keep:
            kept.insert(0, one)
    if len(kept) == len(index["manifests"]):
        return
    wanted: set[str] = set()
    for one in kept:
        manifest = json.loads(Stored(folder, one["digest"]).blob(one["digest"]).read_bytes())
        wanted |= {one["digest"], manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])}
    # First the index, then what it no longer names: killed in between, nothing is named that is not there.
    fresh = folder / "index.json.new"
    fresh.write_text(json.dumps({**index, "manifests": kept}), encoding="utf-8")
    fresh.replace(folder / "index.json")
    for blob in (folder / "blobs" / "sha256").iterdir():
        if f"sha256:{blob.name}" not in wanted:
            blob.unlink()


def push(stored: Stored, registry: str, repository: str, tag: str) -> str:
    """Push to a registry that speaks plain HTTP and asks for no sign-in; the reference. What it has is not sent again.

    For all others the engine's own push is used: it knows sign-in and TLS.

    Raises:
        BuildError: The registry does not answer, or does not take it.
    """
    try:
        for part in (stored.manifest["config"], *stored.manifest["layers"]):
            _push_blob(registry, repository, stored.blob(part["digest"]), part["digest"])
        content = stored.blob(stored.digest).read_bytes()
        media = stored.manifest.get("mediaType", MANIFEST)
        status, _, text = _call(registry, "PUT", f"/v2/{repository}/manifests/{tag}", content, media)
    except OSError as error:
        raise BuildError(f"the registry {registry} does not answer: {error}") from None
    if status != http.client.CREATED:
        raise BuildError(f"the registry {registry} refused {repository}:{tag} ({status}): {text[:200]!r}")
    return f"{registry}/{repository}:{tag}"


def _push_blob(registry: str, repository: str, file: Path, digest: str) -> None:
    if _call(registry, "HEAD", f"/v2/{repository}/blobs/{digest}")[0] == http.client.OK:
        return
    status, place, text = _call(registry, "POST", f"/v2/{repository}/blobs/uploads/")
    if status == http.client.ACCEPTED:
        joint = "&" if urlsplit(place).query else "?"
        status, _, text = _call(registry, "PUT", f"{place}{joint}digest={digest}", file, "application/octet-stream")
    if status != http.client.CREATED:
        raise BuildError(f"the registry {registry} refused a layer of {repository} ({status}): {text[:200]!r}")


def _call(registry: str, method: str, path: str, body: Path | bytes = b"", media: str = "") -> tuple[int, str, bytes]:
    """Status, path and query of Location, body. A file is sent piece by piece, without being read as a whole."""
    connection = http.client.HTTPConnection(registry, timeout=_TIMEOUT_S)
    headers = {"Content-Type": media} if media else {}
    try:
        if isinstance(body, Path):
            headers["Content-Length"] = str(body.stat().st_size)
            with body.open("rb") as stream:
                connection.request(method, path, stream, headers)
        else:
            connection.request(method, path, body, headers)
        answer = connection.getresponse()
        place = urlsplit(answer.headers.get("Location", ""))
        return answer.status, place.path + (f"?{place.query}" if place.query else ""), answer.read()
    finally:
        connection.close()
