"""A real Kubernetes for the tests of this folder; docs/test-bed.md has an example."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Generator, Iterator

import pytest

from tests.cluster import traces
from tests.cluster.bed import Bed, BedError, down, find, missing, reap, up
from tests.cluster.bed.binaries import BED, CONTROL_PLANE
from tests.cluster.bed.needs import unbuilt
from tests.cluster.chart import installed
from tests.cluster.kube import Kube
from tests.tiers import need

__all__ = ["installed"]

ControlPlane = Callable[[str], Bed]

_used: dict[str, Bed] = {}
"""The beds of this run, by name: those whose state a failed test shows."""


def _say(line: str) -> None:
    print(line, flush=True)


def _own_bed(suffix: str, nodes: int, crds: str) -> Bed:
    """Raise a bed of this run's own, so that runs side by side do not disturb each other."""
    reasons = missing() or unbuilt(BED if nodes else CONTROL_PLANE)
    need("cluster", not reasons, "; ".join(reasons))
    made = up(f"{_run_name()}{suffix}", nodes, crds, _say, own=True)
    _used[made.name] = made
    return made


def _run_name() -> str:
    number, name = os.getpid(), ""
    while number:
        number, digit = divmod(number, 36)
        name = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + name
    return f"t{name}"  # at most 6 characters: process numbers end at 4194304


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests with the chart installed come last: it stays to the end, and its tenants' workers bear their taints."""
    items.sort(key=lambda item: installed.__name__ in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def bed() -> Iterator[Bed]:
    """A bed with three nodes: the one that runs as $TENANTHUB_BED_NAME (default: bed), else one of this run's own."""
    running = find(os.environ.get("TENANTHUB_BED_NAME", "bed"))
    if running is not None and running.nodes:
        _used[running.name] = running
        yield running
        return
    reap(_say)
    made = _own_bed("b", 3, "current")
    yield made
    down(made.name, _say)


@pytest.fixture(scope="session")
def control_plane() -> Iterator[ControlPlane]:
    """Gives control planes without nodes by their set of definitions (current, paper, none), each raised once a run."""
    made: dict[str, Bed] = {}

    def give(crds: str = "current") -> Bed:
        if crds not in made:
            if not made:
                reap(_say)
            made[crds] = _own_bed(crds[0], 0, crds)
        return made[crds]

    yield give
    for each in made.values():
        down(each.name, _say)


@pytest.fixture
def kube(bed: Bed) -> Kube:
    """kubectl and the Python client for `bed`; for a control plane alone: `Kube(control_plane("paper"))`."""
    return Kube(bed)


@pytest.fixture
def unique() -> Iterator[str]:
    """A short name of this test's own, e.g. for a tenant; namespaces with it in their names go when the test ends."""
    name = f"t{secrets.token_hex(3)}"
    yield name
    for each in _used.values():
        kube = Kube(each)
        if found := traces.namespaces(kube, name):
            kube.kubectl("delete", "namespace", "--wait=false", *found)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows what its beds know of it."""
    report = yield
    # at the end of the test itself: what `unique` takes away afterwards is still there
    if report.failed and report.when in ("setup", "call"):
        fixtures = getattr(item, "funcargs", {})
        for each in _used.values():
            try:
                report.sections.extend(traces.sections(each, fixtures.get("unique")))
            except (BedError, OSError, ValueError) as error:
                report.sections.append((f"bed {each.name}", f"cannot be asked: {error}"))
    return report
