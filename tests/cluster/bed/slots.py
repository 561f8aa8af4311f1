"""Which bed has which slot, and what is recorded of a bed.

A slot is held by a file with the bed's name in it: that stays until `down`, as the bed's bridge and networks do.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.bed import limits, names, network
from tests.cluster.bed.locks import locked
from tests.cluster.bed.names import RUN, SLOTS, Bed, BedError, bed_of


@dataclass(frozen=True)
class Record:
    """What bed.json says: with it `down` and `find` know a bed that another process raised."""

    slot: int
    nodes: int
    crds: str
    ready: bool
    """Whether `up` came to its end."""
    owner: str = ""
    """Number and start of the process that it was raised for, as a test run's own; empty: for whoever wants it."""


def take(name: str, nodes: int, crds: str) -> Bed:
    """Give the bed a free slot, or the one that it has.

    Raises:
        BedError: All slots are taken, or their networks are in use on this machine.
    """
    with locked("slots-"):
        owners = {slot: owner(slot) for slot in SLOTS}
        for slot, held_by in owners.items():
            if held_by == name:
                return bed_of(name, slot, nodes, crds)
        routes = network.foreign_networks()
        devices = {link["ifname"] for link in network.links()}
        for slot in (slot for slot, held_by in owners.items() if held_by is None):
            bed = bed_of(name, slot, nodes, crds)
            if not network.overlaps(bed, routes) and not devices & set(names.bridges(slot)):
                _file(slot).write_text(name, encoding="ascii")
                limits.lift()
                return bed
    taken = ", ".join(sorted({held_by for held_by in owners.values() if held_by}))
    raise BedError(f"no slot is free for another bed; there are {taken or 'none, but their networks are in use here'}")


def owner(slot: int) -> str | None:
    """The name of the bed that has the slot."""
    try:
        return _file(slot).read_text(encoding="ascii") or None
    except OSError:
        return None


def of(name: str) -> list[int]:
    """The slots that a bed has or, by its record, had."""
    record = read(name)
    held = {slot for slot in SLOTS if owner(slot) == name}
    return sorted(held | ({record.slot} if record and owner(record.slot) in (None, name) else set()))


def give_back(name: str) -> None:
    """Free the bed's slot: the last step of `down`, so that until then a second `down` finds its way."""
    with locked("slots-"):
        for slot in SLOTS:
            # an empty file is what a kill -9 between making and writing it leaves; nobody else is at it now
            if _file(slot).exists() and owner(slot) in (name, None):
                _file(slot).unlink()
        if not any(_file(slot).exists() for slot in SLOTS):
            limits.put_back()


def record(bed: Bed, *, ready: bool, owner: str = "") -> None:
    """Write bed.json; *owner* as in Record."""
    bed.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    values = {"slot": bed.slot, "nodes": len(bed.nodes), "crds": bed.crds, "ready": ready, "owner": owner}
    temporary = bed.state / "bed.json.new"
    temporary.write_text(json.dumps(values), encoding="utf-8")
    temporary.rename(bed.state / "bed.json")


def read(name: str) -> Record | None:
    """What bed.json says; None where there is none that can be read."""
    try:
        return Record(**json.loads((RUN / name / "bed.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def known() -> list[str]:
    """The names of all beds with a state folder or a slot."""
    folders = {path.name for path in RUN.iterdir() if path.is_dir()} if RUN.is_dir() else set()
    return sorted(folders | {name for slot in SLOTS if (name := owner(slot))})


def _file(slot: int) -> Path:
    return RUN / f"slot-{slot}"
