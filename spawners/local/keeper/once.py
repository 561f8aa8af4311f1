"""Mode once: one run, tried again a few times, then over."""

from __future__ import annotations

from spawners.local.keeper.mode import pause
from spawners.local.keeper.outcome import WRONG_SETTINGS
from spawners.local.keeper.rows import Row
from spawners.local.keeper.running import Running
from spawners.local.keeper.state import State


class Once(Running):
    """`restarts` of keeper.json counts the retries, so that a new keeper goes on counting."""

    _next_start: float | None = None
    _trigger = "manual"

    def begin(self, before: State | None) -> None:
        """A new launch runs; a killed keeper's launch goes on: adopted, tried again, or already over."""
        cut_off = self.recover(before)
        if before is None or before.launched is None or before.phase == "stopped":
            again = before is not None and before.phase == "stopped"
            self._trigger = "retry" if again else "manual"
            self.tools.tell(launched=self.tools.clock.now().replace(microsecond=0), restarts=0, phase="starting")
            self._next_start = 0.0
            return
        self.tools.tell(launched=before.launched, restarts=before.restarts)
        if before.phase in ("finished", "failed"):
            self.tools.tell(phase=before.phase, message=before.message)
            self.done = True
            return
        if self.current is not None:
            return
        rows = [row for row in self.tools.rows.all() if row.started and row.started >= before.launched]
        if not rows:
            self._next_start = 0.0
        elif rows[-1] in cut_off:
            # The machine's fault, not the run's: it costs no retry.
            self._trigger, self._next_start = "retry", 0.0
        elif before.phase == "backoff":
            self._trigger = "retry"  # judged, and counted, before
            self._next_start = self._pause(before.restarts - 1)
        else:
            self.ended = rows[-1]

    def step(self) -> None:
        """See `Mode.step`."""
        self.watch_run()
        if self._next_start is not None and self.tools.clock.monotonic() >= self._next_start:
            row = self.new_row(self._trigger)
            self._next_start = None
            self.start_run(row)
        if self.ended is not None:
            row, self.ended = self.ended, None
            self._judge(row)

    def _judge(self, row: Row) -> None:
        """Over, or once more. A time limit holds for the whole: no retry, as in a Kubernetes Job."""
        used = self.tools.state.state.restarts
        if row.outcome == "ok":
            self.tools.tell(phase="finished", message=row.message)
            self.done = True
        elif row.outcome == "time-limit" or row.exit_code == WRONG_SETTINGS or used >= self.plan.retries:
            tried = f" (tried {used + 1} times)" if used else ""
            self.tools.tell(phase="failed", message=f"{row.message}{tried}")
            self.done = True
        else:
            self._trigger = "retry"
            self._next_start = self._pause(used)
            wait = self._next_start - self.tools.clock.monotonic()
            message = f"{row.message}; retry {used + 1} of {self.plan.retries} in {wait:.0f} s"
            self.tools.tell(phase="backoff", message=message, restarts=used + 1)

    def _pause(self, used: int) -> float:
        """When, on the monotonic clock, the next try is due."""
        timing = self.tools.timing
        return self.tools.clock.monotonic() + pause(timing.retry_first, timing.retry_most, used)

    def wake_in(self) -> float | None:
        """See `Mode.wake_in`."""
        if self.current is not None:
            return self.time_left()
        return None if self._next_start is None else max(0.0, self._next_start - self.tools.clock.monotonic())
