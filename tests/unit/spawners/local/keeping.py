"""Helpers for tests of the keeper: a workload's folder, a plan, small programs, and waiting with a deadline."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from images.lib.files import replace_json
from spawners.local import process, runs
from spawners.local.folder import KeeperState, ProcessRef, Run, WorkloadFolder
from spawners.plan import LocalPlan, Schedule

T = TypeVar("T")

PYTHON = Path(sys.executable)
NEVER = Schedule(cron="0 0 29 2 *", timezone="UTC")
"""A schedule that does not come while a test runs (but on one day in four years)."""

SERVER = """
import json, os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit(143)))
print("up", os.getpid(), flush=True)
open("ready.json", "w").write("{}")
while True: time.sleep(60)
"""
"""A lasting program that says when it is ready, and ends politely."""

RUN = """
import json, pathlib, signal, sys, time
settings = json.load(open(sys.argv[1]))
folder = pathlib.Path(settings["run_dir"])
if settings.get("deaf"): signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("run", settings["run_id"], flush=True)
(folder / "progress.json").write_text(json.dumps({"done": 1}))
if settings.get("data"): (folder / "pages.warc").write_text("data")
deadline = time.monotonic() + settings.get("seconds", 0)
while time.monotonic() < deadline and not pathlib.Path(settings["gate"]).exists(): time.sleep(0.02)
result = settings.get("result", {"outcome": "ok", "message": "", "counts": {"pages": 3}})
if result: (folder / "result.json").write_text(json.dumps(result))
print(settings.get("last", "done"), flush=True)
sys.exit(settings.get("code", 0))
"""
"""A run: as long as `seconds` or until the file `gate` appears, then with the result and exit code of its settings."""


def until(look: Callable[[], T], what: str, seconds: float = 30) -> T:
    """What *look* gives as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return found


class Kept:
    """One workload with its keeper, by the functions that the hub uses."""

    def __init__(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.folder = WorkloadFolder(path)
        self.gate = path / "gate"
        replace_json(self.folder.settings, {})

    def plan(self, mode: str, program: str, **more: Any) -> None:
        """Write plan.json; `settings` of runs get the path of the gate."""
        if mode in ("once", "schedule"):
            more["settings"] = {"gate": str(self.gate)} | more.get("settings", {})
        if mode == "schedule":
            more.setdefault("schedule", NEVER)
        argv = (str(PYTHON), "-c", program, "{settings}")
        plan = LocalPlan.model_validate({"mode": mode, "argv": argv, "grace_s": 5} | more)
        replace_json(self.folder.plan, plan.model_dump(mode="json"))

    def start(self, *, fresh: bool = False) -> ProcessRef:
        """Start the keeper and wait until it has made its entry."""
        ref = runs.start_keeper(self.folder, PYTHON, fresh=fresh)
        until(lambda: (state := runs.keeper_state(self.folder)) and state.keeper == ref, "the keeper's entry")
        return ref

    def state(self) -> KeeperState:
        """keeper.json, by the model that everybody else reads it with."""
        state = until(lambda: runs.keeper_state(self.folder), "keeper.json")
        assert state
        return state

    def phase(self, *phases: str) -> KeeperState:
        """Wait for one of *phases*."""
        found = until(lambda: (s := self.state()).phase in phases and s, f"phase {phases}; it is {self.state()}")
        assert found
        return found

    def runs(self) -> list[Run]:
        """All runs, newest first."""
        return runs.list_runs(self.folder, 1000)

    def run(self, *outcomes: str) -> Run:
        """Wait until the newest run has one of *outcomes*."""
        found = until(lambda: (r := self.runs()) and r[0].outcome in outcomes and r[0], f"a run {outcomes}")
        assert found
        return found

    def running(self) -> Run:
        """Wait until a run's program is at work."""
        found = until(lambda: (r := self.runs()) and r[0].outcome == "running" and r[0].process and r[0], "a run")
        assert found
        until(lambda: runs.progress(self.folder, found.id), "its first sign")
        return found

    def run_dir(self, run: Run) -> Path:
        """The folder of a run."""
        return self.folder.runs / run.id

    def log(self) -> str:
        """The keeper's and the child's log."""
        return runs.run_log(self.folder, None)

    def kill(self, ref: ProcessRef | None) -> None:
        """kill -9, and wait for the end."""
        assert ref is not None
        os.kill(ref.pid, 9)
        until(lambda: not process.alive(ref), "its death")

    def stop(self) -> None:
        """End all of it."""
        self.gate.touch()
        asyncio.run(runs.stop_unattended(self.folder))
