"""The folder of one workload on this machine: which file is where, and who writes it.

    record.json      the spawner (hub process) alone: Record
    plan.json        the spawner, before a start: LocalPlan
    secrets/         0700; password and rclone.conf, 0600, written by the spawner before a start
    settings.json    the spawner, for direct and keep
    keeper.json      the keeper alone: KeeperState
    schedule.json    the keeper alone: up to which time the schedule is dealt with; gone when people stop the workload
    keeper.lock      flock held by the living keeper: never two
    run-now          made by "run now" (then SIGUSR1 to the keeper), removed by the keeper
    log.txt          output of the process (direct, keep) and the keeper's own lines
    runs/<run id>/   row.json (keeper: Run), settings.json (keeper), log.txt; the rest is the program's: progress.json,
                     result.json, run.json and lock (records), and any other file, which is data of the run

Every JSON file is replaced whole (images.lib.files.replace_json), so readers need no lock.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

from config.models import Declared
from spawners.local.identity import ProcessRef
from spawners.local.paths import WorkloadFolder
from spawners.workload import Workload

__all__ = ["KeeperState", "Outcome", "Phase", "ProcessRef", "Record", "Run", "WorkloadFolder"]

Phase = Literal["starting", "running", "stopped", "failed", "finished"]
Outcome = Literal["running", "ok", "failed", "stopped", "time-limit", "skipped", "missed", "interrupted"]


class Record(Declared):
    """What the hub knows of a workload, kept when the hub's database is lost."""

    workload: Workload
    wanted: Literal["running", "stopped"]
    phase: Phase
    reason: str = ""
    """Why it failed, for people."""
    changed: datetime
    address: str | None = None
    port: int | None = None
    """Loopback port of an interactive process."""
    process: ProcessRef | None = None
    """The direct process, or the keeper."""


class KeeperState(Declared):
    """What the keeper knows."""

    keeper: ProcessRef
    child: ProcessRef | None = None
    phase: Literal["starting", "running", "waiting", "backoff", "stopped", "finished", "failed"]
    message: str = ""
    restarts: int = 0
    next_run: datetime | None = None
    current_run: str | None = None
    updated: datetime
    launched: datetime | None = None
    """once: when people started it; runs before that belong to an earlier launch."""
    started_with: str = ""
    """keep: digest of the plan and settings that the child was started with."""


class Run(Declared):
    """One run of a scheduled or once-only workload."""

    id: str
    """UTC start, e.g. 20261121T101500Z (with -2 … where two would collide)."""
    scheduled: datetime | None = None
    """The time of the schedule it belongs to; none for run now."""
    trigger: Literal["schedule", "manual", "catch-up", "retry"]
    started: datetime | None = None
    ended: datetime | None = None
    outcome: Outcome
    message: str = ""
    counts: dict[str, Any] = {}  # noqa: RUF012  (pydantic copies it)
    exit_code: int | None = None
    process: ProcessRef | None = None
