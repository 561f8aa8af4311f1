"""In which order a plan is carried out. Pure: stages, one after the other; inside a stage the order does not matter.

1. what is ending and wanted again is waited for;
2. release: policies and other objects that are made anew are deleted, addresses that another object is to get are let
   go of;
3. everything wanted, kind by kind in the order of config/order.py;
4. what is no longer declared, kinds in reverse: RoleBindings first, so that nobody starts anything more; then what has
   addresses; then namespaces, which take everything in them along (their walls and quotas stand until the last Pod has
   ended); then, once the namespaces are gone, the walls of the whole cluster, nodes' marks, Capsule's tenants.

Every step is idempotent and the plan is made anew each time from what is there, so that it may end anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from config.emit.common import Manifest
from config.order import KINDS
from config.plan.model import Change, Plan
from config.plan.release import HOLDERS, Held, narrowed, to_release

Verb = Literal["apply", "narrow", "delete", "wait", "mark", "keep"]
"""narrow: apply with fewer addresses; wait: until the object with that uid is gone (but for a namespace a delete waits
by itself); mark: a node's labels and taint; keep: take the owner label off."""


@dataclass(frozen=True)
class Step:
    """One object's part of a stage."""

    verb: Verb
    change: Change
    manifest: Manifest | None = None
    """What is applied."""

    @property
    def words(self) -> str:
        """For progress and errors, such as "delete RoleBinding tenant-physics/member"."""
        said = "wait for the end of" if self.verb == "wait" else self.verb
        return f"{said} {self.change.title}"


Stage = tuple[Step, ...]


def sequence(plan: Plan) -> tuple[Stage, ...]:
    """The stages of *plan*, none empty; nothing is deleted twice."""
    seen: set[tuple[Verb, int]] = set()
    stages = []
    for stage in (*_ending(plan), *_release(plan), *_wanted(plan), *_unwanted(plan)):
        new = tuple(step for step in stage if step.verb not in ("delete", "wait") or _new(step, seen))
        stages.append(new)
    return tuple(stage for stage in stages if stage)


def _new(step: Step, seen: set[tuple[Verb, int]]) -> bool:
    known = (step.verb, id(step.change)) in seen
    seen.add((step.verb, id(step.change)))
    return not known


def _ending(plan: Plan) -> Iterable[list[Step]]:
    yield [Step("wait", change) for change in plan.changes if change.action == "create" and change.live]


def _release(plan: Plan) -> Iterable[list[Step]]:
    """Deletes in reverse order (policies before gateways), then what is narrowed."""
    held: dict[str, Held] = {}
    for kind in sorted(HOLDERS):
        some = [change for change in plan.changes if change.kind.kind == kind]
        for one in to_release((change.desired, change.live) for change in some):
            held[one.live["metadata"]["uid"]] = one
    narrow, delete = [], []
    for change in plan.changes:
        holder = held.get(change.uid)
        if change.action == "replace" or (holder is not None and narrowed(holder) is None):
            delete.append(change)
        elif holder is not None:
            narrow.append(Step("narrow", change, narrowed(holder)))
    standing = [change for change in plan.changes if change.action != "delete"]
    touched = {change.name for change in (*standing, *delete) if change.kind.kind == "EgressGateway"}
    delete += [
        change
        for change in plan.changes
        if change.action == "delete" and change.kind.kind == "EgressClusterPolicy" and _gateway(change) in touched
    ]
    yield from _deleted(delete)
    yield narrow


def _gateway(change: Change) -> str:
    return str(((change.live or {}).get("spec") or {}).get("egressGatewayName", ""))


def _wanted(plan: Plan) -> Iterable[list[Step]]:
    for kind in KINDS:
        some = [one for one in plan.changes if one.kind == kind and one.action in ("create", "change", "replace")]
        yield [Step("mark" if kind.borrowed else "apply", one, one.desired) for one in some]


def _unwanted(plan: Plan) -> Iterable[list[Step]]:
    gone = [one for one in plan.changes if one.action == "delete"]
    spaces = [one for one in gone if one.kind.kind == "Namespace"]
    ends = {one.name for one in spaces}
    inside = [one for one in gone if one.namespace in ends]
    walls = [one for one in gone if one.kind.kind == "CiliumClusterwideNetworkPolicy"]
    late = {id(one) for one in (*spaces, *inside, *walls)}
    before = [kind for kind in KINDS if kind.namespaced or kind.kind.startswith("Egress")]
    yield [Step("delete", one) for one in inside if one.kind.kind == "RoleBinding"]
    yield from _deleted([one for one in gone if id(one) not in late and one.kind in before])
    yield from _deleted(spaces)
    yield from _deleted(walls)
    yield from _kept(plan)
    yield [Step("mark", one) for one in plan.changes if one.action == "forget"]
    yield from _deleted([one for one in gone if id(one) not in late and one.kind not in before])


def _kept(plan: Plan) -> Iterable[list[Step]]:
    """The namespace last: as long as it has the owner label, the next run knows that it was in the middle of this."""
    kept = [one for one in plan.changes if one.action == "keep"]
    yield [Step("keep", one) for one in kept if one.kind.kind != "Namespace"]
    yield [Step("keep", one) for one in kept if one.kind.kind == "Namespace"]


def _deleted(changes: Sequence[Change]) -> Iterable[list[Step]]:
    """Kinds in reverse, each gone before the next goes. Namespaces take long, and all end at the same time."""
    for kind in reversed(KINDS):
        some = [one for one in changes if one.kind == kind]
        yield [Step("delete", one) for one in some]
        if kind.kind == "Namespace":
            yield [Step("wait", one) for one in some]
