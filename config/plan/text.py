"""A plan for people to read, and for programs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from config.plan.model import Action, Change, Field, Plan

_SIGN: Mapping[Action, str] = {
    "create": "+",
    "change": "~",
    "replace": "±",
    "delete": "-",
    "forget": "-",
    "keep": "=",
}
_COLOUR: Mapping[Action, str] = {
    "create": "32",
    "change": "33",
    "replace": "35",
    "delete": "31",
    "forget": "31",
    "keep": "36",
}
_VERB: Mapping[Action, str] = {
    "create": "to create",
    "change": "to change",
    "replace": "to make anew",
    "delete": "to delete",
    "forget": "nodes to forget",
    "keep": "to leave behind",
}
_LONG = 100
"""Characters from which the old and the new value stand on lines of their own."""


class Paint:
    """Colours, where the output shows them."""

    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, text: str, code: str) -> str:
        """*text* in the colour with that SGR code."""
        return f"\x1b[{code}m{text}\x1b[0m" if self.on and text else text


def plan_text(plan: Plan, paint: Paint) -> str:
    """Every change by tenant, warnings, conflicts, and a line that sums it up; `problems` are for stderr."""
    return "\n".join(_lines(plan, paint))


def _lines(plan: Plan, paint: Paint) -> Iterator[str]:
    tenants = sorted({change.tenant for change in plan.changes})
    for tenant in tenants:
        yield paint(f"tenant {tenant}" if tenant else "the whole site", "1")
        for change in plan.changes:
            if change.tenant == tenant:
                yield from _change(change, paint)
        yield ""
    for warning in plan.warnings:
        yield paint(f"warning: {warning}", "33")
    if plan.conflicts:
        yield paint(f"{count(len(plan.conflicts), 'field')} held by others, taken only with --force-conflicts:", "33")
        for change, conflict in plan.conflicts:
            yield f"  {change.title}: {conflict.path} is held by {conflict.manager}"
    yield summary(plan)


def _change(change: Change, paint: Paint) -> Iterator[str]:
    note = f"  ({change.note})" if change.note else ""
    yield f"  {paint(f'{_SIGN[change.action]} {change.title}', _COLOUR[change.action])}{note}"
    if change.action not in ("delete", "keep"):
        for field in change.fields:
            yield from _field(field, paint)


def _field(field: Field, paint: Paint) -> Iterator[str]:
    by = paint(f"  (set by {field.by})", "2") if field.by else ""
    old, new = _value(field.old), _value(field.new)
    if field.old is None:
        yield f"      {field.path}: {paint('+', '32')} {new}{by}"
    elif field.new is None:
        yield f"      {field.path}: {paint('-', '31')} {old}{by}"
    elif len(old) + len(new) <= _LONG:
        yield f"      {field.path}: {old} → {new}{by}"
    else:
        yield f"      {field.path}:{by}"
        for line in _line_diff(field.old, field.new):
            yield f"        {paint(line, '32' if line[0] == '+' else '31' if line[0] == '-' else '2')}"


def _line_diff(old: Any, new: Any) -> Iterator[str]:
    """Only the lines that differ, and one on each side where lines hang together."""
    around = 0 if isinstance(old, list) and _is_plain(old) else 1
    for line in difflib.unified_diff(_block(old), _block(new), n=around, lineterm=""):
        if not line.startswith(("---", "+++", "@@")):
            yield f"{line[0]} {line[1:]}"


def _block(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.splitlines() if "\n" in value else value.replace(" && ", "\n&& ").split("\n")
    if isinstance(value, list) and _is_plain(value):
        return [_value(one) for one in value]
    return json.dumps(value, indent=2, ensure_ascii=False).splitlines()


def _is_plain(items: list[Any]) -> bool:
    return all(not isinstance(one, dict | list) for one in items)


def _value(value: Any) -> str:
    if isinstance(value, str):
        plain = value and value.isprintable() and value == value.strip()
        return value if plain else json.dumps(value, ensure_ascii=False)
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return f"[{', '.join(value)}]"
    return json.dumps(value, ensure_ascii=False)


def summary(plan: Plan) -> str:
    """One line: "2 to create, 1 to change; 40 as declared"."""
    counts = plan.counts()
    parts = [f"{counts[action]:,} {verb}" for action, verb in _VERB.items() if action in counts]
    return f"{', '.join(parts) or 'nothing to do'}; {plan.unchanged:,} as declared"


def count(number: int, noun: str) -> str:
    """ "1 field", "2 fields"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plan_data(plan: Plan) -> dict[str, Any]:
    """The plan as plain data, for `-o json`: stable keys, null where a field is not there."""
    return {
        "changes": [_change_data(change) for change in plan.changes],
        "removals": [{"tenant": one.tenant, "namespace": one.namespace, "kept": one.kept} for one in plan.removals],
        "problems": list(plan.problems),
        "warnings": list(plan.warnings),
        "counts": dict(plan.counts()),
        "unchanged": plan.unchanged,
    }


def _change_data(change: Change) -> dict[str, Any]:
    return {
        "action": change.action,
        "apiVersion": change.kind.api_version,
        "kind": change.kind.kind,
        "namespace": change.namespace or None,
        "name": change.name,
        "tenant": change.tenant or None,
        "note": change.note or None,
        "fields": [{"path": one.path, "old": one.old, "new": one.new, "by": one.by or None} for one in change.fields],
        "conflicts": [{"path": one.path, "manager": one.manager} for one in change.conflicts],
    }
