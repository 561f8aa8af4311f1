"""The portal's view of this machine's workloads, read from their folders. No launches: those go through the hub."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from images.lib.files import read_json
from spawners.local import runs as local_runs
from spawners.local.folder import KeeperState, Record, WorkloadFolder
from spawners.local.site import LocalSite
from spawners.local.store import is_live
from spawners.runtime import RunSeen, Seen, State

_KEEPER_STATES: dict[str, State] = {
    "starting": "starting",
    "running": "running",
    "waiting": "scheduled",
    "backoff": "backoff",
    "finished": "finished",
    "failed": "failed",
}
HOME = "home.json"
"""In the workload's folder; written by images.lib.home, and left from an earlier launch with its end in it."""
_ORDER = ("failed", "backoff", "starting", "running", "scheduled", "finished", "stopped")


class LocalRuntime:
    """Implements spawners.runtime.Runtime from the state folder."""

    def __init__(self, site: LocalSite) -> None:
        self.site = site

    @property
    def problem(self) -> str:
        """None: the folders are read anew for each page."""
        return ""

    def workloads(self, tenant: str) -> Sequence[Seen]:
        """All of a tenant: what needs attention first, then what runs, then what ended; by name within."""
        seen = [self._seen(record) for record in self.site.store.records(tenant)]
        return sorted(seen, key=lambda s: (not s.live, _ORDER.index(s.state), s.workload.display_name))

    def workload(self, tenant: str, owner: str, name: str) -> Seen:
        """One of them; KeyError when there is none."""
        return self._seen(self._record(tenant, owner, name))

    def password(self, tenant: str, owner: str, name: str) -> str:
        """Its generated password; KeyError where it has none."""
        path = self._folder(tenant, owner, name).secrets / "password"
        if not path.exists():
            raise KeyError(f"{name} has no password")
        return path.read_text(encoding="utf-8").strip()

    def uploads(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[dict[str, Any]]:
        """The newest row of each upload, newest first."""
        path = self._folder(tenant, owner, name).path / "collector" / "uploads.jsonl"
        rows: dict[str, dict[str, Any]] = {}
        for source in (path, path.with_name(path.name + ".1")):
            for row in _rows_backwards(source):
                # An upload that waited has a later row with the same id: the newest tells how it ended.
                rows.setdefault(str(row.get("id")), row)
                if len(rows) >= limit:
                    return list(rows.values())
        return list(rows.values())

    def runs(self, tenant: str, owner: str, name: str, limit: int = 50) -> Sequence[RunSeen]:
        """Last runs, newest first."""
        found = local_runs.list_runs(self._folder(tenant, owner, name), limit)
        return [
            RunSeen.model_validate(run.model_dump(exclude={"process", "exit_code"}), extra="ignore") for run in found
        ]

    def progress(self, tenant: str, owner: str, name: str) -> dict[str, Any]:
        """The current run's progress, {} when nothing runs; of a home that is kept what its keeper tells."""
        folder = self._folder(tenant, owner, name)
        kind = self.site.kinds.get(self._record(tenant, owner, name).workload.kind)
        if kind is not None and "home" in kind.panels:
            told = read_json(folder.path / HOME)
            return told if isinstance(told, dict) else {}
        return local_runs.progress(folder, None) or {}

    def log(self, tenant: str, owner: str, name: str, run: str | None = None, tail: int = 65536) -> str:
        """The end of its log, or of one run's."""
        folder = self._folder(tenant, owner, name)
        if run is not None:
            return local_runs.run_log(folder, run, tail)
        kind = self.site.kinds.get(self._record(tenant, owner, name).workload.kind)
        texts = [_tail(folder.path / file, tail) for file in (kind.logs if kind else ("log.txt",))]
        return "\n".join(text.rstrip("\n") for text in texts if text)[-tail:]

    def run_now(self, tenant: str, owner: str, name: str) -> None:
        """Ask its keeper for a run at once; RuntimeError says why not."""
        local_runs.request_run_now(self._folder(tenant, owner, name))

    def forget(self, tenant: str, owner: str, name: str) -> None:
        """Remove an ended one with its logs and address; RuntimeError when it is live."""
        record = self._record(tenant, owner, name)
        if is_live(record):
            raise RuntimeError("it still runs: stop it first")
        self.site.store.forget(record)

    # ----------------------------------------------------------------------------------------------------------------

    def _folder(self, tenant: str, owner: str, name: str) -> WorkloadFolder:
        return self.site.store.folder(self._record(tenant, owner, name).workload)

    def _record(self, tenant: str, owner: str, name: str) -> Record:
        try:
            record = self.site.store.record(tenant, owner, name)
        except ValueError as error:
            raise KeyError(str(error)) from None
        if record is None:
            raise KeyError(f"{tenant}/{owner}/{name}")
        return record

    def _seen(self, record: Record) -> Seen:
        workload = record.workload
        keeper = self.site.store.keeper(workload) if record.port is None else None
        state, message = _state(record, keeper)
        tenant = self.site.world().tenants.get(workload.tenant)
        kind = self.site.kinds.get(workload.kind)
        live = state in ("starting", "running", "scheduled", "backoff")
        return Seen(
            workload=workload,
            state=state,
            message=message,
            changed=record.changed,
            address=record.address,
            endpoints=kind.endpoints(workload, tenant, record.address) if kind and tenant else (),
            has_password=(self.site.store.folder(workload).secrets / "password").exists(),
            restarts=keeper.restarts if keeper else 0,
            next_run=keeper.next_run if keeper and live else None,
            current_run=keeper.current_run if keeper and live else None,
        )


def _state(record: Record, keeper: KeeperState | None) -> tuple[State, str]:
    """What a page calls it: the record says what is wanted, the keeper what is."""
    if record.phase in ("stopped", "failed", "finished") or record.wanted == "stopped":
        phase: State = "stopped" if record.phase in ("starting", "running") else record.phase
        return phase, record.reason
    if keeper is not None:
        state = _KEEPER_STATES[keeper.phase]
        # A scheduled workload between runs and one in a run are both fine; its page tells them apart.
        return ("backoff" if state == "failed" else state), keeper.message
    if record.phase == "running" and not is_live(record):
        return "failed", "its process ended; the hub has yet to notice"
    return record.phase, record.reason


def _tail(path: Path, limit: int) -> str:
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - limit))
            return stream.read().decode("utf-8", "replace")
    except OSError:
        return ""


def _rows_backwards(path: Path, limit: int = 1 << 20) -> Iterable[dict[str, Any]]:
    """Rows of the last *limit* bytes of a JSONL file, newest first; a torn line is passed over."""
    for line in reversed(_tail(path, limit).splitlines()):
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            yield row
