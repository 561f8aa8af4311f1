"""Launches on real nodes, one and many at once of the same image: ours, stock KubeSpawner, and Pods without a hub."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count

from tests.bench.contest import CannotRun, Contender, Turn, contest, say
from tests.bench.ground import Ground, raised
from tests.bench.kube import bare, crowd, setups
from tests.bench.kube.cluster import OURS, STOCK, make_namespace
from tests.bench.kube.crowd import Ask, Crowd
from tests.bench.kube.hubs import Setup, hub
from tests.bench.lab import Lab
from tests.bench.table import Measure, Section
from tests.cluster.bed import Bed, images
from tests.cluster.bed.names import NODES

NAME = "kubelaunch"
TITLE = "Launches on real nodes, the same image"
BARE = "bare Pods"
ROUNDS = 3
"""At most: a round launches some 150 Pods."""
_Take = Callable[[int], tuple[Crowd, float]]
"""So many launches at once: how they went, and the seconds until all were stopped again."""


def run(lab: Lab) -> Section:
    """All three on one bed, in turns; both hubs are up all the time."""
    many = lab.options.launches
    with raised(say, NODES) as ground:
        contenders = (
            Contender(OURS, lambda: _ours(lab, ground, many), ours=True),
            Contender(STOCK, lambda: _stock(lab, ground.bed, many)),
            Contender(BARE, lambda: _bare(ground.bed, many)),
        )
        results = contest(NAME, measures(many), contenders, min(lab.options.rounds, ROUNDS))
        return Section(NAME, TITLE, results, (*_NOTES, ground.versions()))


def measures(many: int) -> tuple[Measure, ...]:
    """What is measured; *many* at once."""
    return (
        Measure("ready", "one: asked for → ready", "s"),
        Measure("answers", "one: asked for → it answers", "s"),
        Measure("stopped", "one: stop asked for → gone", "s"),
        Measure("all", f"{many} at once: first asked for → all answer", "s"),
        Measure("median", f"{many} at once: median of asked for → ready", "s"),
        Measure("slow", f"{many} at once: 95th percentile of the same", "s"),
        Measure("failed", f"{many} at once: failed", "launches"),
    )


_NOTES = (
    "Three real kubelets and containerds on the machine's CPUs, which API server, hubs and clients share. The image is "
    "the test bed's own (one static program that answers HTTP at once), and is on the nodes: what differs is what "
    "hub and spawner add.",
    "Ready: the hub says so on the launch's progress stream, which a browser follows too, after it has reached the "
    "server by HTTP. Of a bare Pod: Kubernetes' condition Ready. It answers: 200 through the hub's proxy; of a bare "
    "Pod, at its own address.",
    f"{OURS} is `tenanthub hub` over a declared tenant with all of its walls; its Pods have a Secret, volumes and "
    f"admission rules that the others do not. {STOCK}: one namespace, its defaults. Both outside of the cluster, "
    "SQLite, a proxy of their own, a time limit of 120 s a launch.",
    "One round of each is not counted.",
)


def _turn(take: _Take, many: int) -> Turn:
    def turn(_: int) -> dict[str, float]:
        one, stopped = take(1)
        all_ = take(many)[0]
        if one.failed:
            raise CannotRun(f"one launch alone failed: {one.problems()}")
        if all_.failed:
            say(f"{NAME}: {all_.failed} of {many} failed: {all_.problems()}")
        (single,) = one.launched
        return {
            "ready": single.ready_s,
            "answers": single.answers_s,
            "stopped": stopped,
            "all": all_.whole_s,
            "median": all_.median_s,
            "slow": all_.slow_s,
            "failed": all_.failed,
        }

    turn(0)
    return turn


@contextmanager
def _of_hub(lab: Lab, bed: Bed, setup: Setup, asks: list[Ask]) -> Iterator[Turn]:
    with hub(bed, lab.new_folder(f"{NAME}-{setup.name}"), setup) as running:
        running.add_users([ask.owner for ask in asks])

        def take(number: int) -> tuple[Crowd, float]:
            went = crowd.launch(running, asks[:number])
            return went, crowd.stop(running, asks[:number])

        yield _turn(take, len(asks))


@contextmanager
def _ours(lab: Lab, ground: Ground, many: int) -> Iterator[Turn]:
    world = setups.write_world(lab.new_folder(f"{NAME}-world"), ground.bed, 1, many)
    ground.apply(world, changed=False)
    with _of_hub(lab, ground.bed, setups.ours(world, images.TOOL), setups.our_asks(1, many)) as turn:
        yield turn


@contextmanager
def _stock(lab: Lab, bed: Bed, many: int) -> Iterator[Turn]:
    make_namespace(bed, setups.STOCK_NAMESPACE)
    with _of_hub(lab, bed, setups.stock(images.TOOL), setups.stock_asks(1, many)) as turn:
        yield turn


@contextmanager
def _bare(bed: Bed, many: int) -> Iterator[Turn]:
    make_namespace(bed, bare.NAMESPACE)
    numbers = count()
    yield _turn(lambda number: bare.run(bed, [f"bare-{next(numbers)}" for _ in range(number)]), many)
