"""plan.json as the keeper reads it. The spawner has validated it as LocalPlan; here only the shape is checked."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Mode = Literal["keep", "once", "schedule"]


class PlanError(Exception):
    """plan.json is missing or cannot be used; the text is one line for people."""


@dataclass(frozen=True)
class Schedule:
    """spawners.plan.Schedule."""

    cron: str
    timezone: str
    missed: Literal["run-once", "skip"] = "run-once"
    catch_up_s: int = 7 * 86400


@dataclass(frozen=True)
class Plan:
    """spawners.plan.LocalPlan, without the mode that needs no keeper."""

    mode: Mode
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    settings: dict[str, Any] | None = None
    salvage: bool = False
    schedule: Schedule | None = None
    time_limit_s: int | None = None
    grace_s: int = 30
    keep_runs: int = 50
    retries: int = 0
    ready_file: str | None = None

    def digest(self, settings: Path) -> str:
        """Changes when the child would be started differently: other program, environment or settings file."""
        content = settings.read_bytes() if settings.exists() else b""
        text = json.dumps([self.argv, self.env, self.ready_file], sort_keys=True).encode()
        return hashlib.sha256(text + b"\0" + content).hexdigest()[:16]


def load_plan(path: Path) -> Plan:
    """The plan in *path*. PlanError where it is missing, no JSON, or no plan for a keeper."""
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        raw["argv"] = tuple(raw["argv"])
        schedule = raw.pop("schedule", None)
        plan = Plan(**raw, schedule=Schedule(**schedule) if schedule else None)
    except OSError as error:
        raise PlanError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PlanError(f"{path} is no plan: {error}") from error
    if plan.mode not in ("keep", "once", "schedule") or not plan.argv:
        raise PlanError(f'{path} is no plan for a keeper: mode "{plan.mode}"')
    if plan.mode == "schedule" and plan.schedule is None:
        raise PlanError(f"{path} has mode schedule, but no schedule")
    return plan
