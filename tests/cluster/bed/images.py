"""OCI image archives made by hand: one static program, one layer, so that no other image and no engine is needed.

Format: the OCI image layout (oci-layout, index.json, blobs/) in a tar, which `ctr images import` reads. Made
reproducibly (no times, no owners), so that the same program always has the same digest.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.cluster.bed.names import BedError

# .test never resolves (RFC 6761), so a node that lacks one of these cannot fetch something else by that name.
PAUSE = "tenanthub.test/pause:1"
TOOL = "tenanthub.test/tool:1"
TOOL_PROGRAM = "/bin/tenanthub-test"
NOBODY = "65532:65532"  # a number, so that runAsNonRoot can be checked without a passwd file

_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
_CONFIG = "application/vnd.oci.image.config.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEX = "application/vnd.oci.image.index.v1+json"


def architecture() -> str:
    """This machine's, by the OCI's (Go's) name. Raises BedError for one that the bed has not been thought for."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    if (machine := platform.machine()) not in names:
        raise BedError(f"no name for the architecture {machine}; known are {', '.join(names)}")
    return names[machine]


def write(archive: Path, reference: str, program: Path, at: str, argv: Sequence[str] = (), user: str = NOBODY) -> None:
    """Write an archive of an image that holds the program at that absolute path, and runs it with these arguments."""
    layer = _layer(program, at)
    packed = gzip.compress(layer, mtime=0)
    config = _json(
        {
            "architecture": architecture(),
            "os": "linux",
            "config": {"User": user, "Entrypoint": [at], "Cmd": list(argv), "Env": ["PATH=/bin"], "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer)]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(_CONFIG, config),
            "layers": [_descriptor(_LAYER, packed)],
        }
    )
    # containerd names an imported image by its own annotation, other tools by the OCI's
    names = {"io.containerd.image.name": reference, "org.opencontainers.image.ref.name": reference}
    index = {
        "schemaVersion": 2,
        "mediaType": _INDEX,
        "manifests": [{**_descriptor(MANIFEST, manifest), "annotations": names}],
    }
    with tarfile.open(archive, "w") as tar:
        _add(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _add(tar, "index.json", _json(index))
        for blob in (packed, config, manifest):
            _add(tar, f"blobs/sha256/{_digest(blob).removeprefix('sha256:')}", blob)


def manifest_of(archive: Path) -> tuple[bytes, dict[str, bytes]]:
    """The manifest of an archive with one image, and its blobs (configuration and layers) by digest."""
    with tarfile.open(archive) as tar:

        def content(name: str) -> bytes:
            file = tar.extractfile(name)
            if file is None:
                raise BedError(f"{archive}: {name} is not a file")
            return file.read()

        def blob(digest: str) -> bytes:
            return content(f"blobs/sha256/{digest.removeprefix('sha256:')}")

        manifest = blob(json.loads(content("index.json"))["manifests"][0]["digest"])
        parts = json.loads(manifest)
        return manifest, {part["digest"]: blob(part["digest"]) for part in [parts["config"], *parts["layers"]]}


def _layer(program: Path, at: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        path = Path(at.lstrip("/"))
        for folder in reversed([Path("tmp"), *(parent for parent in path.parents if parent != Path())]):
            entry = tarfile.TarInfo(str(folder))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o1777 if folder == Path("tmp") else 0o755
            tar.addfile(entry)
        _add(tar, str(path), program.read_bytes(), 0o755)
    return packed.getvalue()


def _add(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o644) -> None:
    entry = tarfile.TarInfo(name)  # time 0, owner 0
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
