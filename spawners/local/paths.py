"""Where the files of one workload lie (who writes which: folder.py). Apart from the models, for the keeper."""

from __future__ import annotations

from pathlib import Path


class WorkloadFolder:
    """Paths of one workload's folder; makes nothing by itself."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record = path / "record.json"
        self.plan = path / "plan.json"
        self.secrets = path / "secrets"
        self.settings = path / "settings.json"
        self.keeper = path / "keeper.json"
        self.schedule = path / "schedule.json"
        self.lock = path / "keeper.lock"
        self.run_now = path / "run-now"
        self.log = path / "log.txt"
        self.runs = path / "runs"
