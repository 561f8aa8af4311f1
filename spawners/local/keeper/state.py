"""keeper.json and schedule.json: what the keeper tells others, and what it must still know after a kill -9."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from images.lib.files import read_json, replace_json
from spawners.local.identity import ProcessRef
from spawners.local.keeper.plan import Schedule


@dataclass(frozen=True)
class State:
    """spawners.local.folder.KeeperState, without pydantic."""

    keeper: ProcessRef
    phase: str = "starting"
    child: ProcessRef | None = None
    message: str = ""
    restarts: int = 0
    next_run: datetime | None = None
    current_run: str | None = None
    launched: datetime | None = None
    started_with: str = ""


def read_state(path: Path) -> State | None:
    """What the keeper before us knew; None where there was none since people started the workload."""
    raw = read_json(path)
    if not isinstance(raw, dict):
        return None
    raw.pop("updated", None)
    try:
        for name in ("keeper", "child"):
            raw[name] = ProcessRef(**raw[name]) if raw.get(name) else None
        for name in ("next_run", "launched"):
            raw[name] = datetime.fromisoformat(raw[name]) if raw.get(name) else None
        return State(**raw)
    except (TypeError, ValueError):
        return None


class StateFile:
    """keeper.json: written whole at each change, and only then.

    What cannot be written (disk full) is kept and tried again by `flush`: no decision may depend on it.
    """

    def __init__(self, path: Path, state: State, now: datetime) -> None:
        self.path = path
        self.state = state
        self.unwritten = False
        self._write(now)

    def set(self, now: datetime, **changes: Any) -> None:
        """Change the state, and write it where that makes a difference."""
        state = replace(self.state, **changes)
        if state != self.state:
            self.state = state
            self.unwritten = True
        self.flush(now)

    def flush(self, now: datetime) -> None:
        """Write what could not be written before."""
        if self.unwritten:
            with contextlib.suppress(OSError):
                self._write(now)
                self.unwritten = False

    def _write(self, now: datetime) -> None:
        raw = asdict(self.state) | {"updated": now.isoformat()}
        for name in ("next_run", "launched"):
            raw[name] = raw[name].isoformat() if raw[name] else None
        replace_json(self.path, raw)


def read_considered(path: Path, schedule: Schedule) -> datetime | None:
    """Up to when this very schedule is dealt with; None for another one: a new schedule says nothing of the past."""
    raw = read_json(path)
    if not isinstance(raw, dict) or (raw.get("cron"), raw.get("timezone")) != (schedule.cron, schedule.timezone):
        return None
    try:
        return datetime.fromisoformat(raw["considered"])
    except (KeyError, TypeError, ValueError):
        return None


def write_considered(path: Path, schedule: Schedule, considered: datetime) -> None:
    """Note it, with the schedule that it is true of. OSError."""
    replace_json(path, {"cron": schedule.cron, "timezone": schedule.timezone, "considered": considered.isoformat()})
