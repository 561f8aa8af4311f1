"""`tenanthub stop`: end the hub and everything that it has started, and say what ended."""

from __future__ import annotations

import json
import os
import signal
import sys
from datetime import UTC, datetime

from hub.embedded.settings import Embedded, StartError, open_settings
from images.lib.files import read_json
from spawners.local import process
from spawners.local.folder import Record, WorkloadFolder
from spawners.local.identity import with_environment
from spawners.local.keeper.mode import MARK
from spawners.local.runs import keeper_ref
from spawners.local.store import Store


def stop() -> int:
    """End hub, workloads and object store of the state folder; the exit code."""
    try:
        settings = open_settings(create=False)
    except StartError as error:
        print(f"tenanthub: {error}", file=sys.stderr)
        return 1
    _stop_hub(settings)
    ended = stop_workloads(settings)
    objectstore = WorkloadFolder(settings.state.root / "objectstore-run")
    _stop_keeper(objectstore)
    print(f"Stopped the hub, {ended} workloads and the object store. `make run` starts again what belongs to a tenant.")
    return 0


def _stop_hub(settings: Embedded) -> None:
    try:
        pid = json.loads((settings.state.root / "run.json").read_text(encoding="utf-8")).get("pid")
    except (OSError, ValueError):
        return
    ref = process.reference(pid) if pid else None
    if ref is not None:
        os.kill(ref.pid, signal.SIGTERM)
        process.stop_now(ref, 20)


def stop_workloads(settings: Embedded) -> int:
    """End every workload's processes. What was wanted stays wanted, so that the next start brings it back."""
    store, ended = Store(settings.state), 0
    for record in store.records():
        if record.wanted == "running" and _stop_one(store, record):
            ended += 1
    return ended


def _stop_one(store: Store, record: Record) -> bool:
    folder = store.folder(record.workload)
    if record.port is None:
        return _stop_keeper(folder)
    left = with_environment(MARK, str(folder.path))
    if record.process is not None and process.alive(record.process):
        left.insert(0, record.process)
    if not left:
        return False
    for ref in left:
        process.stop_now(ref, 10)
    if record.workload.tenant_owned:
        return True  # as what a keeper keeps: wanted, and started again by the next start
    ended = {"wanted": "stopped", "phase": "stopped", "reason": "", "changed": datetime.now(UTC)}
    store.save(record.model_copy(update=ended))
    return True


def _stop_keeper(folder: WorkloadFolder) -> bool:
    """End a keeper with its child. Its memory of the schedule stays: what is missed until the next start is shown.

    Whether anything ran. A keeper that was killed may have left its child behind: that is found by its environment.
    """
    grace = float((read_json(folder.plan) or {}).get("grace_s", 30))
    keeper = keeper_ref(folder)
    if keeper is not None:
        process.stop_now(keeper, grace + 10)
    left = with_environment(MARK, str(folder.path))
    for ref in left:
        process.stop_now(ref, grace)
    return keeper is not None or bool(left)
