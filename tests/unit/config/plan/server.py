"""What an API server would hold after server-side apply: enough of it for the pure parts of plan."""

from __future__ import annotations

import copy
from typing import Any

from config.emit.common import Manifest

WHEN = "2026-11-21T12:00:00Z"


def fields_of(value: Any) -> dict[str, Any]:
    """FieldsV1 of *value* where every list is atomic."""
    if not isinstance(value, dict):
        return {}
    return {f"f:{name}": fields_of(inner) for name, inner in value.items()}


def stored(manifest: Manifest, manager: str = "tenanthub", operation: str = "Apply", uid: str = "") -> Manifest:
    """*manifest* as the server returns it after *manager* has applied it."""
    live = copy.deepcopy(manifest)
    metadata = live["metadata"]
    owned = {name: value for name, value in manifest.items() if name not in ("apiVersion", "kind", "metadata")}
    marks = {name: value for name, value in manifest["metadata"].items() if name not in ("name", "namespace")}
    metadata["uid"] = uid or f"uid-of-{metadata.get('namespace', '')}-{metadata['name']}"
    metadata["resourceVersion"] = "1"
    metadata["managedFields"] = [
        entry(fields_of({**owned, **({"metadata": marks} if marks else {})}), manager, operation)
    ]
    return live


def entry(fields: dict[str, Any], manager: str, operation: str = "Update") -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "time": WHEN, "fieldsType": "FieldsV1", "fieldsV1": fields}


def disown(live: Manifest, *path: str) -> None:
    """Somebody else has changed the field at *path*: our entry loses it."""
    owned = live["metadata"]["managedFields"][0]["fieldsV1"]
    for step in path[:-1]:
        owned = owned[f"f:{step}"]
    del owned[f"f:{path[-1]}"]
