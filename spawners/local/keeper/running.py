"""What the modes with runs share: one run at a time, from its row to its outcome."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from images.lib.files import read_json, replace_json
from spawners.local import process
from spawners.local.keeper.logfile import bound, last_line
from spawners.local.keeper.mode import Mode, Tools
from spawners.local.keeper.outcome import Ending, ending
from spawners.local.keeper.plan import Plan
from spawners.local.keeper.rows import Row
from spawners.local.keeper.state import State


class Running(Mode):
    """Holds at most one run. Order of a start: row, then whatever must be noted, then the process, then the row again.

    So a keeper killed at any point leaves a row that says which run it was about; never a process without one.
    """

    def __init__(self, tools: Tools, plan: Plan) -> None:
        super().__init__(tools, plan)
        self.current: Row | None = None
        self.ended: Row | None = None
        """A run that has ended, until the mode has dealt with that."""
        self._deadline: float | None = None

    def folder_of(self, row: Row) -> Path:
        """The folder of a run."""
        return self.tools.rows.folder / row.id

    # -- start -------------------------------------------------------------------------------------------------

    def new_row(self, trigger: str, scheduled: datetime | None = None) -> Row:
        """Make the row of a run that is about to start."""
        for stale in [row for row in self.tools.rows.all() if row.outcome == "running"]:
            self._close(stale, Ending("failed", "it could not be started"), None)  # its row was written, no more
            self.ended = None
        now = self.tools.clock.now().replace(microsecond=0)
        row = Row(self.tools.rows.new_id(now), trigger, "running", scheduled=scheduled, started=now)
        return self.tools.rows.write(row)

    def start_run(self, row: Row) -> None:
        """Start the process of *row*; it has failed where that cannot be."""
        folder = self.folder_of(row)
        try:
            ref = self._start_process(folder, row.id)
        except process.ProcessStartError as error:
            self._close(row, Ending("failed", str(error)), None)
            return
        except OSError as error:
            self._close(row, Ending("failed", f"it could not be started: {error.strerror or error}"), None)
            return
        # Held before it is written: were the disk full now, a process that nobody holds would be started once more.
        row = replace(row, process=ref)
        self._hold(row, self.plan.time_limit_s)
        self.tools.rows.write(row)
        self.tools.say(f"run {row.id} ({row.trigger}) started")

    def _start_process(self, folder: Path, run_id: str) -> process.ProcessRef:
        settings = dict(self.plan.settings or {}) | {"run_id": run_id, "run_dir": str(folder)}
        if self.plan.salvage:
            settings["salvage_dirs"] = [str(path) for path in self.tools.rows.unsaved()]
        replace_json(folder / "settings.json", settings)
        return self.start_child(folder / "settings.json", folder, folder / "log.txt")

    def _hold(self, row: Row, time_left_s: float | None) -> None:
        self.current = row
        self.child = row.process
        self._deadline = None if time_left_s is None else self.tools.clock.monotonic() + max(0.0, time_left_s)
        self.tools.tell(child=row.process, current_run=row.id, phase="running", message="")

    # -- watch and end -----------------------------------------------------------------------------------------

    def watch_run(self) -> None:
        """Look after the current run; `ended` tells when it has ended."""
        row = self.current
        if row is None or row.process is None:
            return
        if not process.alive(row.process):
            self._finish(row)
            return
        if self._deadline is not None and self.tools.clock.monotonic() >= self._deadline:
            self.tools.say(f"run {row.id} is past its time limit")
            process.stop_now(row.process, self.plan.grace_s)
            self._finish(row, limit_s=self.plan.time_limit_s)
            return
        self.check_log(self.folder_of(row) / "log.txt")

    def _finish(self, row: Row, *, stopped: bool = False, limit_s: int | None = None) -> None:
        assert row.process is not None  # noqa: S101  (a run that is held has one)
        code = process.exit_code(row.process)
        process.stop_now(
            row.process, self.plan.grace_s
        )  # what it started and left behind would write into the next run
        log = self.folder_of(row) / "log.txt"
        bound(log)
        result = read_json(self.folder_of(row) / "result.json")
        self._close(row, ending(result, code, last_line(log), stopped=stopped, limit_s=limit_s), code)

    def _close(self, row: Row, end: Ending, code: int | None, ended: datetime | None = None) -> Row:
        row = self.tools.rows.write(
            row,
            ended=ended or self.tools.clock.now().replace(microsecond=0),
            outcome=end.outcome,
            message=end.message,
            counts=end.counts,
            exit_code=code,
        )
        self.current = self.child = self._deadline = None
        self.ended = row
        self.tools.tell(child=None, current_run=None)
        self.tools.say(f"run {row.id}: {row.outcome}{': ' if row.message else ''}{row.message}")
        self.tools.rows.prune(self.plan.keep_runs, salvage=self.plan.salvage)
        return row

    def time_left(self) -> float | None:
        """Seconds until the current run has to be looked at again."""
        if self.current is None:
            return None
        log_check = self.tools.timing.log_check
        return log_check if self._deadline is None else min(log_check, self._deadline - self.tools.clock.monotonic())

    # -- after a kill of keeper or machine -----------------------------------------------------------------------

    def recover(self, before: State | None) -> list[Row]:
        """Go on with the run of a killed keeper, and close the rows of runs that died with it.

        Gives the closed rows whose run was cut off (outcome interrupted), oldest first.
        """
        orphans = self.orphans(before)
        cut_off = []
        for row in [row for row in self.tools.rows.all() if row.outcome == "running"]:
            if row.process is None and orphans:
                # killed between the start and the note of it: the child carries our folder in its environment
                row = self.tools.rows.write(row, process=orphans[0])
            if row.process is not None and process.alive(row.process):
                self._adopt(row)
                orphans = [ref for ref in orphans if ref.pid != row.process.pid]
                continue
            end = ending(read_json(self.folder_of(row) / "result.json"), None, "")
            closed = self._close(row, end, None, self.tools.rows.last_sign(row))
            self.ended = None
            if closed.outcome == "interrupted":
                cut_off.append(closed)
        for ref in orphans:
            self.tools.say(f"ending process {ref.pid}, which belongs to no run")
            process.stop_now(ref, self.plan.grace_s)
        return cut_off

    def _adopt(self, row: Row) -> None:
        limit = self.plan.time_limit_s
        spent = (self.tools.clock.now() - row.started).total_seconds() if row.started else 0.0
        self._hold(row, None if limit is None else limit - spent)
        self.tools.say(f"goes on with run {row.id}")

    def shutdown(self) -> None:
        """See `Mode.shutdown`."""
        if self.current is not None and self.current.process is not None:
            process.stop_now(self.current.process, self.plan.grace_s)
            self._finish(self.current, stopped=True)
        self.tools.tell(child=None, current_run=None, phase="stopped", next_run=None)
