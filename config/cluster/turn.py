"""One `tenanthub apply` from plan to end: show, ask, take the lease, make sure, carry out."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from config.cluster import dialogue
from config.cluster.apply import Settings, carry_out
from config.cluster.client import Cluster
from config.cluster.lease import Lease
from config.cluster.planning import make_plan
from config.declared import Declared
from config.plan.decide import Options
from config.plan.model import Change, Plan
from config.plan.text import count

_PATIENCE = 600.0
"""Seconds to wait for another apply that shows signs of life."""


def apply(
    wanted: Declared,
    *,
    kubeconfig: Path | None,
    context: str | None,
    options: Options,
    consent: dialogue.Consent,
    timeout: float,
) -> int:
    """The exit code. ClusterError, ApplyError."""
    cluster = Cluster.connect(kubeconfig, context)
    warnings: dict[str, None] = {}
    cluster.warned = lambda said: warnings.setdefault(said)
    with Lease(cluster, wanted.keys.domain) as lease:
        lease.look()
        plan = _planned(cluster, wanted, options)
        if not _confirmed(cluster, plan, consent):
            return 1
        if not plan.changes:
            return 0
        if not lease.take(_PATIENCE, dialogue.once()):
            # Somebody else applied meanwhile: what was agreed to may no longer be what would happen.
            again = _planned(cluster, wanted, options)
            if _essence(again) != _essence(plan):
                print("\nanother apply has changed the cluster since; the plan is now:\n")
                if not _confirmed(cluster, again, consent):
                    return 1
            plan = again
        done = carry_out(
            cluster,
            plan,
            Settings(
                keys=wanted.keys,
                force_conflicts=consent.force_conflicts,
                timeout=timeout,
                progress=dialogue.progress(),
                may_go_on=lease.held,
            ),
        )
    for said in warnings:
        print(f"warning: the API server says: {said}", file=sys.stderr)
    but = ", but for the warnings above" if plan.warnings else ""
    print(f"applied in {count(done, 'step')}; the cluster is as declared{but}")
    return 0


def _planned(cluster: Cluster, wanted: Declared, options: Options) -> Plan:
    return make_plan(cluster, wanted, options, dialogue.counter("asking the API server"))


def _confirmed(cluster: Cluster, plan: Plan, consent: dialogue.Consent) -> bool:
    """Show the plan, and whether it is to be carried out (or there is nothing to)."""
    lost = dialogue.losses(cluster, plan)
    dialogue.show(plan, lost)
    if not plan.changes and not plan.problems:
        return True
    if (refused := dialogue.refusal(plan, consent)) or plan.problems:
        dialogue.complain([*refused, "nothing was applied"])
        return False
    if not dialogue.agreed(plan, consent):
        dialogue.complain(["nothing was applied"])
        return False
    return True


@dataclass(frozen=True)
class _Essence:
    what: tuple[tuple[str, str, str], ...]
    tenants: tuple[str, ...]


def _essence(plan: Plan) -> _Essence:
    """What an operator has agreed to: which objects, what happens to each, to which values."""

    def said(change: Change) -> tuple[str, str, str]:
        return change.action, change.title, repr([(one.path, one.old, one.new) for one in change.fields])

    return _Essence(tuple(map(said, plan.changes)), tuple(removal.tenant for removal in plan.removals))
