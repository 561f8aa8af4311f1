"""A hub that is restarted while thousands of workloads of its own run on."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.contest import CannotRun, Contender, Turn, contest, say
from tests.bench.ground import Ground, raised
from tests.bench.kube import crowd, setups, simulated
from tests.bench.kube.audit import AuditLog
from tests.bench.kube.cluster import OURS, STOCK, make_namespace
from tests.bench.kube.copies import FIRST, Person, copy_objects, copy_rows
from tests.bench.kube.crowd import Ask
from tests.bench.kube.hubs import BenchHub, Setup, hub
from tests.bench.lab import Lab
from tests.bench.rows.kubetenants import IMAGE
from tests.bench.table import Measure, Section

NAME = "kuberestart"
TITLE = "Restart of a hub while workloads run"
ROUNDS = 2
A_TENANT = 20
"""Workloads of each tenant."""
REST_S = 60
"""How long the hub is watched at rest."""
_PATIENCE_S = 900
_FOUND = re.compile(rb"Initialized (\d+) spawners in")
"""JupyterHub's own line, once it has asked after every server."""


def run(lab: Lab) -> Section:
    """Ours and stock on one control plane with fake nodes, each with as many workloads of its own."""
    people = crew(lab.options.workloads)
    with raised(say) as ground:
        simulated.populate(ground.bed)
        contenders = (
            Contender(OURS, lambda: _ours(lab, ground, people), ours=True),
            Contender(STOCK, lambda: _stock(lab, ground, people)),
        )
        results = contest(NAME, measures(len(people)), contenders, min(lab.options.rounds, ROUNDS))
        return Section(NAME, TITLE, results, (*notes(people), ground.versions()))


def crew(workloads: int) -> list[Person]:
    """Whose they are: so many in all, A_TENANT in each tenant but the last."""
    return [Person(number // A_TENANT, number % A_TENANT) for number in range(workloads)]


def tenants_of(people: Sequence[Person]) -> int:
    """How many tenants they belong to."""
    return max(one.tenant for one in people) + 1


def measures(workloads: int) -> tuple[Measure, ...]:
    """What is measured with so many *workloads*."""
    return (
        Measure("page", "command → its API answers", "s"),
        Measure("found", f"command → all {workloads:,} were found to run", "s"),
        Measure("cpu", "CPU time until then", "s"),
        Measure("requests", "requests to the API server until then", "requests"),
        Measure("peak", "memory until then, at most (RSS)", "MiB"),
        Measure("memory", "memory a minute later (RSS)", "MiB"),
        Measure("rest_cpu", "CPU time in that minute", "s"),
        Measure("rest_requests", "requests to the API server in that minute", "requests"),
    )


def notes(people: Sequence[Person]) -> tuple[str, ...]:
    """What a reader has to know of it."""
    return (
        f"{len(people):,} Pods on {simulated.NODES} fake nodes of kwok's, one program on the host answers HTTP for all "
        "of them. One was really launched by each hub; the others are copies of its objects and of its rows in the "
        "hub's SQLite database.",
        f"{OURS} is `tenanthub hub`, with its rights and records; its workloads are spread over {tenants_of(people)} "
        f"tenants' namespaces. {STOCK} has all of them in one, as Zero to JupyterHub does, which is the least for it "
        "to watch. Each hub has its own Pods alone in its sight; those of the other are on the cluster too.",
        "The proxy goes on meanwhile and keeps its routes. All were found to run: JupyterHub says that it has asked "
        "after each, by its spawner and by HTTP. Stock opens its pages then, or after 10 s (init_spawners_timeout, its "
        "default); ours after 1 s. Polls: stock's each 30 s, ours each 5 s (their defaults).",
        "Requests by the API server's audit log. One restart of each is not counted.",
    )


@contextmanager
def _turns(lab: Lab, ground: Ground, setup: Setup, people: list[Person], ask: Ask, namespace: str) -> Iterator[Turn]:
    bed, folder = ground.bed, lab.new_folder(f"{NAME}-{setup.name}")
    with hub(bed, folder, setup) as running:
        running.add_users([one.account for one in people])
        went = crowd.launch(running, [ask])
        if went.failed:
            raise CannotRun(f"the one to be copied: {went.problems()}")
        running.stop()
        others = [one for one in people if one != FIRST]
        say(f"{NAME}: {setup.name}: making {len(others):,} copies …")
        addresses = copy_objects(bed, namespace, others)
        copy_rows(_database(folder), addresses, others)

        def turn(_: int) -> dict[str, float]:
            try:
                return _restarted(running, len(people))
            finally:
                running.stop()

        turn(0)
        yield turn


def _database(folder: Path) -> Path:
    (found,) = folder.rglob("*.sqlite")
    return found


def _restarted(running: BenchHub, workloads: int) -> dict[str, float]:
    log, user = AuditLog.of(running.bed), running.user
    position = running.log.stat().st_size
    began = time.perf_counter()
    page = running.start()
    found = running.until("every server was asked after", lambda: _found(running.log, position), _PATIENCE_S)
    taken = {"page": page, "found": time.perf_counter() - began, **_spent(running)}
    taken["requests"] = log.taken(user).total()
    live = running.active_servers()
    if (found, live) != (workloads, workloads):
        raise CannotRun(f"of {workloads} servers {found} were asked after, {live} still run")
    log.taken(user)
    before = _cpu(running)
    time.sleep(REST_S)
    memory = running.process.memory_info().rss / 2**20
    return {
        **taken,
        "memory": memory,
        "rest_cpu": _cpu(running) - before,
        "rest_requests": log.taken(user).total(),
    }


def _found(log: Path, position: int) -> int:
    """The number in JupyterHub's line behind *position*; 0 while it is not there."""
    with log.open("rb") as file:
        file.seek(position)
        found = _FOUND.search(file.read())
    return int(found[1]) if found else 0


def _spent(running: BenchHub) -> dict[str, float]:
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{running.process.pid}/status").read_text())
    return {"cpu": _cpu(running), "peak": int(peak[1]) / 1024 if peak else 0.0}


def _cpu(running: BenchHub) -> float:
    """Seconds of CPU time since it was started."""
    times = running.process.cpu_times()
    return float(times.user + times.system)


@contextmanager
def _ours(lab: Lab, ground: Ground, people: list[Person]) -> Iterator[Turn]:
    tenants = tenants_of(people)
    world = setups.write_world(lab.new_folder(f"{NAME}-world"), ground.bed, tenants, A_TENANT, IMAGE)
    ground.apply(world, changed=False)
    setup, ask = setups.ours(world, IMAGE), setups.our_asks(1, 1)[0]
    with _turns(lab, ground, setup, people, ask, setups.our_namespace(0)) as turn:
        yield turn


@contextmanager
def _stock(lab: Lab, ground: Ground, people: list[Person]) -> Iterator[Turn]:
    make_namespace(ground.bed, setups.STOCK_NAMESPACE)
    setup, ask = setups.stock(IMAGE), setups.stock_asks(1, 1)[0]
    with _turns(lab, ground, setup, people, ask, setups.STOCK_NAMESPACE) as turn:
        yield turn
