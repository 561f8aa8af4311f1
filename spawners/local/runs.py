"""What the hub and the portal do with keepers and runs: look, start, ask, stop. The keeper alone writes its files."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from images.lib.files import read_json, replace_json
from spawners.local import process
from spawners.local.folder import KeeperState, ProcessRef, Run, WorkloadFolder
from spawners.local.keeper.rows import ROW, RUN_ID, order

KEEPER_ENV = (
    *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)
"""What a keeper, and so its workload, inherits of our environment: never the hub's tokens."""
_KILL_S = 10.0
"""What a keeper may take (seconds) beyond its plan's grace to end its child and itself."""


class KeeperGoneError(RuntimeError):
    """No keeper lives for this workload; the text is one line for people."""


# -- look ----------------------------------------------------------------------------------------------------------


def keeper_state(folder: WorkloadFolder) -> KeeperState | None:
    """What the keeper last wrote (it may be dead since); None where there is nothing that can be read."""
    raw = read_json(folder.keeper)
    try:
        return KeeperState.model_validate(raw) if raw is not None else None
    except ValidationError:
        return None


def keeper_ref(folder: WorkloadFolder) -> ProcessRef | None:
    """The living keeper; None where there is none.

    By its own entry, not by its lock: to try the lock is to hold it for a moment, and sends a starting keeper away.
    """
    state = keeper_state(folder)
    return state.keeper if state is not None and process.alive(state.keeper) else None


def keeper_alive(folder: WorkloadFolder) -> bool:
    """Whether a keeper lives for this workload."""
    return keeper_ref(folder) is not None


def list_runs(folder: WorkloadFolder, limit: int) -> list[Run]:
    """The newest *limit* runs, newest first. Reads no more files than that."""
    try:
        names = [entry.name for entry in os.scandir(folder.runs) if RUN_ID.fullmatch(entry.name)]
    except FileNotFoundError:
        return []
    runs: list[Run] = []
    for name in sorted(names, key=order, reverse=True):
        if len(runs) >= limit:
            break
        try:
            runs.append(Run.model_validate(read_json(folder.runs / name / ROW)))
        except ValidationError:
            continue  # its keeper was killed before it could write the row, or deletes it right now
    return runs


def run_log(folder: WorkloadFolder, run_id: str | None, tail_bytes: int = 65536) -> str:
    """The end of a run's log, from the beginning of a line; of the workload's own log where *run_id* is None.

    KeyError where there is no such run; empty where it has no log (it never started).
    """
    path = folder.log if run_id is None else _run_folder(folder, run_id) / "log.txt"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        begin = max(0, size - max(0, tail_bytes))
        # One byte more tells whether the tail begins a line.
        stream.seek(max(0, begin - 1))
        data = stream.read()
    if begin > 0:
        data = data[data.find(b"\n") + 1 :]
    return data.decode("utf-8", "replace")


def progress(folder: WorkloadFolder, run_id: str | None = None) -> dict[str, Any] | None:
    """What a run last said of its progress; the current or else the newest run where *run_id* is None.

    None where it said nothing. KeyError where there is no such run.
    """
    if run_id is None:
        state = keeper_state(folder)
        newest = list_runs(folder, 1)
        run_id = state.current_run if state and state.current_run else newest[0].id if newest else None
    if run_id is None:
        return None
    raw = read_json(_run_folder(folder, run_id) / "progress.json")
    return raw if isinstance(raw, dict) else None


def _run_folder(folder: WorkloadFolder, run_id: str) -> Path:
    """The id comes from a URL: nothing but an id may become a path."""
    path = folder.runs / run_id
    if not RUN_ID.fullmatch(run_id) or path.is_symlink() or not path.is_dir():
        raise KeyError(run_id)
    return path


# -- start, ask, stop ----------------------------------------------------------------------------------------------


def start_keeper(folder: WorkloadFolder, python: Path, *, fresh: bool = False) -> ProcessRef:
    """Start the keeper of the plan in *folder*; the living one where there is one. ProcessStartError where it fails.

    *fresh*: people have just started the workload, so what an earlier keeper left to do is void: times of the schedule
    in between are not missed, a single run that has ended runs again. Else it goes on where the last one stopped.
    """
    living = keeper_ref(folder)
    if living is not None:
        return living
    if fresh:
        forget(folder)
    env = {name: os.environ[name] for name in KEEPER_ENV if name in os.environ}
    # -I: neither the folder (users upload into it) nor the environment may bring modules of their own.
    argv = [str(python), "-I", "-m", "spawners.local.keeper", str(folder.path)]
    return process.start(argv, env=env, cwd=folder.path, log=folder.log)


def forget(folder: WorkloadFolder) -> None:
    """Forget what the last keeper left to do. Not while one lives."""
    for path in (folder.keeper, folder.schedule, folder.run_now):
        path.unlink(missing_ok=True)


def request_run_now(folder: WorkloadFolder) -> None:
    """Ask the keeper for a run at once; where one is going, a skipped run says so. KeeperGoneError where none lives."""
    keeper = _living(folder)
    replace_json(folder.run_now, {})
    _signal(keeper, signal.SIGUSR1)


def reload_keeper(folder: WorkloadFolder) -> None:
    """Tell the keeper that plan.json or settings.json changed. KeeperGoneError where none lives."""
    _signal(_living(folder), signal.SIGHUP)


async def stop_unattended(folder: WorkloadFolder, grace_s: float | None = None) -> None:
    """Stop the workload for good: keeper, child and run, also where the keeper was killed before. Idempotent.

    *grace_s*: what the child gets (seconds); None: as the plan says. A shorter grace than the plan's kills the keeper
    in the middle of its own stop, then the child.
    """
    plan = read_json(folder.plan) or {}
    grace = float(plan.get("grace_s", 30)) if grace_s is None else grace_s
    state = keeper_state(folder)
    if state is None:
        return
    await process.stop(state.keeper, grace + _KILL_S if grace_s is None else grace)
    left = keeper_state(folder) or state
    running = [run.process for run in list_runs(folder, 20) if run.outcome == "running"]
    for ref in (left.child, *running):
        if ref is not None:
            await process.stop(ref, grace)
    folder.schedule.unlink(missing_ok=True)


def _living(folder: WorkloadFolder) -> ProcessRef:
    keeper = keeper_ref(folder)
    if keeper is None:
        raise KeeperGoneError("this workload is not running; start it first")
    return keeper


def _signal(keeper: ProcessRef, number: signal.Signals) -> None:
    try:
        os.kill(keeper.pid, number)
    except ProcessLookupError:
        raise KeeperGoneError("this workload has just ended") from None
