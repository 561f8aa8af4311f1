"""The runs' folders as the keeper writes them: rows (row.json), what may be saved of them, what may go."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from images.lib.files import read_json, replace_json
from spawners.local.identity import ProcessRef

ROW = "row.json"
"""The keeper's own file in a run's folder; run.json belongs to the program, which works in the same folder."""
RECORDS = (ROW, "settings.json", "log.txt", "progress.json", "result.json", "run.json", "lock")
"""What every run's folder may hold; any other file is data."""
RUN_ID = re.compile(r"\d{8}T\d{6}Z(?:-([1-9][0-9]{0,3}))?")


@dataclass(frozen=True)
class Row:
    """spawners.local.folder.Run, without pydantic."""

    id: str
    trigger: str
    outcome: str
    scheduled: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    message: str = ""
    counts: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    process: ProcessRef | None = None


def order(run_id: str) -> tuple[str, int]:
    """Sort key of run ids: by time, then by number ("-10" after "-9")."""
    stamp, _, number = run_id.partition("-")
    return stamp, int(number or 1)


def _time(value: Any) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


class Rows:
    """The folder runs/ of one workload. Only the keeper writes here, so there are no races but with readers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def new_id(self, now: datetime) -> str:
        """Makes the folder of a new run, and gives its id."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        stamp = f"{now:%Y%m%dT%H%M%SZ}"
        number = 1
        while True:
            run_id = stamp if number == 1 else f"{stamp}-{number}"
            try:
                (self.folder / run_id).mkdir(mode=0o700)
            except FileExistsError:
                number += 1
            else:
                return run_id

    def ids(self) -> list[str]:
        """All ids, oldest first."""
        try:
            names = [path.name for path in self.folder.iterdir()]
        except FileNotFoundError:
            return []
        return sorted((name for name in names if RUN_ID.fullmatch(name)), key=order)

    def read(self, run_id: str) -> Row | None:
        """The row of a run; None where the keeper was killed before it could write one."""
        raw = read_json(self.folder / run_id / ROW)
        if not isinstance(raw, dict):
            return None
        try:
            for name in ("scheduled", "started", "ended"):
                raw[name] = _time(raw.get(name))
            raw["process"] = ProcessRef(**raw["process"]) if raw.get("process") else None
            return Row(**raw)
        except (TypeError, ValueError):
            return None

    def all(self) -> Iterator[Row]:
        """All rows, oldest first."""
        for run_id in self.ids():
            row = self.read(run_id)
            if row is not None:
                yield row

    def write(self, row: Row, **changes: Any) -> Row:
        """Write *row* with *changes*; the changed row."""
        row = replace(row, **changes)
        raw = asdict(row)
        for name in ("scheduled", "started", "ended"):
            raw[name] = raw[name].isoformat() if raw[name] else None
        replace_json(self.folder / row.id / ROW, raw)
        return row

    def last_sign(self, row: Row) -> datetime | None:
        """When something in the run's folder changed last: the best guess at when an unwatched run ended."""
        times = []
        for path in (self.folder / row.id).rglob("*"):
            try:
                times.append(path.stat().st_mtime)
            except OSError:
                continue
        zone = row.started.tzinfo if row.started else None
        return datetime.fromtimestamp(max(times), zone) if times and zone else None

    def holds_data(self, run_id: str) -> bool:
        """Whether the folder holds any file besides the records (and their half-written forerunners)."""
        for path in (self.folder / run_id).rglob("*"):
            temporary = path.name.startswith(tuple(f".{name}." for name in RECORDS))
            if path.is_file() and not temporary and not (path.name in RECORDS and path.parent.name == run_id):
                return True
        return False

    def unsaved(self) -> list[Path]:
        """Folders of runs that did not end well and still hold data, oldest first."""
        return [
            self.folder / row.id
            for row in self.all()
            if row.outcome not in ("running", "ok", "skipped", "missed") and self.holds_data(row.id)
        ]

    def prune(self, keep: int, *, salvage: bool) -> None:
        """Delete the oldest ended runs beyond *keep*, and as many rows of what never ran.

        With *salvage*, a folder with data that no run has saved yet stays however old it is.
        """
        rows = [row for row in self.all() if row.outcome != "running"]
        never_ran = [row for row in rows if row.outcome in ("skipped", "missed")]
        ran = [row for row in rows if row.outcome not in ("skipped", "missed")]
        for kind in (ran, never_ran):
            for row in kind[: max(0, len(kind) - keep)]:
                if not (salvage and row.outcome != "ok" and self.holds_data(row.id)):
                    shutil.rmtree(self.folder / row.id, ignore_errors=True)
