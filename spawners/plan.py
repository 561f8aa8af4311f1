"""What a workload becomes on this machine: processes and files, as data. Made by the kinds, carried out by local/."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from config.models import Declared


class Tools(Declared):
    """Programs of this machine that kinds need; None where it is missing."""

    python: Path
    rclone: Path
    rsync: Path | None = None
    code_server: tuple[str, ...] | None = None
    """argv that starts it: it may need a Node of its own."""
    node: Path | None = None


class LocalPlace(Declared):
    """Where a workload lands on this machine: given to the kind, never chosen by it."""

    tools: Tools
    folder: Path
    """The workload's own folder (0700)."""
    home: Path
    """Home of the owner within the tenant; kept over launches."""
    address: str | None = None
    """The LoadBalancer address allocated to it, where the kind wants one."""
    shared_folder: Path | None = None
    """Folder of the tenant that all of its workloads share."""

    @property
    def password_file(self) -> Path:
        """The generated password, in a file of mode 0600."""
        return self.folder / "secrets" / "password"

    @property
    def rclone_config(self) -> Path:
        """rclone's configuration with the tenant's remotes, mode 0600, written by local/ from the secrets."""
        return self.folder / "secrets" / "rclone.conf"


class Schedule(Declared):
    """When runs start: a cron expression as Kubernetes' CronJob takes it, in a time zone."""

    cron: str
    timezone: str
    missed: Literal["run-once", "skip"] = "run-once"
    """What happens to runs that were missed while the machine was off: one run to catch up, or none."""
    catch_up_s: int = 7 * 86400
    """A missed run older than this (seconds) is only shown, not caught up (CronJob: startingDeadlineSeconds)."""


class LocalPlan(Declared):
    """The processes of one workload."""

    mode: Literal["direct", "keep", "once", "schedule"]
    """direct: started by the spawner, not restarted (interactive); keep: restarted by the keeper for ever;
    once: one run, then finished; schedule: a run at each time of the schedule."""
    argv: tuple[str, ...]
    """Program and arguments. "{settings}" stands for the path of the settings file of this process or run."""
    env: dict[str, str] = {}  # noqa: RUF012  (pydantic copies it)
    settings: dict[str, Any] | None = None
    """Content of the settings file (0600), no secrets in it. For runs the keeper adds run_id and run_dir."""
    salvage: bool = False
    """Runs take "salvage_dirs": folders of earlier runs that did not end well and still hold data."""
    schedule: Schedule | None = None
    time_limit_s: int | None = None
    """A run past it (seconds) is stopped: SIGTERM, then SIGKILL after grace_s."""
    grace_s: int = 30
    keep_runs: int = 50
    """How many ended runs keep their record and log."""
    retries: int = 0
    """How often a failed run of mode once is tried again, with growing pauses."""
    ready_file: str | None = None
    """keep: file in the workload's folder whose (new) appearance means ready."""
