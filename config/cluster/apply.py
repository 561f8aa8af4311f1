"""Carry a plan out: one request a step, stage by stage. Every step may be the last; the next run goes on from there.

Nothing is remembered outside the cluster. Whatever an interrupted run leaves carries the owner label until all that
hangs on it is done (a node's taint goes before its label, a kept namespace is let go last), so the next plan finds it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import Any

from config.cluster.ask import conflicts
from config.cluster.client import ApiError, Cluster, ClusterError
from config.names import Keys
from config.plan.match import is_ending
from config.plan.model import Plan
from config.plan.nodes import marks
from config.plan.sequence import Stage, Step, sequence

AT_ONCE = 8
"""Requests under way at the same time: enough to keep an API server on two cores busy."""
_RACES = 8
"""How often a write is tried again that met somebody else's."""
_SETTLE = 20.0
"""Seconds that an add-on's webhook gets to notice what has just been deleted or made (egressgateway: one or two)."""


class ApplyError(Exception):
    """What stopped an apply, one line each; what was done before stays done."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines
        super().__init__("\n".join(lines))


@dataclass(frozen=True)
class Settings:
    """How to apply."""

    keys: Keys
    force_conflicts: bool = False
    timeout: float = 300.0
    """Seconds to wait for something that is ending."""
    progress: Callable[[int, int, str], None] = lambda _done, _all, _what: None
    """Called with steps done, all steps, and what was done last or is waited for."""
    may_go_on: Callable[[], bool] = lambda: True
    """Asked before each step; False ends the apply (the lease was lost)."""
    stop: threading.Event = field(default_factory=threading.Event)
    """Set on the first error: what has not begun does not begin."""


def carry_out(cluster: Cluster, plan: Plan, settings: Settings) -> int:
    """Do what *plan* says; the number of steps. ApplyError where a step failed: nothing after its stage was begun."""
    stages = sequence(plan)
    total = sum(map(len, stages))
    done = 0
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="apply") as pool:
        try:
            for stage in stages:
                done = _stage(pool, cluster, stage, settings, done, total)
        except BaseException:
            settings.stop.set()
            raise
    return total


def _stage(pool: ThreadPoolExecutor, cluster: Cluster, stage: Stage, settings: Settings, done: int, total: int) -> int:
    before, lock = done, threading.Lock()

    def run(step: Step) -> None:
        nonlocal done
        if settings.stop.is_set():
            return
        if not settings.may_go_on():
            raise ClusterError("another apply has taken over; this one ends here")

        def waiting(words: str) -> None:
            settings.progress(done, total, words)

        _STEPS[step.verb](cluster, step, settings, waiting)
        with lock:
            done += 1
            settings.progress(done, total, step.words)

    if len(stage) == 1:
        futures: list[Future[None]] = [_now(run, stage[0])]
    else:
        futures = [pool.submit(run, step) for step in stage]
        wait(futures, return_when=FIRST_EXCEPTION)
    if any(future.done() and future.exception() for future in futures):
        settings.stop.set()
        wait(futures)
        raise ApplyError(
            [_said(step, future) for step, future in zip(stage, futures, strict=True) if future.exception()]
        )
    return before + len(stage)


def _now(run: Callable[[Step], None], step: Step) -> Future[None]:
    """One step needs no thread."""
    future: Future[None] = Future()
    try:
        run(step)
    except ClusterError as error:
        future.set_exception(error)
    else:
        future.set_result(None)
    return future


def _said(step: Step, future: Future[None]) -> str:
    error = future.exception()
    if not isinstance(error, ClusterError):
        raise error or AssertionError("only failed steps are told")
    if isinstance(error, ApiError) and (held := conflicts(error)):
        fields = ", ".join(f"{one.path} (held by {one.manager})" for one in held)
        return f"{step.change.title}: conflict over {fields}; --force-conflicts takes them"
    return f"{step.words}: {error.message if isinstance(error, ApiError) else error}"


Waiting = Callable[[str], None]


def _apply(cluster: Cluster, step: Step, settings: Settings, waiting: Waiting) -> None:
    change = step.change
    _settled(step, waiting, lambda: cluster.apply(change.path, step.manifest or {}, force=settings.force_conflicts))


def _delete(cluster: Cluster, step: Step, settings: Settings, waiting: Waiting) -> None:
    change = step.change
    # A namespace that is ending refuses to be deleted again.
    if change.live is None or not is_ending(change.live):
        # Capsule's Tenant owns its namespaces: without orphaning they would go with it.
        orphan = change.kind.addon == "capsule"
        _settled(step, waiting, lambda: cluster.delete(change.path, uid=change.uid or None, orphan=orphan))
    if change.kind.kind != "Namespace":
        _wait(cluster, step, settings, waiting)


def _settled(step: Step, waiting: Waiting, act: Callable[[], Any]) -> None:
    """Repeat what met somebody else's write; and egressgateway's refusals for a while, as it learns of deletes late."""
    races, deadline = 0, time.monotonic() + _SETTLE
    while True:
        try:
            act()
        except ApiError as error:
            webhook = step.change.kind.addon == "egressgateway" and 400 <= error.status < 500
            race = error.status == 409 and not conflicts(error)
            races += race
            if (race and races < _RACES) or (webhook and not conflicts(error) and time.monotonic() < deadline):
                waiting(f"{step.words}: trying again: {error.message}")
                time.sleep(0.5 if webhook else 0.05 * races)
                continue
            raise
        return


def _wait(cluster: Cluster, step: Step, settings: Settings, waiting: Waiting) -> None:
    change, began, pause = step.change, time.monotonic(), 0.05
    while True:
        now = cluster.get(change.path)
        if now is None or now["metadata"]["uid"] != change.uid:
            return
        passed = time.monotonic() - began
        if passed > settings.timeout:
            raise ClusterError(f"still there after {passed:.0f} s; {_holding(now)}")
        if passed > 2:
            waiting(f"waiting for {change.title} to end, {passed:.0f} s; {_holding(now)}")
        time.sleep(pause)
        pause = min(pause * 1.5, 1.0)


def _holding(now: dict[str, Any]) -> str:
    """Why it has not ended yet, as the object itself says."""
    conditions = (now.get("status") or {}).get("conditions") or ()
    told = [one["message"] for one in conditions if one.get("status") == "True" and one["type"].startswith("Namespace")]
    finalizers = now["metadata"].get("finalizers") or (now.get("spec") or {}).get("finalizers") or ()
    return "; ".join(told) or (f"finalizers: {', '.join(finalizers)}" if finalizers else "nothing says why")


def _mark(cluster: Cluster, step: Step, settings: Settings, _waiting: Waiting) -> None:
    """A node's labels and taint. Taints go before the owner label goes, and come after it has come."""
    change, wanted = step.change, marks(step.change, settings.keys)
    try:
        if wanted.labels is None:
            _taints(cluster, change.path, wanted.key, [])
            cluster.merge(change.path, {"metadata": {"labels": dict.fromkeys(wanted.dropped)}})
            return
        if wanted.dropped:
            # Before the apply: that gives them up, and what somebody else has set too would stay, unknown to us.
            cluster.merge(change.path, {"metadata": {"labels": dict.fromkeys(wanted.dropped)}})
        cluster.apply(change.path, wanted.labels, force=settings.force_conflicts)
        _taints(cluster, change.path, wanted.key, [dict(one) for one in wanted.taints])
    except ApiError as error:
        gone = error.status == 404 or (error.status == 409 and "uid mismatch" in error.message)
        if not gone:  # a node that has left meanwhile needs no marks
            raise


def _taints(cluster: Cluster, path: str, key: str, wanted: list[dict[str, Any]]) -> None:
    """Set the taints with *key*; all others stay. The list is one value to the API server, so read, merge, write."""
    for attempt in range(_RACES):
        node = cluster.get(path)
        if node is None:
            return
        there = (node.get("spec") or {}).get("taints") or []
        mine = [one for one in there if one.get("key") == key]
        if sorted(map(_taint, mine)) == sorted(map(_taint, wanted)):
            return
        taints = [one for one in there if one.get("key") != key] + wanted
        version = node["metadata"]["resourceVersion"]
        try:
            cluster.merge(path, {"metadata": {"resourceVersion": version}, "spec": {"taints": taints or None}})
        except ApiError as error:
            if error.status != 409 or attempt == _RACES - 1:
                raise  # a kubelet reports every few seconds; eight times in a row is something else
            continue
        return


def _taint(one: dict[str, Any]) -> tuple[str, str]:
    return one.get("value", ""), one["effect"]


def _keep(cluster: Cluster, step: Step, settings: Settings, _waiting: Waiting) -> None:
    """The owner label goes, and a namespace's leave to use addresses that may be somebody else's tomorrow."""
    keys = settings.keys
    metadata: dict[str, Any] = {"labels": {keys.declared_by: None}}
    if step.change.kind.kind == "Namespace":
        metadata["annotations"] = dict.fromkeys((keys.loadbalancer_addresses, keys.egress_networks))
    try:
        cluster.merge(step.change.path, {"metadata": metadata})
    except ApiError as error:
        if error.status != 404:
            raise


_STEPS: dict[str, Callable[[Cluster, Step, Settings, Waiting], None]] = {
    "apply": _apply,
    "narrow": _apply,
    "delete": _delete,
    "wait": _wait,
    "mark": _mark,
    "keep": _keep,
}
