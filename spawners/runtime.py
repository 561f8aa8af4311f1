"""What the portal needs to know of running workloads, wherever they run. local/ answers it from folders."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, Protocol

from config.models import Declared
from spawners.workload import Workload

State = Literal["starting", "running", "scheduled", "backoff", "stopped", "failed", "finished"]


class Unreached(Exception):
    """Where workloads live cannot be asked just now, or refuses. The text is fit for people."""


class RunSeen(Declared):
    """One run as a page shows it."""

    id: str
    scheduled: datetime | None = None
    trigger: str
    started: datetime | None = None
    ended: datetime | None = None
    outcome: str
    message: str = ""
    counts: dict[str, Any]


class Seen(Declared):
    """One workload as a page shows it."""

    workload: Workload
    state: State
    message: str = ""
    """Why it failed or waits, for people."""
    changed: datetime
    address: str | None = None
    endpoints: tuple[tuple[str, str], ...] = ()
    """Rows (label, value) of how it is reached; no passwords."""
    has_password: bool = False
    restarts: int = 0
    next_run: datetime | None = None
    current_run: str | None = None

    @property
    def live(self) -> bool:
        """Whether it counts against the quota."""
        return self.state in ("starting", "running", "scheduled", "backoff")


class Runtime(Protocol):
    """Reads, and the few acts that need no launch. KeyError for an id that is not there; Unreached."""

    @property
    def problem(self) -> str:
        """Why what is told may be old, for people; "" while it is not."""

    def workloads(self, tenant: str) -> Sequence[Seen]:
        """All of a tenant, running first, then by name; failed and stopped ones too until they are forgotten."""

    def workload(self, tenant: str, owner: str, name: str) -> Seen:
        """One of them."""

    def password(self, tenant: str, owner: str, name: str) -> str:
        """Its generated password."""

    def uploads(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[dict[str, Any]]:
        """Last uploads, newest first (rows of images.collector)."""

    def runs(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[RunSeen]:
        """Last runs, newest first."""

    def progress(self, tenant: str, owner: str, name: str) -> dict[str, Any]:
        """The current run's progress.json, {} when nothing runs."""

    def log(self, tenant: str, owner: str, name: str, run: str | None = None, tail: int = 65536) -> str:
        """The end of its log, or of one run's, at most *tail* bytes."""

    def run_now(self, tenant: str, owner: str, name: str) -> None:
        """Ask for a run at once; RuntimeError says why not."""

    def forget(self, tenant: str, owner: str, name: str) -> None:
        """Take a stopped, failed or finished one off the list; RuntimeError when it is live."""
