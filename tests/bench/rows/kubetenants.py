"""The first launch of each of many tenants, soon after a hub began: where a watch for each tenant would show."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from tests.bench.contest import Contender, Turn, contest, say
from tests.bench.ground import Ground, raised
from tests.bench.kube import crowd, setups, simulated
from tests.bench.kube.audit import AuditLog
from tests.bench.kube.cluster import OURS, STOCK, delete_pods, make_namespaces
from tests.bench.kube.crowd import Ask
from tests.bench.kube.hubs import Setup, hub
from tests.bench.lab import Lab
from tests.bench.table import Measure, Section

NAME = "kubetenants"
TITLE = "First launches of many tenants"
ROUNDS = 1
"""A launch is a tenant's first only once."""
AT_ONCE = 50
IMAGE = "registry.example.org/bench/tool:1"
"""Never pulled."""


def run(lab: Lab) -> Section:
    """Ours and two ways to set stock up for tenants, one after the other, on a control plane with fake nodes."""
    tenants = lab.options.first_launches
    with raised(say) as ground:
        simulated.populate(ground.bed)
        contenders = (
            Contender(OURS, lambda: _ours(lab, ground, tenants), ours=True),
            Contender(f"{STOCK}, namespace by hook", lambda: _stock(lab, ground, tenants, setups.stock_by_tenant)),
            Contender(f"{STOCK}, one watch", lambda: _stock(lab, ground, tenants, setups.stock_one_watch)),
        )
        results = contest(NAME, measures(tenants), contenders, ROUNDS)
        return Section(NAME, TITLE, results, (*notes(tenants), ground.versions()))


def measures(tenants: int) -> tuple[Measure, ...]:
    """What is measured, of so many *tenants*."""
    return (
        Measure("good", f"launches that went well, of {tenants}", "launches", "more"),
        Measure("median", "asked for → ready, median of these", "s"),
        Measure("slow", "asked for → ready, 95th percentile of these", "s"),
        Measure("all", "first asked for → the last ready or failed", "s"),
        Measure("requests", "requests to the API server", "requests"),
        Measure("watches", "of these, watches that were opened", "watches"),
    )


def notes(tenants: int) -> tuple[str, ...]:
    """What a reader has to know of it."""
    return (
        f"{tenants} tenants with a namespace each; one member of each asks for a server, {AT_ONCE} launches under way "
        "at a time. The hub has just been started, with an empty database; each launch has 120 s. The limit of "
        "launches at a time is off for stock, which would answer 429 beyond it.",
        f"Fake nodes: {simulated.NODES} of kwok's. API server, etcd, scheduler, admission and both hubs are real; a "
        "Pod is Running and Ready at once, and one program on the host answers HTTP for all Pods, so no time of a "
        "container is in it.",
        "namespace by hook: a pre_spawn_hook sets the tenant's namespace, so KubeSpawner opens two watches a "
        "namespace. one watch: the same with enable_user_namespaces, which makes these two cluster-wide.",
        f"{OURS}'s namespaces have all of a tenant's walls (quota, admission policies), the others are bare. Requests "
        "by the API server's audit log, from the hub's start to the last launch.",
    )


@contextmanager
def _turns(
    lab: Lab, ground: Ground, setup: Setup, asks: Sequence[Ask], namespaces: Callable[[int], str]
) -> Iterator[Turn]:
    bed = ground.bed

    def turn(round_: int) -> dict[str, float]:
        log = AuditLog.of(bed)
        with hub(bed, lab.new_folder(f"{NAME}-{setup.name}-{round_}"), setup) as running:
            running.add_users([ask.owner for ask in asks])
            went = crowd.launch(running, asks, AT_ONCE)
            requests = log.taken(running.user)
        delete_pods(bed, map(namespaces, range(len(asks))))
        if went.failed:
            say(f"{NAME}: {setup.name}: {went.failed} of {len(asks)} failed: {went.problems()}")
        return {
            "good": len(went.good),
            "median": went.median_s,
            "slow": went.slow_s,
            "all": went.whole_s,
            "requests": requests.total(),
            "watches": requests["watch"],
        }

    yield turn


@contextmanager
def _ours(lab: Lab, ground: Ground, tenants: int) -> Iterator[Turn]:
    world = setups.write_world(lab.new_folder(f"{NAME}-world"), ground.bed, tenants, 1, IMAGE)
    ground.apply(world, changed=False)
    asks = setups.our_asks(tenants, 1)
    with _turns(lab, ground, setups.ours(world, IMAGE), asks, setups.our_namespace) as turn:
        yield turn


@contextmanager
def _stock(lab: Lab, ground: Ground, tenants: int, how: Callable[[str], Setup]) -> Iterator[Turn]:
    make_namespaces(ground.bed, map(setups.stock_namespace, range(tenants)))
    asks = setups.stock_asks(tenants, 1)
    with _turns(lab, ground, how(IMAGE), asks, setups.stock_namespace) as turn:
        yield turn
