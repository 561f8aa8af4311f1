"""The run's account: events come in, progress.json, dry-run.jsonl and the counts come out."""

from __future__ import annotations

import sys
import time
from collections import Counter
from dataclasses import fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from images.lib.files import append_json_line, replace_json
from images.transfer.events import Deleted, Event, Note, Planned, Stats, Trouble, Verified
from images.transfer.words import without_secrets

Phase = Literal["dry-run", "copying", "checking"]
DRY_RUN_LINES = 10_000
LOG_LINES = 2_000
CURRENT_NAMES = 16
_WRITE_EVERY_S = 0.5


class Ledger:
    """Owns the files of *run_dir*. Not thread-safe: one event loop feeds it."""

    def __init__(self, run_dir: Path, run_id: str) -> None:
        self.run_dir = run_dir
        self.started = datetime.now(UTC).isoformat(timespec="seconds")
        self.phase: Phase = "copying"
        self.state: dict[str, Any] = {}
        self.counts: Counter[str] = Counter()
        self.troubles: list[Trouble] = []
        self._run_id = run_id
        self._written = 0.0
        self._planned_lines = 0
        self._log_lines = 0
        # A second run in the same folder (after kill -9) starts its account anew.
        for name in ("result.json", "dry-run.jsonl"):
            (run_dir / name).unlink(missing_ok=True)

    def begin(self, phase: Phase) -> None:
        """Start *phase*: its own numbers, no troubles of the one before."""
        self.phase, self.state, self.troubles = phase, {}, []
        self.log(f"{phase} begins")
        self.write_progress(now=True)

    def take(self, event: Event) -> None:
        """Account for one event; progress.json follows at most twice a second."""
        match event:
            case Stats():
                self._stats(event)
            case Planned():
                self._plan(event)
            case Verified():
                self.counts["checked"] += event.matching + event.size_only
                self.counts["different"] += event.different
                self.counts["size_only"] += event.size_only
            case Deleted():
                self.state["deleted"] = self.state.get("deleted", 0) + 1
            case Trouble():
                if len(self.troubles) < LOG_LINES:
                    self.troubles.append(event)
                self.log(without_secrets(f"{event.path}: {event.text}" if event.path else event.text))
            case Note():
                self.log(without_secrets(event.text))
        self.write_progress()

    def _stats(self, stats: Stats) -> None:
        for item in fields(stats):
            value = getattr(stats, item.name)
            if value is not None:
                self.state[item.name] = value

    def _plan(self, planned: Planned) -> None:
        if planned.action == "delete":
            self.counts["would_delete"] += 1
        elif planned.action in ("copy", "move"):
            self.counts["would_copy"] += 1
            self.counts["would_copy_bytes"] += planned.size or 0
        else:
            return
        self._planned_lines += 1
        if self._planned_lines <= DRY_RUN_LINES:
            row = {"action": planned.action, "path": planned.path, "size": planned.size}
            append_json_line(self.run_dir / "dry-run.jsonl", row)
        elif self._planned_lines == DRY_RUN_LINES + 1:
            append_json_line(self.run_dir / "dry-run.jsonl", {"action": "more", "path": "", "size": None})

    def write_progress(self, now: bool = False) -> None:
        """Replace progress.json, unless it is younger than half a second and *now* is false."""
        moment = time.monotonic()
        if not now and moment - self._written < _WRITE_EVERY_S:
            return
        self._written = moment
        state = self.state
        replace_json(
            self.run_dir / "progress.json",
            {
                "run_id": self._run_id,
                "phase": self.phase,
                "bytes": state.get("bytes", 0),
                "total_bytes": state.get("total_bytes"),
                "files": state.get("files", 0),
                "total_files": state.get("total_files"),
                "speed_bps": state.get("speed_bps"),
                "eta_s": state.get("eta_s"),
                "current": list(state.get("current", ()))[:CURRENT_NAMES],
                "errors": max(state.get("errors", 0), len(self.troubles)),
                "started": self.started,
            },
        )

    def close_copy(self, mode: str) -> None:
        """Add the numbers of a finished (or cut) copy to the counts. Deletions count in *mode* sync alone: what a move
        removes from its source is not lost."""
        for name in ("files", "bytes", "errors", *(["deleted"] if mode == "sync" else [])):
            self.counts[name] += int(self.state.get(name, 0))

    def finish(self, outcome: Literal["ok", "failed", "stopped"], message: str) -> None:
        """Write result.json, the last file of a run."""
        self.write_progress(now=True)
        names = ("files", "bytes", "deleted", "errors", "checked", "different", "size_only")
        planned = ("would_copy", "would_copy_bytes", "would_delete")
        counts = {name: self.counts[name] for name in names + planned}
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        result = {"outcome": outcome, "message": message, "counts": counts, "started": self.started, "ended": ended}
        replace_json(self.run_dir / "result.json", {"run_id": self._run_id, **result})
        self._log_lines = 0  # the last line is always told
        self.log(f"{outcome}: {message}")

    def log(self, text: str) -> None:
        """One line on stderr; after LOG_LINES only the end of the run is told."""
        self._log_lines += 1
        if self._log_lines <= LOG_LINES:
            stamp = datetime.now(UTC).isoformat(timespec="seconds")
            print(f"{stamp} {text}", file=sys.stderr, flush=True)
        elif self._log_lines == LOG_LINES + 1:
            print("… further lines are left out", file=sys.stderr, flush=True)
