"""Raise a bed: the order in which its parts come up, and what happens when one does not."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial

from tests.cluster.bed import (
    binaries,
    cache,
    certs,
    cgroups,
    control,
    coredns,
    crds,
    lab,
    metallb,
    network,
    node,
    processes,
    registry,
    slots,
    teardown,
)
from tests.cluster.bed.locks import locked
from tests.cluster.bed.names import NODES, Bed, BedError, bed_of, check_name
from tests.cluster.bed.needs import missing

Say = Callable[[str], None]


def find(name: str) -> Bed | None:
    """The bed of that name, if it was raised to the end and its API server answers."""
    record = slots.read(check_name(name))
    if record is None or not record.ready:
        return None
    bed = bed_of(name, record.slot, record.nodes, record.crds)
    return bed if not ailing(bed) else None


def ailing(bed: Bed) -> list[str]:
    """What is wrong with a bed that has been raised: parts that have ended, or an API server that does not answer."""
    ended = [name for name in processes.names(bed) if processes.pid_of(bed, name) is None]
    return [f"{name} has ended" for name in ended] or (
        [] if control.healthy(bed) else ["the API server does not answer"]
    )


def up(
    name: str = "bed",
    nodes: int = NODES,
    crds: str = "current",
    say: Say = print,
    *,
    keep: bool = False,
    own: bool = False,
) -> Bed:
    """Raise a bed, or say that it is up. A broken one, or one of another make, is taken down first.

    Args:
        name: 1 to 8 characters of a-z and 0-9.
        nodes: 3, or 0 for a control plane alone.
        crds: The add-ons' definitions: `current`, `paper` or `none`.
        say: Takes the lines that tell how far it is.
        own: It is for this very process: once that has ended, `reap` may take the bed down.
        keep: Leave a bed that could not be raised as it is, to look at; otherwise it is taken down.

    Raises:
        BedError: It cannot be raised here, or a part did not come up.
    """
    _check(name, nodes, crds)
    if reasons := missing():
        raise BedError("no test bed on this machine: " + "; ".join(reasons))
    programs = binaries.ensure(say, binaries.BED if nodes else binaries.CONTROL_PLANE)
    with locked(name):
        bed = find(name)
        if bed is not None and (len(bed.nodes), bed.crds) == (nodes, crds):
            say(f"{name} is up already")
            return bed
        if teardown.exists(name):
            say(f"{name}: taking down what is there")
            teardown.clear(name)
        try:
            with cache.readable():  # what is secret says so itself
                return _raise(name, nodes, crds, programs, say, processes.identity(os.getpid()) if own else "")
        except BaseException:
            if not keep:
                teardown.clear(name)
            raise
        finally:
            processes.give_up(name, False)


def _check(name: str, nodes: int, which: str) -> None:
    check_name(name)
    if nodes not in (0, NODES):
        raise BedError(f"a bed has {NODES} nodes, or 0 for a control plane alone, not {nodes}")
    if which not in crds.SETS:
        raise BedError(f"there is no set of definitions {which!r}; there are {', '.join(crds.SETS)}")


def _raise(name: str, nodes: int, which: str, programs: binaries.Binaries, say: Say, owner: str) -> Bed:
    began = time.monotonic()

    def tell(what: str) -> None:
        say(f"{time.monotonic() - began:5.1f} s  {what}")

    bed = slots.take(name, nodes, which)
    slots.record(bed, ready=False, owner=owner)
    certs.write(bed)
    cgroups.make(bed)
    network.raise_room(bed)
    control.start_api(bed, programs)
    tell(f"the API server is ready (slot {bed.slot}, {bed.api})")
    control.start_rest(bed, programs)
    for each in bed.nodes:
        network.raise_node(bed, each)
        node.register(bed, each)
    _together(bed, _jobs(bed, programs, tell))
    control.wait_bootstrapped(bed)
    slots.record(bed, ready=True, owner=owner)
    tell(f"{name} is up" + ("" if nodes else ": a control plane alone"))
    return bed


def _jobs(bed: Bed, programs: binaries.Binaries, tell: Say) -> list[Callable[[], None]]:
    """What comes up side by side once the API server is ready and the nodes' networks are there."""

    def nodes() -> None:
        _together(bed, [partial(node.start, bed, each, programs) for each in bed.nodes])
        node.wait_ready(bed)
        tell("every node is Ready")

    def definitions() -> None:
        crds.install(bed, programs.kubectl, tell)
        if bed.nodes and bed.crds != "none":
            metallb.start(bed, programs)
            tell("MetalLB is at work")

    def names() -> None:
        coredns.start(bed, programs)
        tell("CoreDNS answers")

    def rooms() -> None:
        lab.start(bed)
        registry.start(bed, programs)
        tell(f"laboratories' networks and the registry {bed.registry} are there")

    return [definitions, *((nodes, rooms, names) if bed.nodes else ())]


def _together(bed: Bed, jobs: Sequence[Callable[[], None]]) -> None:
    """Run jobs side by side; when one fails, or somebody interrupts, the others are given up at once."""
    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        try:
            for job in as_completed([pool.submit(job) for job in jobs]):
                job.result()
        except BaseException:
            # leaving the `with` waits for the threads, and nothing may be made any more once clearing begins
            processes.give_up(bed.name)
            raise


def reap(say: Say = print) -> None:
    """Take down the beds whose own process has ended without doing so: a test run that was killed."""
    for name in teardown.everything():
        record = slots.read(name)
        if record and record.owner and record.owner != processes.identity(int(record.owner.split()[0])):
            say(f"{name}: left by a process that has ended")
            teardown.down(name, say)


def status(say: Say) -> None:
    """Say which beds there are and how they are."""
    names = teardown.everything()
    if not names:
        say("no bed is up")
    for name in names:
        record = slots.read(name)
        if record is None:
            say(f"{name}: remains of a bed; take it down")
            continue
        bed = bed_of(name, record.slot, record.nodes, record.crds)
        wrong = ailing(bed) if record.ready else ["was not raised to the end"]
        say(f"{name}: {'; '.join(wrong) or 'up'}, {record.nodes} nodes, definitions {record.crds}, {bed.api}")
        say(f"    export KUBECONFIG={bed.kubeconfig}")
