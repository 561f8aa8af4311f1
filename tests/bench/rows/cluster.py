"""Plan and apply on a real API server, beside kubectl with the very same objects.

Peers run with fewer tenants (`--peer-tenants`), because a turn of theirs asks the API server about each object; ours
runs with as many for the ratio, and with all of them besides.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.contest import Contender, Turn, contest, say
from tests.bench.ground import Declared, Ground, raised
from tests.bench.lab import OURS, Lab
from tests.bench.table import Measure, Result, Section, number

NAME = "cluster"
TITLE = "Plan and apply on a real API server"
SIDE_BY_SIDE = 4
"""Of kubectl's quicker contender: objects that `diff` looks at together, and processes of `apply` with a part each."""
_PARTS = (
    ("imports", "Python's modules read"),
    ("load", "files read and checked"),
    ("compile", "compiled"),
    ("live", "the cluster read"),
    ("decide", "compared and decided"),
)


def run(lab: Lab) -> Section:
    """First with as many tenants as kubectl is asked to carry, then, on the same API server, with all."""
    every = lab.options.tenants
    few = min(lab.options.peer_tenants, every)
    with raised(say) as ground:
        ground.furnish(every)
        results = list(_side_by_side(lab, ground, few))
        world = Declared(lab.new_folder(f"world-{every}"), every)
        first = ground.apply(world.folder, changed=False)
        results += _ours_alone(lab, ground, world, also_commands=few != every)
        _, objects = world.rendered(lab.new_folder("counting"))
        notes = _notes(ground, few, every, objects, first)
    return Section(NAME, TITLE, tuple(results), notes)


def _measures(tenants: int) -> tuple[Measure, Measure]:
    return (
        Measure("plan", f"{tenants:,} tenants: nothing has changed, plan or diff", "s"),
        Measure("apply", f"{tenants:,} tenants: one quota has changed, apply", "s"),
    )


def _side_by_side(lab: Lab, ground: Ground, tenants: int) -> tuple[Result, ...]:
    world = Declared(lab.new_folder(f"world-{tenants}-shared"), tenants)
    ground.apply(world.folder, changed=False)
    contenders = (
        Contender(OURS, lambda: _ours(ground, world), ours=True),
        Contender("kubectl", lambda: _kubectl(lab, ground, world, 1)),
        Contender(f"kubectl, {SIDE_BY_SIDE} at a time", lambda: _kubectl(lab, ground, world, SIDE_BY_SIDE)),
    )
    return contest(NAME, _measures(tenants), contenders, lab.options.rounds)


def _ours_alone(lab: Lab, ground: Ground, world: Declared, *, also_commands: bool) -> tuple[Result, ...]:
    """Everything at the full size; without the commands where they have been measured beside the peers."""
    commands = _measures(world.tenants) if also_commands else ()
    parts = tuple(Measure(key, f"{world.tenants:,} tenants: a plan's part: {title}", "s") for key, title in _PARTS)
    contenders = (Contender(OURS, lambda: _ours(ground, world, parts=True), ours=True),)
    return contest(NAME, (*commands, *parts), contenders, lab.options.rounds)


@contextmanager
def _ours(ground: Ground, world: Declared, *, parts: bool = False) -> Iterator[Turn]:
    """The two commands, each from the start of its process to its end; where asked for, plan's parts too."""

    def turn(_round: int) -> dict[str, float]:
        world.change()
        taken = {"apply": ground.apply(world.folder), "plan": ground.plan(world.folder)}
        if parts:
            said = ground.timed([sys.executable, "-m", "tests.bench.planparts", world.folder])[1]
            taken |= json.loads(said)
        return taken

    turn(0)
    yield turn


@contextmanager
def _kubectl(lab: Lab, ground: Ground, world: Declared, at_once: int) -> Iterator[Turn]:
    """The same two by kubectl. Its files are rendered before the clock runs; what it learns of the API is cached."""
    folder = lab.new_folder(f"kubectl-{at_once}")

    def turn(_round: int) -> dict[str, float]:
        world.change()
        files, objects = world.rendered(folder, at_once)
        (whole,), _ = world.rendered(folder)
        return {"apply": ground.kubectl_apply(files, objects), "plan": ground.kubectl_diff(whole, at_once)}

    turn(0)
    yield turn


def _notes(ground: Ground, few: int, every: int, objects: int, first: float) -> tuple[str, ...]:
    grown = f"from {few:,} to {every:,} tenants" if few != every else f"of {every:,} tenants, as it was"
    return (
        f"{ground.versions()}; the API server runs on the same CPUs, its etcd does not wait for the disk. Nodes are "
        "objects without a machine, and no add-on runs.",
        f"{every:,} tenants are {objects:,} objects. The `tenanthub apply` {grown} took {number(first)} s.",
        "Each time is that of a whole command, from files, start to exit; kubectl's file is rendered before. Field "
        "manager and objects are the same. kubectl diff and ours end by saying that nothing differs; kubectl apply is "
        "given all objects, as whoever does not know which one has changed has to.",
        "kubectl has no flag for its rate of requests, and holds itself back nowhere (its log shows no throttling). "
        f"`{SIDE_BY_SIDE} at a time` is `kubectl diff --concurrency={SIDE_BY_SIDE}`, and as many `kubectl apply` side "
        "by side with a part of the objects each.",
        "A plan's parts are measured one after the other in a process of their own; the command reads the cluster "
        "while it compiles.",
    )
