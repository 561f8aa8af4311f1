"""Carry out a LocalPlan: the few places where a launch touches disk and processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from pathlib import Path

import psutil

from config.models import Site, Tenant
from images.lib.files import read_json, replace_json
from spawners.kinds.base import Kind
from spawners.local import process
from spawners.local.folder import KeeperState, ProcessRef, WorkloadFolder
from spawners.local.identity import members
from spawners.local.keeper.mode import MARK
from spawners.local.runs import KeeperGoneError, keeper_alive, reload_keeper, start_keeper
from spawners.local.secrets import keep_password, rclone_config, write_secret
from spawners.local.state import StateFolder
from spawners.plan import LocalPlace, LocalPlan, Tools
from spawners.refusal import Refusal
from spawners.workload import Workload

_KEPT_ENV = ("PATH", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
"""What a workload inherits of our environment. Nothing else: no token or password of the hub gets through."""
_BUCKET_WITHIN_S = 45


def place_of(state: StateFolder, tools: Tools, workload: Workload, address: str | None) -> LocalPlace:
    """Where *workload* lands: paths only, nothing is made."""
    return LocalPlace(
        tools=tools,
        folder=state.folder(workload.tenant, workload.owner, workload.name).path,
        home=state.home(workload.tenant, workload.owner),
        address=address,
        shared_folder=state.shared / workload.tenant,
    )


def prepare(
    state: StateFolder, kind: Kind, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace, endpoint: str
) -> LocalPlan:
    """Make folders, secrets, settings and plan of a launch. Refusal (reason place) for a secret that is missing."""
    plan = kind.local(workload, tenant, site, place)
    folder = WorkloadFolder(place.folder)
    for path in (folder.path, folder.secrets, place.home, place.shared_folder):
        if path:
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
    _link_shared(place)
    if kind.needs_address:
        keep_password(place.password_file)
    if tenant.remotes:
        write_secret(place.rclone_config, rclone_config(state, tenant, endpoint))
    if plan.settings is not None:
        replace_json(folder.settings, plan.settings)
    replace_json(folder.plan, plan.model_dump(mode="json"))
    return plan


async def make_buckets(state: StateFolder, tenant: Tenant, place: LocalPlace) -> None:
    """Make the buckets of builtin remotes that are not there yet, through the object store, which keeps a listing.

    Refusal (reason place) when the object store does not do it.
    """
    for remote in tenant.remotes:
        if remote.type != "builtin" or (state.objects / tenant.name / remote.bucket).is_dir():
            continue
        # rclone keeps the root of a tenant that has none yet from being served at all.
        (state.objects / tenant.name).mkdir(parents=True, exist_ok=True, mode=0o700)
        rclone = await asyncio.create_subprocess_exec(
            str(place.tools.rclone), "--config", str(place.rclone_config), "--retries", "3", "--contimeout", "5s",
            "mkdir", f"{remote.name}:{remote.bucket}",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            _, said = await asyncio.wait_for(rclone.communicate(), _BUCKET_WITHIN_S)
        except TimeoutError:
            said = b"the object store does not answer"
        finally:
            if rclone.returncode is None:
                rclone.kill()
        if rclone.returncode != 0:
            lines = said.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
            raise Refusal.of("place", f"the bucket {remote.bucket} could not be made: {lines[-1][-300:]}", "remote")


def _link_shared(place: LocalPlace) -> None:
    """Show the tenant's shared folder in the home, unless something else has that name."""
    link = place.home / "shared"
    if place.shared_folder and not link.is_symlink() and not link.exists():
        link.symlink_to(place.shared_folder)


def environment(extra: Mapping[str, str], home: Path) -> dict[str, str]:
    """The whole environment of a workload's process."""
    kept = {name: os.environ[name] for name in _KEPT_ENV if name in os.environ}
    return {**kept, "HOME": str(home), "PYTHONUNBUFFERED": "1", **extra}


def start_direct(plan: LocalPlan, place: LocalPlace, extra: Mapping[str, str]) -> ProcessRef:
    """Start an interactive process, detached. Refusal (reason place) when its program cannot be started."""
    folder = WorkloadFolder(place.folder)
    argv = [word.replace("{settings}", str(folder.settings)) for word in plan.argv]
    for old in (folder.log, *(folder.path / name for name in ("app.log", "result.json", "home.json"))):
        old.unlink(missing_ok=True)
    # The mark: should the hub die before it can note the process, the next one finds it by that.
    env = environment({**plan.env, **extra, MARK: str(folder.path)}, place.home)
    try:
        return process.start(argv, env=env, cwd=place.home, log=folder.log)
    except process.ProcessStartError as error:
        raise Refusal.of("place", str(error)) from error


def start_kept(place: LocalPlace, *, fresh: bool) -> ProcessRef:
    """Start the keeper of an unattended workload; a living one is adopted and told to read its plan again.

    *fresh*: people have just started it; else it goes on where the last keeper stopped.
    """
    folder = WorkloadFolder(place.folder)
    living = keeper_alive(folder)
    try:
        ref = start_keeper(folder, place.tools.python, fresh=fresh)
    except process.ProcessStartError as error:
        raise Refusal.of("place", str(error)) from error
    if living and fresh:
        with contextlib.suppress(KeeperGoneError):
            reload_keeper(folder)
    return ref


def why(folder: Path) -> str:
    """Why a process ended, for people: what it said of itself in result.json, else the last line of its log."""
    said = read_json(folder / "result.json")
    message = said.get("message") if isinstance(said, dict) else None
    return str(message) if message else last_line(folder / "log.txt") or "it said nothing"


def last_line(path: Path, limit: int = 300) -> str:
    """The last line that says something in a log, for the reason of a failure."""
    try:
        with path.open("rb") as stream:
            stream.seek(max(0, path.stat().st_size - 8192))
            lines = [line.strip() for line in stream.read().decode("utf-8", "replace").splitlines()]
    except OSError:
        return ""
    return next((line[-limit:] for line in reversed(lines) if line), "")


async def wait_listening(port: int, ref: ProcessRef, timeout_s: float) -> str:
    """Wait until *ref*, or what it has started, listens on *port* of loopback: "" then; else why not, for people.

    A connection alone would not do: a program that took the port first would be shown as the person's own server,
    and be sent their cookies.
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    while process.alive(ref):
        if await _connects(port) and await asyncio.to_thread(_listens, port, ref):
            return ""
        if asyncio.get_running_loop().time() > deadline:
            return "did not answer in time"
        await asyncio.sleep(0.03)
    return "ended"


async def _connects(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def _listens(port: int, ref: ProcessRef) -> bool:
    """Whether a process of the session of *ref* listens on *port*."""
    for member in members(ref):
        try:
            sockets = psutil.Process(member.pid).net_connections("tcp")
        except psutil.NoSuchProcess:
            continue
        if any(one.status == psutil.CONN_LISTEN and one.laddr and one.laddr.port == port for one in sockets):
            return True
    return False


async def wait_kept(folder: WorkloadFolder, plan: LocalPlan, ref: ProcessRef, timeout_s: float) -> str:
    """Wait until the keeper says that its child serves; "" when ready, else why not, for people.

    A schedule is ready once it waits for its time, a single run once it runs (its end is told by its page).
    """
    deadline = asyncio.get_running_loop().time() + timeout_s
    ready = folder.path / plan.ready_file if plan.ready_file else None
    while asyncio.get_running_loop().time() < deadline:
        value = read_json(folder.keeper)
        state = KeeperState.model_validate(value) if value else None
        if state and state.phase in ("failed", "backoff"):
            return state.message or last_line(folder.log) or "it ended at once"
        if state and state.phase in ("running", "waiting", "finished") and (ready is None or ready.exists()):
            return ""
        if not process.alive(ref) and not (state and process.alive(state.keeper)):
            if state and state.phase == "finished":
                return ""
            return last_line(folder.log) or "its keeper ended at once"
        await asyncio.sleep(0.05)
    return f"it was not ready within {timeout_s:.0f} s; last it said: {last_line(folder.log) or 'nothing'}"
