"""Mode keep: a child that is there for ever."""

from __future__ import annotations

from pathlib import Path

from spawners.local import process
from spawners.local.keeper.logfile import bound, last_line
from spawners.local.keeper.mode import Mode, Tools, pause
from spawners.local.keeper.outcome import WRONG_SETTINGS, signal_text
from spawners.local.keeper.plan import Plan
from spawners.local.keeper.state import State


class Keep(Mode):
    """Starts the child again whenever it ends: at once after a healthy time, else after pauses that double."""

    def __init__(self, tools: Tools, plan: Plan) -> None:
        super().__init__(tools, plan)
        self._halted = False
        """Its settings are wrong; only SIGHUP makes another try."""
        self._failures = 0
        self._never_ready = 0
        self._ready = False
        self._started = 0.0
        self._next_start = 0.0
        self._next_wake: float | None = 0.0

    @property
    def _ready_file(self) -> Path | None:
        return self.tools.folder.path / self.plan.ready_file if self.plan.ready_file else None

    def begin(self, before: State | None) -> None:
        """Adopt the child of a killed keeper if it runs what the plan says now; else end it first: never two."""
        digest = self.plan.digest(self.tools.folder.settings)
        found = self.orphans(before)
        adopt = bool(before and found and found[0] == before.child and before.started_with == digest)
        for ref in found[1:] if adopt else found:
            self.tools.say(f"ending process {ref.pid}, which an earlier keeper left behind")
            process.stop_now(ref, self.plan.grace_s)
        if before is not None:
            self.tools.tell(restarts=before.restarts)
        if adopt:
            self._take(found[0])
            self.tools.tell(child=found[0], started_with=digest, phase="starting")
            self.tools.say(f"goes on with process {found[0].pid}")

    def _take(self, child: process.ProcessRef) -> None:
        self.child = child
        self._ready = False
        self._started = self.tools.clock.monotonic()

    def step(self) -> None:
        """See `Mode.step`."""
        if self.child is not None and not process.alive(self.child):
            self._ended(self.child)
        if self.child is not None:
            self._watch()
        elif not self._halted and self.tools.clock.monotonic() >= self._next_start:
            self._start()

    def _start(self) -> None:
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)  # before the start: what appears from now on is the new child's
        if self._never_ready < self.tools.timing.quick_failures:
            self.tools.tell(phase="starting")
        folder = self.tools.folder
        digest = self.plan.digest(folder.settings)
        try:
            child = self.start_child(folder.settings, folder.path, folder.log)
        except process.ProcessStartError as error:
            self._failed(str(error))
            return
        self._take(child)
        self.tools.tell(child=child, started_with=digest)

    def _watch(self) -> None:
        lived = self.tools.clock.monotonic() - self._started
        if not self._ready:
            file = self._ready_file
            self._ready = file.exists() if file is not None else lived >= self.tools.timing.settle
            if self._ready:
                self._never_ready = 0
                self.tools.tell(phase="running", message="")
        if self._ready and lived >= self.tools.timing.healthy:
            self._failures = 0
        self.check_log(self.tools.folder.log)

    def _ended(self, child: process.ProcessRef) -> None:
        code = process.exit_code(child)
        process.stop_now(child, self.plan.grace_s)  # what it started and left behind may still hold its port
        self._watch_last()
        self.child = None
        bound(self.tools.folder.log)
        said = last_line(self.tools.folder.log)
        if code == WRONG_SETTINGS and self.plan.settings is not None:  # other programs mean other things by a 2
            self._halted = True
            self.tools.say("its settings are wrong (exit code 2); not started again until they change")
            self.tools.tell(child=None, phase="failed", message=said or "its settings are wrong")
            return
        how = "ended" if code is None else signal_text(-code) if code < 0 else f"ended with exit code {code}"
        self._failed(said if code is not None and code > 0 and said else how)
        self.tools.say(f"process {child.pid} {how}; next start in {self._next_start - self._now():.0f} s")

    def _watch_last(self) -> None:
        """It may have been ready, and healthy, since we looked last."""
        file = self._ready_file
        self._ready = self._ready or (file is not None and file.exists())
        if self._ready and self._now() - self._started >= self.tools.timing.healthy:
            self._failures = 0

    def _now(self) -> float:
        return self.tools.clock.monotonic()

    def _failed(self, message: str) -> None:
        timing = self.tools.timing
        self._next_start = self._now() + pause(timing.backoff_first, timing.backoff_most, self._failures)
        self._failures += 1
        self._never_ready = 0 if self._ready else self._never_ready + 1
        self._ready = False
        hopeless = self._never_ready >= timing.quick_failures
        self.tools.tell(
            child=None,
            phase="failed" if hopeless else "backoff",
            message=message,
            restarts=self.tools.state.state.restarts + 1,
        )

    def wake_in(self) -> float | None:
        """See `Mode.wake_in`. While the child is not ready its file is looked for often; later its end wakes us."""
        if self.child is not None:
            return self.tools.timing.log_check if self._ready else self.tools.timing.ready_poll
        return None if self._halted else max(0.0, self._next_start - self._now())

    def reload(self, plan: Plan) -> None:
        """Start anew with the new plan or settings; a child that already runs with them is left alone."""
        self.plan = plan
        digest = plan.digest(self.tools.folder.settings)
        self._halted = False
        self._failures = self._never_ready = 0
        self._next_start = 0.0
        if self.child is not None and digest != self.tools.state.state.started_with:
            process.stop_now(self.child, plan.grace_s)
            self.child = None
            self.tools.tell(child=None, phase="starting", message="")

    def shutdown(self) -> None:
        """See `Mode.shutdown`."""
        if self.child is not None:
            process.stop_now(self.child, self.plan.grace_s)
        if self._ready_file is not None:
            self._ready_file.unlink(missing_ok=True)
        self.tools.tell(child=None, phase="stopped", message="")
