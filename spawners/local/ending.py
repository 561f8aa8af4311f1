"""How workloads of this machine end: by themselves, because they are told to, or while the hub is away."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from images.lib.files import read_json
from spawners.local import launch, process
from spawners.local.folder import Phase, ProcessRef, Record
from spawners.local.identity import with_environment
from spawners.local.keeper.mode import MARK
from spawners.local.keeper.outcome import signal_text
from spawners.local.runs import stop_unattended
from spawners.local.store import Store

_LEFT_BEHIND_S = 2.0
"""What processes that their own parent has left behind get (seconds) between SIGTERM and SIGKILL."""


def unnoted(store: Store, record: Record) -> ProcessRef | None:
    """The process of a workload that was started by a hub which died before it could note it; None mostly.

    Found by its environment, among all processes: for rare occasions.
    """
    return next(iter(with_environment(MARK, str(store.folder(record.workload).path))), None)


def grace_of(store: Store, record: Record) -> float:
    """What its processes get (seconds) to end by themselves: as its plan says, and time to be waited for."""
    plan = read_json(store.folder(record.workload).plan)
    grace = plan.get("grace_s", 10) if isinstance(plan, dict) else 10
    return float(grace) + 5


async def end_direct(store: Store, record: Record, grace_s: float) -> None:
    """End an interactive process and all that it started. Idempotent; the record is the caller's to save."""
    if record.process is not None:
        await process.stop(record.process, grace_s)
    await _end_left_behind(store, record, grace_s if record.process is None else _LEFT_BEHIND_S)


async def end_kept(store: Store, record: Record, grace_s: float) -> None:
    """End an unattended workload: keeper, child and run. Idempotent; the record is the caller's to save."""
    await stop_unattended(store.folder(record.workload), grace_s)
    if record.process is not None and process.alive(record.process):
        # A keeper so young that it had not yet told of itself; what it started since then it ends itself.
        await process.stop(record.process, grace_s)
    await _end_left_behind(store, record, _LEFT_BEHIND_S)


async def _end_left_behind(store: Store, record: Record, grace_s: float) -> None:
    """What its parent did not take along: kernels of a killed JupyterLab, a child of a killed keeper."""
    folder = str(store.folder(record.workload).path)
    for ref in await asyncio.to_thread(with_environment, MARK, folder):
        await process.stop(ref, grace_s)


def ended(store: Store, record: Record, *, while_away: bool = False) -> Record:
    """The record of a workload that ended without being told to. *while_away*: the hub was not there to see it."""
    if record.port is None:
        phase, reason = _ended_kept(store, record)
    else:
        phase, reason = _ended_direct(store, record, while_away)
    update = {"wanted": "stopped", "phase": phase, "reason": reason, "changed": datetime.now(UTC)}
    return record.model_copy(update=update)


def _ended_kept(store: Store, record: Record) -> tuple[Phase, str]:
    state = store.keeper(record.workload)
    if state is None:
        return "stopped", "it was stopped while it started"
    return ("failed" if state.phase == "failed" else "finished"), state.message


def _ended_direct(store: Store, record: Record, while_away: bool) -> tuple[Phase, str]:
    if record.process is None:
        if while_away:
            return "failed", "the hub was stopped while this was being started; start it again"
        return "stopped", "it was stopped while it started"
    code = process.exit_code(record.process)
    if code and code < 0:
        return "failed", signal_text(-code)
    if code:
        return "failed", f"ended with exit code {code}: {launch.why(store.folder(record.workload).path)}"
    return "stopped", "ended while the hub was away" if while_away else "ended by itself"
