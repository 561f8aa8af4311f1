"""Which wanted object is which live one, and which pairs the API server has to be asked about."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from config.emit.common import Manifest
from config.names import FIELD_MANAGER, Keys
from config.order import Key, key, kind_of
from config.plan.compare import lookup, unchanged
from config.plan.release import HOLDERS, spans, to_release, without


@dataclass(frozen=True)
class Pair:
    """One object as it is wanted and as it is; None on a side where there is none."""

    desired: Manifest | None
    live: Manifest | None

    @property
    def key(self) -> Key:
        """What identifies the two."""
        return key(self.desired or self.live or {})


@dataclass(frozen=True)
class Matched:
    """Everything but what surely is as declared. Nodes stand apart: they are marked, never made."""

    created: tuple[Pair, ...]
    """`live` is there where it is ending, and has to be gone first."""
    differing: tuple[Pair, ...]
    """Not surely equal."""
    gone: tuple[Manifest, ...]
    """Ours, and no longer declared."""
    nodes: tuple[Pair, ...]
    standing: tuple[Pair, ...]
    """EgressClusterPolicies that are as declared: a gateway that is made anew takes them along."""
    unchanged: int


def is_ours(live: Manifest, keys: Keys) -> bool:
    """Whether the object carries the owner label of this site."""
    return bool(live["metadata"].get("labels", {}).get(keys.declared_by) == FIELD_MANAGER)


def is_ending(live: Manifest) -> bool:
    """Whether it was deleted already, and waits for its finalizers."""
    return "deletionTimestamp" in live["metadata"]


def match(desired: Sequence[Manifest], live: Iterable[Manifest], keys: Keys) -> Matched:
    """Pair the two by kind, namespace and name. *live* may hold objects of others, where they have a wanted name."""
    there = {key(one): one for one in live}
    ending = {one["metadata"]["name"] for one in there.values() if one["kind"] == "Namespace" and is_ending(one)}
    created, differing, nodes, standing, same = [], [], [], [], 0
    wanted = set()
    for one in desired:
        place = key(one)
        wanted.add(place)
        now = there.get(place)
        if one["kind"] == "Node":
            nodes.append(Pair(one, now))
        elif now is None or place[1] in ending:
            created.append(Pair(one, None))
        elif is_ending(now):
            created.append(Pair(one, now))
        elif unchanged(one, now):
            same += 1
            if one["kind"] == "EgressClusterPolicy":
                standing.append(Pair(one, now))
        else:
            differing.append(Pair(one, now))
    gone = sorted((one for place, one in there.items() if place not in wanted and is_ours(one, keys)), key=key)
    nodes += [Pair(None, one) for one in gone if one["kind"] == "Node"]
    gone = [one for one in gone if one["kind"] != "Node"]
    return Matched(tuple(created), tuple(differing), tuple(gone), tuple(nodes), tuple(standing), same)


def is_replaced(pair: Pair) -> bool:
    """Whether a field differs that only a new object can have another value at."""
    if pair.desired is None or pair.live is None:
        return False
    return any(lookup(pair.desired, path) != lookup(pair.live, path) for path in kind_of(pair.desired).immutable)


def holders(matched: Matched) -> dict[str, list[Pair]]:
    """All changing objects that hold addresses, by kind."""
    found: dict[str, list[Pair]] = {kind: [] for kind in sorted(HOLDERS)}
    for pair in (*matched.created, *matched.differing, *(Pair(None, one) for one in matched.gone)):
        kind = (pair.desired or pair.live or {})["kind"]
        if kind in found:
            found[kind].append(pair)
    return found


def to_ask(matched: Matched, created_at_most: int = 500) -> tuple[Pair, ...]:
    """The pairs for which a dry run by the API server says more than we know.

    Left out is what it could only refuse while other objects are still as they are: addresses that move between two
    objects, addresses that a gateway loses to a policy's replacement, immutable fields, and what is to stand in a
    namespace that is not there. Of new objects only a number that does not cost another minute.
    """
    left_out = {pair.key for pairs in holders(matched).values() for pair in _moving(pairs)}
    there = {
        pair.key[2] for pair in matched.created if pair.key[1] == "" and (pair.desired or {})["kind"] == "Namespace"
    }
    new = [
        pair
        for pair in matched.created
        if pair.live is None and pair.key[1] not in there and not (pair.desired or {})["kind"].startswith("Egress")
    ]
    asked = (*matched.differing, *(new if len(new) <= created_at_most else ()))
    return tuple(pair for pair in asked if pair.key not in left_out and not is_replaced(pair))


def _moving(pairs: Sequence[Pair]) -> list[Pair]:
    released = {key(held.live) for held in to_release((pair.desired, pair.live) for pair in pairs)}
    held = [span for pair in pairs for span in spans(pair.live)]
    found = []
    for pair in pairs:
        has, wanted = spans(pair.live), spans(pair.desired)
        gains = bool(released) and without(wanted, has) != without(without(wanted, has), held)
        loses = (pair.desired or {}).get("kind") == "EgressGateway" and bool(without(has, wanted))
        if gains or loses or pair.key in released:
            found.append(pair)
    return found
