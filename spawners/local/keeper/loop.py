"""The keeper's life: lock, take over, step and sleep until told to stop."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path

from spawners.local import process
from spawners.local.identity import ProcessRef
from spawners.local.keeper.events import Clock, Events
from spawners.local.keeper.keep import Keep
from spawners.local.keeper.mode import Mode, ModeFactory, Timing, Tools
from spawners.local.keeper.once import Once
from spawners.local.keeper.plan import Plan, PlanError, load_plan
from spawners.local.keeper.rows import Rows
from spawners.local.keeper.scheduled import Scheduled
from spawners.local.keeper.state import State, StateFile, read_state
from spawners.local.paths import WorkloadFolder

DONE, WRONG_PLAN, SECOND_KEEPER = 0, 2, 3
"""Exit codes."""
_MODES: dict[str, ModeFactory] = {"keep": Keep, "once": Once, "schedule": Scheduled}


def keep(folder: WorkloadFolder, events: Events, clock: Clock | None = None, timing: Timing | None = None) -> int:
    """Keep the workload in *folder* until it is over or *events* say stop; the exit code.

    OSError where the folder cannot be written at the start.
    """
    lock = _lock(folder.lock)
    if lock is None:
        return SECOND_KEEPER
    try:
        return _kept(folder, events, clock or Clock(), timing or Timing())
    finally:
        os.close(lock)


def _lock(path: Path) -> int | None:
    """The held lock's descriptor, or None where another keeper lives. The kernel lets go of it however we end."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _kept(folder: WorkloadFolder, events: Events, clock: Clock, timing: Timing) -> int:
    before = read_state(folder.keeper)
    me = process.reference(os.getpid()) or ProcessRef(os.getpid(), clock.now().timestamp())
    # What an earlier keeper knew stays in the file, under our name, until the mode has taken over: a kill may come now.
    state = StateFile(folder.keeper, replace(before, keeper=me) if before else State(me), clock.now())
    tools = Tools(folder, clock, timing, state, Rows(folder.runs))
    try:
        plan = load_plan(folder.plan)
    except PlanError as error:
        tools.tell(phase="failed", message=str(error))
        tools.say(str(error))
        return WRONG_PLAN
    mode = _MODES[plan.mode](tools, plan)
    mode.begin(before)
    _live(mode, plan, tools, events)
    return DONE


def _live(mode: Mode, plan: Plan, tools: Tools, events: Events) -> None:
    while not mode.done or tools.state.unwritten:
        try:
            if events.stop:
                mode.shutdown()
                return
            if events.reload:
                events.reload = False
                _reload(mode, plan, tools)
            if not mode.done:
                mode.step()
            wait = mode.wake_in()
            child = mode.child
        except OSError as error:
            # A full disk or table of processes passes; giving up would not. A stop must be possible even then.
            tools.say(f"{error.strerror or error}; trying again")
            if events.stop:
                return
            wait, child = tools.timing.after_error, None  # without the child: its end may be what cannot be written
        tools.state.flush(tools.clock.now())
        if tools.state.unwritten:
            wait = min(tools.timing.after_error, wait if wait is not None else tools.timing.after_error)
        elif mode.done:
            return
        events.wait(child, wait)


def _reload(mode: Mode, plan: Plan, tools: Tools) -> None:
    try:
        new = load_plan(tools.folder.plan)
    except PlanError as error:
        tools.say(f"{error}; goes on with the plan before")
        return
    if new.mode != plan.mode:
        tools.say(f"the plan's mode is {new.mode} now; that takes a stop and a start")
        return
    mode.reload(new)
