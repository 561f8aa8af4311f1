"""Nodes are borrowed: we put labels and one taint on them, and take back only what we put."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.emit.common import Manifest
from config.names import Keys
from config.plan.managed import holder, ours
from config.plan.match import Pair
from config.plan.model import Action, Change, Conflict, Field, change_of

Taint = dict[str, Any]


@dataclass(frozen=True)
class Marks:
    """What one node is to get and to lose."""

    labels: Manifest | None
    """To be applied (server-side); None where the node is no longer declared."""
    dropped: tuple[str, ...]
    """Labels of ours that go, also where somebody else has set the same."""
    key: str
    """The taints with this key are ours, all others are not."""
    taints: tuple[Taint, ...]
    """All taints with that key that are to be there."""


def taints(node: Manifest | None, keys: Keys) -> tuple[Taint, ...]:
    """The taints with our key, sorted, without what the API server adds."""
    found = ((node or {}).get("spec") or {}).get("taints") or ()
    some = [one for one in found if one.get("key") == keys.tenant]
    names = ("key", "value", "effect")
    plain = [{name: one[name] for name in names if name in one} for one in some]
    return tuple(sorted(plain, key=lambda one: (one.get("value", ""), one["effect"])))


def our_labels(live: Manifest, keys: Keys) -> frozenset[str]:
    """Keys of the labels that this site has set: server-side apply as `tenanthub`, below its label domain."""
    return frozenset(label for label in _applied(live) if label.startswith(f"{keys.domain}/"))


def _applied(live: Manifest) -> list[str]:
    owned = ((ours(live) or {}).get("f:metadata") or {}).get("f:labels") or {}
    return [step[2:] for step in owned if step != "."]


def marks(change: Change, keys: Keys) -> Marks:
    """What *change* of a node does to it."""
    wanted = (change.desired or {}).get("metadata", {}).get("labels", {})
    live: Manifest = change.live or {"metadata": {}}
    dropped = tuple(sorted(our_labels(live, keys) - set(wanted)))
    if change.desired is None:
        return Marks(None, dropped, keys.tenant, ())
    # Another site's, with the same manager and another domain: what an apply does not repeat, it takes away.
    have = live["metadata"].get("labels", {})
    foreign = {label: have[label] for label in _applied(live) if label in have and label not in our_labels(live, keys)}
    # The uid keeps server-side apply from making a node that has left in the meantime.
    identity = {"name": change.name, **({"uid": change.uid} if change.uid else {})}
    manifest = {"apiVersion": "v1", "kind": "Node", "metadata": {**identity, "labels": {**foreign, **wanted}}}
    return Marks(manifest, dropped, keys.tenant, taints(change.desired, keys))


def changed(pair: Pair, keys: Keys) -> Change | None:
    """What is to be done to one node that is there; None where nothing is."""
    live = pair.live or {}
    wanted = (pair.desired or {}).get("metadata", {}).get("labels", {})
    have, mine = live["metadata"].get("labels", {}), our_labels(live, keys)
    fields = []
    for label in sorted(wanted.keys() | (mine & have.keys())):
        old, new = have.get(label), wanted.get(label)
        if old != new or (label in wanted and label not in mine):
            steps = ("metadata", "labels", label)
            by = holder(live, steps) if old is not None else ""
            fields.append(Field(f"metadata.labels[{label}]", old, new, by))
    old_taints, new_taints = taints(live, keys), taints(pair.desired, keys)
    if old_taints != new_taints:
        fields.append(Field("spec.taints", _words(old_taints), _words(new_taints)))
    if not fields:
        return None
    conflicts = tuple(
        Conflict(field.path, field.by.partition(",")[0])
        for field in fields
        if field.by and field.new is not None and field.old != field.new
    )
    action: Action = "change" if pair.desired else "forget"
    return change_of(action, pair.desired, live, "", fields=tuple(fields), conflicts=conflicts)


def _words(found: tuple[Taint, ...]) -> list[str] | None:
    """As `kubectl taint` writes them."""
    return [f"{one['key']}={one.get('value', '')}:{one['effect']}" for one in found] or None
