"""Who set which field: `metadata.managedFields`, which the API server keeps for every object.

Each entry names a manager and, as FieldsV1, the fields that are its own: `f:<name>` is a field, `k:{…}` the item of a
list whose items are found by keys, `v:…` the item of a set, `.` the container itself. An empty object is a leaf, or a
list or mapping that is owned as a whole (atomic).
Source: Kubernetes, "Server-Side Apply", and sigs.k8s.io/structured-merge-diff, fieldpath/serialize.go.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from config.emit.common import Manifest
from config.names import FIELD_MANAGER

Owned = Mapping[str, Any]
"""FieldsV1 of one manager."""
Steps = tuple[str | int, ...]
"""A place in an object: names of fields, and places in lists from 0."""

_IDENTITY = frozenset({"name", "namespace"})
"""Below metadata: never owned, as they are what the object is found by."""
EMPTY: tuple[Any, ...] = (None, {}, [])
"""What an API server may leave away when it stores an object."""


def ours(live: Manifest) -> Owned | None:
    """The fields that server-side apply as `tenanthub` owns; None where it never was applied."""
    for entry in live["metadata"].get("managedFields", ()):
        if entry["manager"] == FIELD_MANAGER and entry["operation"] == "Apply" and not entry.get("subresource"):
            found: Owned = entry.get("fieldsV1", {})
            return found
    return None


def declared(desired: Manifest) -> Manifest:
    """The part of *desired* that can be owned: all but what the object is found by."""
    rest = {name: value for name, value in desired.items() if name not in ("apiVersion", "kind")}
    rest["metadata"] = {name: value for name, value in desired["metadata"].items() if name not in _IDENTITY}
    return rest


def owns_exactly(owned: Owned, value: Any) -> bool:
    """Whether what is owned and what *value* sets are the same fields.

    Fewer owned: somebody has taken a field over, by changing it. More: the declaration has dropped one.
    """
    if not owned:
        return True  # a leaf, or atomic: owned as a whole
    if isinstance(value, dict):
        found = 0
        for step, below in owned.items():
            if step == ".":
                continue
            name = step[2:]
            if name not in value or (below and not owns_exactly(below, value[name])):
                return False
            found += 1
        return found == len(value) or all(inner in EMPTY for name, inner in value.items() if f"f:{name}" not in owned)
    if isinstance(value, list):
        steps = [step for step in owned if step != "."]
        return len(steps) == len(value) and all(_owns_item(step, owned[step], value) for step in steps)
    return False


def _owns_item(step: str, below: Owned, items: list[Any]) -> bool:
    if step.startswith("v:"):
        return json.loads(step[2:]) in items
    item = _item(step, items)
    return item is not None and owns_exactly(below, item)


def _item(step: str, items: Sequence[Any]) -> Any:
    """The item that `k:{…}` means; a key that the item leaves to its default counts as equal."""
    wanted = json.loads(step[2:])
    for item in items:
        if isinstance(item, dict) and all(item.get(name, value) == value for name, value in wanted.items()):
            return item
    return None


def holder(live: Manifest, steps: Steps) -> str:
    """Who set the field at *steps*, if it was not us: "kubectl-edit, 2026-11-21T13:20:05Z"; empty if we, or unknown."""
    mine = ours(live)
    if mine is not None and _reaches(mine, live, steps):
        return ""
    found: list[tuple[str, str]] = []
    for entry in live["metadata"].get("managedFields", ()):
        is_ours = entry["manager"] == FIELD_MANAGER and entry["operation"] == "Apply"
        if not is_ours and _reaches(entry.get("fieldsV1", {}), live, steps):
            found.append((entry.get("time", ""), entry["manager"]))
    if not found:
        return ""
    when, manager = max(found)
    return f"{manager}, {when}" if when else manager


def _reaches(owned: Owned, value: Any, steps: Steps) -> bool:
    """Whether *owned* holds the field at *steps* of *value*, by itself or as part of something atomic."""
    if not steps:
        return True
    head, rest = steps[0], steps[1:]
    if isinstance(head, str):
        below = owned.get(f"f:{head}")
        inner = value.get(head) if isinstance(value, dict) else None
    else:
        inner = value[head] if isinstance(value, list) and head < len(value) else None
        below = next((owned[step] for step in owned if step != "." and _means(step, inner)), None)
    if below is None:
        return False
    return not below or _reaches(below, inner, rest)


def _means(step: str, item: Any) -> bool:
    return bool(json.loads(step[2:]) == item) if step.startswith("v:") else _item(step, [item]) is not None
