"""From a folder and a cluster to a plan: read both, compare, ask the API server about what is not sure."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from config.cluster.ask import Progress, ask
from config.cluster.client import Cluster
from config.cluster.observe import Observation, Observed
from config.compile import compile_world
from config.declared import Declared
from config.emit.common import Manifest
from config.errors import Problem, in_order
from config.names import Keys
from config.order import kind_of
from config.plan.decide import Options, decide
from config.plan.match import match, to_ask
from config.plan.model import Plan
from config.plan.ranges import outside


def make_plan(
    cluster: Cluster,
    wanted: Declared,
    options: Options,
    progress: Progress = lambda _done, _all: None,
) -> Plan:
    """The plan as of now. ClusterError."""
    with Observation(cluster, wanted.keys) as observation:
        desired = compile_world(wanted.world)
        observed = observation.finish(desired)
    problems = tuple(map(str, _impossible(wanted, desired, observed)))
    if problems:
        return Plan(problems=problems)
    return _compared(cluster, desired, observed, wanted.keys, options, progress)


def plan_for(cluster: Cluster, desired: Sequence[Manifest], label_keys: Keys, options: Options) -> Plan:
    """The same for manifests that were made in another way. ClusterError."""
    with Observation(cluster, label_keys) as observation:
        observed = observation.finish(desired)
    return _compared(cluster, desired, observed, label_keys, options, lambda _done, _all: None)


def _compared(
    cluster: Cluster,
    desired: Sequence[Manifest],
    observed: Observed,
    label_keys: Keys,
    options: Options,
    progress: Progress,
) -> Plan:
    matched = match(desired, observed.live, label_keys)
    return decide(matched, label_keys, ask(cluster, to_ask(matched), progress), options)


def _impossible(wanted: Declared, desired: tuple[Manifest, ...], observed: Observed) -> tuple[Problem, ...]:
    """What the cluster lacks (an add-on's kind or namespace) or has elsewhere; each once, with the line to change."""
    found = []
    for kind in {kind_of(one) for one in desired} & observed.unknown:
        said = f"the cluster does not know {kind.kind} ({kind.api_version})"
        if kind.addon:
            fix = f"install {kind.addon}, or write {kind.addon}: false"
            found.append(wanted.sources.problem("site", "", ("addons", kind.addon), said, fix))
        else:
            found.append(Problem("cluster", 0, "", said, "TenantHub needs Kubernetes 1.30 or newer"))
    own = wanted.world.site.cluster.metallb_namespace
    for name in observed.no_namespace:
        path = ("cluster", "metallb_namespace") if name == own else ("cluster",)
        fix = "write the namespace that MetalLB runs in"
        found.append(wanted.sources.problem("site", "", path, f"there is no namespace {name} in the cluster", fix))
    for field, who, address in outside(wanted.world.site.cluster, (*observed.landmarks, *observed.live)):
        said = f"{who} has {address}, which lies in none of the {field} ranges: the wall would have a hole there"
        fix = "write the range that the cluster was made with"
        found.append(wanted.sources.problem("site", "", ("cluster", field), said, fix))
    return in_order(found)


def only(plan: Plan, tenants: tuple[str, ...]) -> Plan:
    """The part of *plan* that belongs to these tenants, for reading; everything where none is named."""
    if not tenants:
        return plan
    changes = tuple(change for change in plan.changes if change.tenant in tenants)
    removals = tuple(removal for removal in plan.removals if removal.tenant in tenants)
    return replace(plan, changes=changes, removals=removals)


@contextmanager
def without_collector() -> Iterator[None]:
    """No garbage collection: a plan of 13,000 objects makes a million small ones, none of them in a cycle.

    The collector would look through all of them again and again: 0.3 s of 1.5 s (measured, 1,000 tenants).
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()
