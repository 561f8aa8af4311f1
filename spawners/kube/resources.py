"""Whether a Pod takes no more than the size that its workload was counted with. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from config.emit.quota import memory_quantity
from config.models.quantity import format_cpu, parse_cpu, parse_memory
from spawners.kube.launch import Launch
from spawners.kube.look import containers, mapping
from spawners.refusal import Violation

COUNTED = ("cpu", "memory")
UNCOUNTED = "ephemeral-storage"
"""Limited by each scratch folder; may be asked for."""
Amount = dict[str, float]
_NOTHING: Amount = {"cpu": 0.0, "memory": 0.0}


def over_size(pod: Mapping[str, Any], launch: Launch) -> Iterator[Violation]:
    """Containers that do not say what they take, take what no size has, or together take more than theirs."""
    asked, most = dict(_NOTHING), dict(_NOTHING)
    for field, one in containers(pod):
        wrong = [*_unreadable(field, one), *_unsaid(field, one), *_unequal(field, one, launch)]
        yield from wrong
        if wrong:
            continue
        requests, limits = _amounts(one, "requests"), _amounts(one, "limits")
        first_steps = field.startswith("spec.initContainers") and one.get("restartPolicy") != "Always"
        for name in COUNTED:
            own = requests.get(name, limits.get(name, 0.0))
            top = max(own, limits.get(name, 0.0) if name == "memory" else 0.0)
            # Init containers run before the others, one at a time; side-cars and all others run together.
            asked[name] = max(asked[name], own) if first_steps else asked[name] + own
            most[name] = max(most[name], top) if first_steps else most[name] + top
    size = launch.workload.size
    allowed = {"cpu": size.cpu, "memory": float(size.memory)}
    for name in COUNTED:
        taken = max(asked[name], most[name])
        if taken > allowed[name] + 1e-9:
            said = (
                f"its containers take {_told(name, taken)} of {name}; size {size.name} is {_told(name, allowed[name])}"
            )
            yield Violation("spec.containers", said)


def _unreadable(field: str, one: Mapping[str, Any]) -> Iterator[Violation]:
    for part in ("requests", "limits"):
        for name, value in mapping(one, "resources", part).items():
            where = f"{field}.resources.{part}.{name}"
            if value is None:
                continue
            if name not in COUNTED and name != UNCOUNTED:
                yield Violation(where, "is not part of any size: leave it out")
            elif name in COUNTED:
                try:
                    _parse(name, value)
                except ValueError as error:
                    yield Violation(where, str(error))
    for part in sorted(set(mapping(one, "resources")) - {"requests", "limits"}):
        if mapping(one, "resources")[part]:
            yield Violation(f"{field}.resources.{part}", "is not part of any size: leave it out")


def _unsaid(field: str, one: Mapping[str, Any]) -> Iterator[Violation]:
    requests, limits = mapping(one, "resources", "requests"), mapping(one, "resources", "limits")
    if not requests.get("cpu") and not limits.get("cpu"):
        yield Violation(f"{field}.resources.requests.cpu", "must say how much it takes")
    if not limits.get("memory"):
        yield Violation(f"{field}.resources.limits.memory", "must say how much it takes at most")


def _unequal(field: str, one: Mapping[str, Any], launch: Launch) -> Iterator[Violation]:
    """Kubernetes, "Pod Quality of Service Classes": Guaranteed is a Pod whose every container has equal ones."""
    if not launch.guaranteed:
        return
    requests, limits = mapping(one, "resources", "requests"), mapping(one, "resources", "limits")
    for name in COUNTED:
        limit = limits.get(name)
        if limit is None or requests.get(name, limit) != limit:
            said = f"must equal the request: Pods of {launch.tenant.name} are Guaranteed"
            yield Violation(f"{field}.resources.limits.{name}", said)


def _amounts(one: Mapping[str, Any], part: str) -> Amount:
    found = mapping(one, "resources", part)
    return {name: _parse(name, found[name]) for name in COUNTED if found.get(name)}


def _parse(name: str, value: Any) -> float:
    return parse_cpu(value) if name == "cpu" else float(parse_memory(value))


def _told(name: str, amount: float) -> str:
    return format_cpu(amount) if name == "cpu" else memory_quantity(int(amount))
