"""Many tenants' objects made from files: the compiler alone, and the command that prints them."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

from config.check.cluster import ready_for_cluster
from config.cluster.planning import without_collector
from config.compile import compile_world
from config.load import load_sources
from tests.bench.contest import CannotRun, Contender, Turn, contest
from tests.bench.lab import OURS, Lab
from tests.bench.table import Measure, Section, one_line
from tests.bench.worlds import write_cluster_world
from tests.embedded.harness import TENANTHUB

NAME = "compile"
TITLE = "The objects of many tenants"


def run(lab: Lab) -> Section:
    """Ours only: nothing else reads these files."""
    tenants = lab.options.tenants
    measures = (
        Measure("load", f"{tenants:,} tenants: read and checked, for a cluster too", "s"),
        Measure("compile", f"{tenants:,} tenants: made into objects", "s"),
        Measure("render", f"{tenants:,} tenants: `tenanthub render`, the whole command", "s"),
    )
    made: list[int] = []
    contenders = (Contender(OURS, lambda: _ours(lab, made), ours=True),)
    results = contest(NAME, measures, contenders, lab.options.rounds)
    note = (
        "Each tenant has a worker, a network with a VLAN, and IPv4 and IPv6 addresses; the site has Capsule, MetalLB, "
        "egressgateway and Cilium"
    )
    objects = f": {made[-1]:,} objects" if made else ""
    return Section(NAME, TITLE, results, (f"{note}{objects}.",))


@contextmanager
def _ours(lab: Lab, made: list[int]) -> Iterator[Turn]:
    """*made* gets the number of objects."""
    folder = write_cluster_world(lab.new_folder("compile"), lab.options.tenants)

    def turn(_round: int) -> dict[str, float]:
        with without_collector():  # as the commands do
            load, compiled, objects = parts()
        return {"load": load, "compile": compiled, "render": _render(lab, objects)}

    def parts() -> tuple[float, float, int]:
        began = time.perf_counter()
        world, sources = load_sources(folder)
        problems = ready_for_cluster(world, sources)
        loaded = time.perf_counter()
        if problems:
            raise CannotRun(str(problems[0]))
        manifests = compile_world(world)
        compiled = time.perf_counter()
        made.append(len(manifests))
        return loaded - began, compiled - loaded, len(manifests)

    def _render(lab: Lab, objects: int) -> float:
        file = lab.new_folder(f"rendered-{len(made)}") / "objects.yaml"
        with file.open("wb") as output:
            began = time.perf_counter()
            done = subprocess.run(
                [TENANTHUB, "render", folder],
                stdout=output,
                stderr=subprocess.PIPE,
                text=True,
                timeout=600,
                check=False,
            )
            took = time.perf_counter() - began
        if done.returncode:
            raise CannotRun(f"tenanthub render ended with {done.returncode}: {one_line(done.stderr)}")
        written = sum(line == b"---\n" for line in file.read_bytes().splitlines(keepends=True))
        file.unlink()
        if written != objects:
            raise CannotRun(f"tenanthub render wrote {written} of {objects} objects")
        return took

    yield turn
