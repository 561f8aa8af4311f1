"""Mode schedule: a run at each time of a cron expression, and by hand."""

from __future__ import annotations

from datetime import datetime, timedelta

from spawners.local.keeper.mode import Tools
from spawners.local.keeper.plan import Plan, Schedule
from spawners.local.keeper.rows import Row
from spawners.local.keeper.running import Running
from spawners.local.keeper.state import State, read_considered, write_considered
from spawners.schedule import Decision, Missed, ScheduleError, decide


class Scheduled(Running):
    """Decisions are made in spawners.schedule.decide; here they become rows and runs.

    Rows are written first, then up to when the schedule is dealt with. After a kill in between the rows tell which
    times are done, so no time is lost and none runs twice.
    """

    def __init__(self, tools: Tools, plan: Plan) -> None:
        super().__init__(tools, plan)
        self._considered = tools.clock.now()
        self._next: datetime | None = None
        self._unnoted = False
        self._redo: Row | None = None
        """A run that the machine cut off, to be caught up as a missed one would be."""
        self._skip_row: Row | None = None
        """What came while the current run was going: one row however often."""

    @property
    def _schedule(self) -> Schedule:
        assert self.plan.schedule is not None  # noqa: S101  (load_plan saw to it)
        return self.plan.schedule

    def begin(self, before: State | None) -> None:
        """Go on where the last keeper stopped; after a start by people nothing before now counts."""
        cut_off = self.recover(before)
        now = self.tools.clock.now()
        noted = read_considered(self.tools.folder.schedule, self._schedule) if before else None
        if noted is None:
            self._set_considered(now)
            return
        done = [row.scheduled for row in self.tools.rows.all() if row.scheduled and row.scheduled <= now]
        self._considered = max([noted, *done])
        self._redo = next((row for row in reversed(cut_off) if row.trigger == "schedule"), None)

    def _set_considered(self, moment: datetime) -> None:
        self._considered = moment
        try:
            write_considered(self.tools.folder.schedule, self._schedule, moment)
        except OSError:
            self._unnoted = True  # the rows tell it meanwhile; tried again at the next step
        else:
            self._unnoted = False

    # -- each wake-up ------------------------------------------------------------------------------------------

    def step(self) -> None:
        """See `Mode.step`."""
        self.watch_run()
        if self.ended is not None:
            self.ended = self._skip_row = None
        if self._unnoted:
            self._set_considered(self._considered)
        self._run_now()
        try:
            decision = decide(self._schedule, self._considered, self.tools.clock.now(), self.current is not None)
        except ScheduleError as error:
            self._next = None
            self.tools.tell(phase="failed", message=str(error), next_run=None)
            return
        self._next = decision.next
        self._carry_out(decision)
        self._catch_up_cut_off()
        self.tools.tell(phase="running" if self.current else "waiting", next_run=self._next)

    def _run_now(self) -> None:
        if not self.tools.folder.run_now.exists():
            return
        if self.current is not None:
            row = Row(
                self._new_id(), "manual", "skipped", ended=self._second(), message=self._busy("asked for by hand")
            )
            self.tools.rows.write(row)
            self.tools.folder.run_now.unlink(missing_ok=True)
            return
        row = self.new_row("manual")
        self.tools.folder.run_now.unlink(missing_ok=True)
        self.start_run(row)

    def _carry_out(self, decision: Decision) -> None:
        for missed in decision.missed:
            self._write_missed(missed)
        for moment in decision.skipped:
            self._write_skipped(moment)
        row = self.new_row(decision.trigger, decision.start) if decision.start else None
        if decision.considered != self._considered:
            self._set_considered(decision.considered)
        if row is not None:
            self._redo = None  # this run does for the one that was cut off, too
            self.start_run(row)

    def _catch_up_cut_off(self) -> None:
        row, self._redo = self._redo, None
        if row is None or row.scheduled is None or self.current is not None or self._schedule.missed != "run-once":
            return
        if self.tools.clock.now() - row.scheduled <= timedelta(seconds=self._schedule.catch_up_s):
            self.start_run(self.new_row("catch-up", row.scheduled))

    # -- rows of what did not run --------------------------------------------------------------------------------

    def _second(self) -> datetime:
        return self.tools.clock.now().replace(microsecond=0)

    def _new_id(self) -> str:
        return self.tools.rows.new_id(self._second())

    def _busy(self, why: str) -> str:
        return f"{why}, but the run {self.current.id if self.current else ''} was still going"

    def _write_missed(self, missed: Missed) -> None:
        if missed.count == 1:
            text = "the machine or the keeper was off"
        else:
            count = f"{'more than ' if missed.more else ''}{missed.count}"
            text = f"{count} times from {_minute(missed.first)}: the machine or the keeper was off"
        row = Row(self._new_id(), "schedule", "missed", scheduled=missed.last, ended=self._second(), message=text)
        self.tools.rows.write(row, counts={"times": missed.count})
        self.tools.rows.prune(self.plan.keep_runs, salvage=self.plan.salvage)

    def _write_skipped(self, moment: datetime) -> None:
        row = self._skip_row
        if row is None:
            row = Row(self._new_id(), "schedule", "skipped", scheduled=moment)
            times, since = 1, ""
        else:
            times, since = row.counts["times"] + 1, f"{row.counts['times'] + 1} times since {row.counts['since']}: "
        counts = {"times": times, "since": row.counts.get("since", _minute(moment))}
        message = f"{since}{self._busy('it was due')}"
        self._skip_row = self.tools.rows.write(
            row, scheduled=moment, ended=self._second(), message=message, counts=counts
        )
        self.tools.rows.prune(self.plan.keep_runs, salvage=self.plan.salvage)

    # -- the rest ------------------------------------------------------------------------------------------------

    def wake_in(self) -> float | None:
        """See `Mode.wake_in`. In pieces, so that a step of the wall clock or a sleep of the machine is noticed."""
        waits = [self.tools.timing.look] if self._next is not None or self.current is None else []
        if self._next is not None:
            waits.append((self._next - self.tools.clock.now()).total_seconds())
        left = self.time_left()
        return max(0.0, min([*waits, left] if left is not None else waits))

    def reload(self, plan: Plan) -> None:
        """Take the new schedule from now on; a run that is going ends under its old time limit."""
        before = self._schedule
        self.plan = plan
        if (before.cron, before.timezone) != (self._schedule.cron, self._schedule.timezone):
            self._set_considered(self.tools.clock.now())


def _minute(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
