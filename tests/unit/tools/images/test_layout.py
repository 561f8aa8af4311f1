"""Finished images on disk: which of them stay."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from tools.images import layout


def blob(folder: Path, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    (folder / "blobs" / "sha256" / digest).write_bytes(content)
    return {"digest": f"sha256:{digest}", "size": len(content)}


def made(folder: Path, *names: str) -> Path:
    """A layout with these images; all have the layer `base` and one of their own."""
    manifests = []
    for name in names:
        parts = {
            "config": blob(folder, f"{name}-config".encode()),
            "layers": [blob(folder, b"base"), blob(folder, name.encode())],
        }
        annotations = {"org.opencontainers.image.ref.name": f"localhost/tenanthub/{name}"}
        manifests.append({**blob(folder, json.dumps(parts).encode()), "annotations": annotations})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": manifests}))
    return folder


def test_the_last_ones_of_each_name_stay_whole_and_the_others_blobs_go(tmp_path: Path) -> None:
    folder = made(tmp_path, "hub:1", "app:1", "hub:2", "hub:3")
    layout.prune(folder, 2)
    assert [name.rpartition("/")[2] for name in layout.references(folder)] == ["app:1", "hub:2", "hub:3"]
    contents = {file.read_bytes() for file in (folder / "blobs" / "sha256").iterdir()}
    assert b"base" in contents and b"hub:2" in contents and b"hub:1" not in contents
    assert len(contents) == 3 * 3 + 1


def test_what_is_not_whole_is_not_there(tmp_path: Path) -> None:
    folder = made(tmp_path, "hub:1")
    assert layout.find(folder, "localhost/tenanthub/hub:1")
    (folder / "blobs" / "sha256" / hashlib.sha256(b"base").hexdigest()).unlink()
    assert layout.find(folder, "localhost/tenanthub/hub:1") is None
    assert layout.references(folder) == []


def test_no_layout_is_no_problem(tmp_path: Path) -> None:
    layout.prune(tmp_path, 2)
    assert layout.find(tmp_path, "localhost/tenanthub/hub:1") is None
