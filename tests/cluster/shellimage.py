"""An image with a shell and a few programs of this machine's own, for what the bed's one static program cannot do."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterable
from pathlib import Path

from tests.cluster.bed import Bed, binaries, images, registry

PROGRAMS = {"/bin/sh": "dash", "/bin/tail": "tail", "/bin/mkdir": "mkdir", "/bin/sleep": "sleep", "/bin/cat": "cat"}
_NAME = "tests/shell:1"


def push(bed: Bed, folder: Path) -> str:
    """Make it, push it into the bed's registry; its reference."""
    files = {at: _found(program) for at, program in PROGRAMS.items()}
    files[images.TOOL_PROGRAM] = binaries.ensure().tool
    for library in sorted({one for file in files.values() for one in _libraries(file)}):
        files[library] = Path(library)
    archive = folder / "shell.tar"
    _write(archive, files)
    return registry.push(bed, archive, _NAME)


def _found(program: str) -> Path:
    return next(path for path in (Path("/bin") / program, Path("/usr/bin") / program) if path.exists())


def _libraries(program: Path) -> Iterable[str]:
    """Absolute paths as the program asks for them, its loader among them; none of a static one."""
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False).stdout
    return re.findall(r"(/[^ ]+) \(0x", told)


def _write(archive: Path, files: dict[str, Path]) -> None:
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for at, file in files.items():
            entry = tarfile.TarInfo(at.lstrip("/"))
            content = file.read_bytes()
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    packed = gzip.compress(layer.getvalue(), 1, mtime=0)
    config = _json(
        {
            "architecture": images.architecture(),
            "os": "linux",
            "config": {"User": images.NOBODY, "Entrypoint": ["/bin/sh"], "Env": ["PATH=/bin"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
        }
    )
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": images.MANIFEST,
            "config": _descriptor("application/vnd.oci.image.config.v1+json", config),
            "layers": [_descriptor("application/vnd.oci.image.layer.v1.tar+gzip", packed)],
        }
    )
    index = _json({"schemaVersion": 2, "manifests": [_descriptor(images.MANIFEST, manifest)]})
    with tarfile.open(archive, "w") as tar:
        blobs = {f"blobs/sha256/{_digest(one).removeprefix('sha256:')}": one for one in (packed, config, manifest)}
        for name, content in {"index.json": index, **blobs}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))


def _descriptor(media_type: str, content: bytes) -> dict[str, str | int]:
    return {"mediaType": media_type, "digest": _digest(content), "size": len(content)}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
