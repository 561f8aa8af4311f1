"""Is a live object as declared? Decided here without asking anybody, and never wrongly with yes.

An object is unchanged if every field of the declaration has that value in the cluster, and the fields that the API
server notes as ours are exactly those of the declaration. The second half finds what the first cannot see: a field that
the declaration has dropped, and an item that somebody slipped into a list or mapping that counts as one value (a peer
in a NetworkPolicy's rule), since any change of such a value makes it theirs.

Where the answer is no, the API server is asked (Preview), which knows every default and every kind of list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from config.emit.common import Manifest
from config.plan.managed import EMPTY, Owned, Steps, declared, ours, owns_exactly

_SERVERS = frozenset(
    {"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink", "deletionTimestamp"}
    | {"deletionGracePeriodSeconds"}
)
"""Below metadata: the API server's own."""
_MEASURED = frozenset({"ResourceQuota", "LimitRange"})
"""Kinds whose spec holds quantities, which the API server writes in its own way: 1000m becomes 1, 1024Mi 1Gi."""
_QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|)")
_FACTORS: Mapping[str, Decimal] = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{unit: Decimal(1000) ** power for power, unit in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{unit: Decimal(1024) ** power for power, unit in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
}


def unchanged(desired: Manifest, live: Manifest) -> bool:
    """Whether applying *desired* would surely leave *live* as it is."""
    owned = ours(live)
    if owned is None or "deletionTimestamp" in live["metadata"]:
        return False
    return _covers(desired, live, desired["kind"] in _MEASURED) and owns_exactly(owned, declared(desired))


def _covers(wanted: Any, there: Any, measured: bool) -> bool:
    """Whether *there* holds all that *wanted* says; it may hold more (defaults, other people's fields)."""
    if wanted == there:
        return True
    if isinstance(wanted, dict) and isinstance(there, dict):
        for name, value in wanted.items():
            if name not in there:
                if value not in EMPTY:
                    return False
            elif value != there[name] and not _covers(value, there[name], measured):
                return False
        return True
    if isinstance(wanted, list) and isinstance(there, list):
        return len(wanted) == len(there) and all(map(_covers, wanted, there, [measured] * len(wanted)))
    return measured and quantity(wanted) is not None and quantity(wanted) == quantity(there)


def quantity(value: Any) -> Decimal | None:
    """The number that a Kubernetes quantity means ("500m" is 0.5); None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    match = _QUANTITY.fullmatch(str(value))
    return Decimal(match[1]) * _FACTORS[match[2]] if match else None


def visible(live: Manifest) -> Manifest:
    """What of an object is anybody's declaration: neither status nor what the API server itself keeps."""
    rest = {name: value for name, value in live.items() if name != "status"}
    rest["metadata"] = {name: value for name, value in live["metadata"].items() if name not in _SERVERS}
    return rest


def overlaid(desired: Manifest, live: Manifest) -> Manifest:
    """What *live* would become, as well as it can be said without the API server."""
    found: Manifest = _overlaid(desired, visible(live), ours(live) or {}, desired["kind"] in _MEASURED)
    return found


def _overlaid(wanted: Any, there: Any, owned: Owned | None, measured: bool) -> Any:
    if isinstance(wanted, dict) and isinstance(there, dict):
        kept = {
            name: value
            for name, value in there.items()
            if name in wanted or owned is None or f"f:{name}" not in owned or name in ("name", "namespace")
        }
        return kept | {
            name: _overlaid(value, there[name], None if owned is None else owned.get(f"f:{name}"), measured)
            if name in there
            else value
            for name, value in wanted.items()
        }
    return there if owned is not None and _covers(wanted, there, measured) else wanted


def differences(old: Any, new: Any, steps: Steps = ()) -> Iterator[tuple[Steps, Any, Any]]:
    """Every place where the two differ, with both values; None on a side that has nothing there."""
    if old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from differences(old.get(name), new.get(name), (*steps, name))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new) and _all_dicts(old + new):
        for place, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from differences(before, after, (*steps, place))
    elif isinstance(old, dict) and new is None and old:
        for name in sorted(old):
            yield from differences(old[name], None, (*steps, name))
    elif isinstance(new, dict) and old is None and new:
        for name in sorted(new):
            yield from differences(None, new[name], (*steps, name))
    else:
        yield steps, old, new


def _all_dicts(items: list[Any]) -> bool:
    return all(isinstance(item, dict) for item in items)


def lookup(value: Any, steps: Steps) -> Any:
    """What is at *steps*; None where nothing is."""
    for step in steps:
        if isinstance(step, str):
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step] if isinstance(value, list) and step < len(value) else None
    return value


def path_text(steps: Steps) -> str:
    """("metadata", "labels", "a.b/c") -> "metadata.labels[a.b/c]"."""
    said = ""
    for step in steps:
        plain = isinstance(step, str) and re.fullmatch(r"[A-Za-z0-9_-]+", step)
        said += f".{step}" if plain else f"[{step}]"
    return said.removeprefix(".")
