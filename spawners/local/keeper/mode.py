"""What the three modes share: the parts they work with, and how a child is started."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spawners.local import process
from spawners.local.identity import ProcessRef, with_environment
from spawners.local.keeper.events import Clock
from spawners.local.keeper.logfile import bound, say
from spawners.local.keeper.plan import Plan
from spawners.local.keeper.rows import Rows
from spawners.local.keeper.state import State, StateFile
from spawners.local.paths import WorkloadFolder

MARK = "TENANTHUB_WORKLOAD_FOLDER"
"""In the environment of each child: by it a new keeper finds one whose start the killed keeper could not note."""


@dataclass(frozen=True)
class Timing:
    """Seconds, and how often."""

    backoff_first: float = 1
    backoff_most: float = 60
    healthy: float = 60
    """A child that served so long starts again without a pause."""
    settle: float = 1
    """A child without a ready file counts as ready after this."""
    ready_poll: float = 0.1
    quick_failures: int = 5
    """So many ends in a row without ever being ready make the phase failed; it is tried all the same."""
    retry_first: float = 10
    retry_most: float = 360
    """Pauses of mode once double from the first to this, as those of a Kubernetes Job."""
    look: float = 30
    """A sleep until a time of the schedule is cut into pieces: the wall clock may be set, the machine may sleep."""
    log_check: float = 15
    after_error: float = 10
    """The pause after an error of the system (disk full)."""


@dataclass
class Tools:
    """What a mode works with."""

    folder: WorkloadFolder
    clock: Clock
    timing: Timing
    state: StateFile
    rows: Rows

    def say(self, text: str) -> None:
        """A line of the keeper's own in log.txt."""
        say(self.folder.log, text)

    def tell(self, **changes: object) -> None:
        """Change keeper.json."""
        self.state.set(self.clock.now(), **changes)


class Mode(ABC):
    """One way to keep a workload. Level-triggered: each wake-up, whatever for, is one `step`, which looks anew."""

    def __init__(self, tools: Tools, plan: Plan) -> None:
        self.tools = tools
        self.plan = plan
        self.child: ProcessRef | None = None
        self.done = False
        """The keeper's work is over; it may exit."""
        self._log_looked = tools.clock.monotonic()

    @abstractmethod
    def begin(self, before: State | None) -> None:
        """Take over from the keeper that wrote *before*; None: people have just started the workload."""

    @abstractmethod
    def step(self) -> None:
        """Look, decide, act. OSError where the system refuses; it is called again then."""

    @abstractmethod
    def wake_in(self) -> float | None:
        """Seconds until the next step is due even when nothing happens; None: not at all."""

    @abstractmethod
    def shutdown(self) -> None:
        """SIGTERM: end the child within its grace, and leave a final state."""

    def reload(self, plan: Plan) -> None:
        """SIGHUP: plan.json was read anew."""
        self.plan = plan

    # -- shared ------------------------------------------------------------------------------------------------

    def orphans(self, before: State | None) -> list[ProcessRef]:
        """Living children of an earlier keeper, the one it knew last first."""
        known = [before.child] if before and before.child and process.alive(before.child) else []
        marked = with_environment(MARK, str(self.tools.folder.path))
        return known + [ref for ref in marked if all(ref.pid != other.pid for other in known)]

    def start_child(self, settings: Path, cwd: Path, log: Path) -> ProcessRef:
        """Start the plan's program. ProcessStartError where it cannot be."""
        argv = [word.replace("{settings}", str(settings)) for word in self.plan.argv]
        env = {**os.environ, "PYTHONUNBUFFERED": "1", **self.plan.env, MARK: str(self.tools.folder.path)}
        return process.start(argv, env=env, cwd=cwd, log=log)

    def check_log(self, path: Path) -> None:
        """Cut a log that has become too large; looks only now and then."""
        now = self.tools.clock.monotonic()
        if now - self._log_looked >= self.tools.timing.log_check:
            self._log_looked = now
            bound(path)


ModeFactory = Callable[[Tools, Plan], Mode]


def pause(first: float, most: float, times: int) -> float:
    """Doubling pauses: *first*, twice that ..., at most *most*. *times*: how many there were."""
    return float(min(most, first * 2 ** min(times, 30)))
