"""A plan as data: what `tenanthub apply` would do, object by object and field by field."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from config.emit.common import Manifest
from config.order import Key, Kind, key, kind_of

Action = Literal["create", "change", "replace", "delete", "forget", "keep"]
"""forget: a node that is no longer declared loses our marks; keep: an object stays, but without the owner label."""


@dataclass(frozen=True)
class Field:
    """One field that changes; None on a side where there is no such field."""

    path: str
    """Such as `spec.hard.pods` or `metadata.labels[edge.example.org/tenant]`."""
    old: Any
    new: Any
    by: str = ""
    """The manager that set the old value, where it was not us: "kubectl-edit, 2026-11-21T13:20:05Z"."""


@dataclass(frozen=True)
class Conflict:
    """A field that another manager holds: it is only taken with --force-conflicts."""

    path: str
    manager: str


@dataclass(frozen=True)
class Preview:
    """What the API server itself says that an object would become (a server-side dry run)."""

    manifest: Manifest | None
    """None where it refuses."""
    conflicts: tuple[Conflict, ...] = ()
    refused: str = ""
    """Its reason."""


@dataclass(frozen=True)
class Change:
    """One object that would change."""

    action: Action
    kind: Kind
    namespace: str
    """Empty for an object of the whole cluster."""
    name: str
    tenant: str
    """Empty where the object belongs to no single tenant (nodes, admission policies)."""
    fields: tuple[Field, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    note: str = ""
    """Why, where the fields do not say it."""
    desired: Manifest | None = None
    live: Manifest | None = None

    @property
    def title(self) -> str:
        """Such as "RoleBinding tenant-physics/member"."""
        return title(self.kind.kind, self.namespace, self.name)

    @property
    def path(self) -> str:
        """Where the API server serves the object."""
        return self.kind.path(self.name, self.namespace or None)

    @property
    def uid(self) -> str:
        """Of the live object; empty where there is none."""
        return str(self.live["metadata"].get("uid", "")) if self.live else ""

    @property
    def key(self) -> Key:
        """Identity, and place in the order of applying."""
        return key(self.desired or self.live or {})


@dataclass(frozen=True)
class Removal:
    """A tenant whose namespace would go, with everything that runs in it, or be kept without its tenant."""

    tenant: str
    namespace: str
    kept: bool


@dataclass(frozen=True)
class Plan:
    """Everything that would happen, in the order of applying; `problems` forbid to apply any of it."""

    changes: tuple[Change, ...] = ()
    removals: tuple[Removal, ...] = ()
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    unchanged: int = 0
    """Objects that are as declared."""

    @property
    def conflicts(self) -> tuple[tuple[Change, Conflict], ...]:
        """Every field that another manager holds."""
        return tuple((change, conflict) for change in self.changes for conflict in change.conflicts)

    def counts(self) -> Mapping[Action, int]:
        """How many objects each action is for; actions without any are left out."""
        found: dict[Action, int] = {}
        for change in self.changes:
            found[change.action] = found.get(change.action, 0) + 1
        return found


def title(kind: str, namespace: str, name: str) -> str:
    """An object as people write it."""
    return f"{kind} {namespace}/{name}" if namespace else f"{kind} {name}"


def change_of(action: Action, desired: Manifest | None, live: Manifest | None, tenant: str, **more: Any) -> Change:
    """A change of the object that *desired* and *live* are two states of; one of them may be None."""
    manifest = desired or live or {}
    metadata = manifest["metadata"]
    return Change(
        action,
        kind_of(manifest),
        metadata.get("namespace", ""),
        metadata["name"],
        tenant,
        desired=desired,
        live=live,
        **more,
    )
