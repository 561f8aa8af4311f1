"""`tenanthub run`: all of it on this machine, in one process tree; one clear line for whatever is wrong."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from config.demo import write_demo
from config.errors import WorldError
from config.load import load
from config.models import World
from hub.embedded.children import Child
from hub.embedded.objectstore import start_objectstore
from hub.embedded.settings import Embedded, StartError, open_settings
from images.lib.files import replace_json
from spawners.check import check_profiles
from spawners.kinds.registry import load_kinds
from spawners.local.launch import last_line
from spawners.local.ports import is_free
from spawners.local.process import ProcessStartError
from spawners.local.tools import find_tools
from spawners.plan import Tools

ROOT = Path(__file__).resolve().parent.parent.parent
_READY_WITHIN_S = 90
_ENDING_WITHIN_S = 2


def run() -> int:
    """Start the embedded hub and stay until it is told to stop; the exit code."""
    began = time.monotonic()
    try:
        settings = open_settings()
        with _alone(settings):
            _world(settings)
            tools = find_tools()
            _check(settings, tools)
            return asyncio.run(_serve(settings, tools, began))
    except WorldError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        number = "one thing is" if len(error.problems) == 1 else f"{len(error.problems)} things are"
        print(f"tenanthub: {number} wrong in the world; nothing was started", file=sys.stderr)
        return 1
    except (StartError, FileNotFoundError, ProcessStartError, RuntimeError) as error:
        print(f"tenanthub: {error}", file=sys.stderr)
        return 1


def _say(text: str) -> None:
    print(text, flush=True)


def _world(settings: Embedded) -> World:
    """The world, checked whole; the demo world is written at the first start."""
    if settings.config == settings.state.world and not settings.config.exists():
        write_demo(settings.config)
        _say(f"Wrote a demo world (tenants physics and history) into {settings.config}")
    kinds = load_kinds()
    return load(settings.config, extra_check=lambda world, sources: check_profiles(world, sources, kinds))


@contextlib.contextmanager
def _alone(settings: Embedded) -> Iterator[None]:
    """Hold the state folder: two hubs on one would fight for it. The lock goes with the process, however it ends."""
    note = settings.state.root / "run.json"
    with (settings.state.root / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            with contextlib.suppress(OSError, ValueError, KeyError):
                other = json.loads(note.read_text(encoding="utf-8"))
                raise StartError(
                    f"TenantHub already runs with this state folder (process {other['pid']}) at {other['url']}"
                ) from None
            raise StartError(f"TenantHub already runs with the state folder {settings.state.root}") from None
        replace_json(note, {"pid": os.getpid(), "port": settings.port, "url": settings.url})
        try:
            yield
        finally:
            replace_json(note, {"port": settings.port, "url": settings.url})


def _check(settings: Embedded, tools: Tools) -> None:
    """What would make a part fail later, told now in one line."""
    deadline = time.monotonic() + _ENDING_WITHIN_S
    if not _becomes_free(settings.port, deadline):
        raise StartError(
            f"port {settings.port} is taken by another program: stop it, or choose another with TENANTHUB_PORT=8001"
        )
    for part in ("hub", "proxy_api", "portal"):
        if not _becomes_free(settings.ports[part], deadline):
            raise StartError(
                f"port {settings.ports[part]}, which the {part.replace('_', ' ')} uses, is taken by another program:"
                f" stop it, or remove {settings.state.ports} while no workload runs"
            )
    if tools.node is None:
        raise StartError("Node is missing: run `make setup`, which installs it with the Python packages")
    for needed in (_proxy(), _htmx()):
        if not needed.exists():
            raise StartError(f"{needed.name} is missing: run `make setup`, which installs it with npm")


def _becomes_free(port: int, deadline: float) -> bool:
    """Whether *port* is free. Parts of a hub that was killed a moment ago may still be ending: they get a little."""
    while not is_free(port):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _modules() -> Path:
    return Path(os.environ.get("TENANTHUB_NODE_MODULES") or ROOT / "node_modules")


def _proxy() -> Path:
    return _modules() / "configurable-http-proxy" / "bin" / "configurable-http-proxy"


def _htmx() -> Path:
    return _modules() / "htmx.org" / "dist" / "htmx.min.js"


def _children(settings: Embedded, tools: Tools) -> list[Child]:
    base = {
        **os.environ,
        "PATH": os.pathsep.join([str(tools.python.parent), os.environ.get("PATH", os.defpath)]),
        "TENANTHUB_STATE": str(settings.state.root),
        "TENANTHUB_CONFIG": str(settings.config),
        "TENANTHUB_PORT": str(settings.port),
        "PYTHONUNBUFFERED": "1",
    }
    portal = {
        "JUPYTERHUB_API_TOKEN": settings.tokens["portal"],
        "JUPYTERHUB_API_URL": settings.hub_api,
        "JUPYTERHUB_SERVICE_PREFIX": "/services/portal/",
        "JUPYTERHUB_SERVICE_NAME": "portal",
        "JUPYTERHUB_CLIENT_ID": "service-portal",
        "JUPYTERHUB_BASE_URL": "/",
        "JUPYTERHUB_HOST": "",
        "TENANTHUB_PORTAL_PORT": str(settings.ports["portal"]),
        "TENANTHUB_HTMX": str(_htmx()),
    }
    culler = {"JUPYTERHUB_API_TOKEN": settings.tokens["culler"], "JUPYTERHUB_API_URL": settings.hub_api}
    python, logs = str(tools.python), settings.state.logs
    config = str(ROOT / "hub")
    proxy = [
        str(tools.node), str(_proxy()), "--ip", "127.0.0.1", "--port", str(settings.port),
        "--api-ip", "127.0.0.1", "--api-port", str(settings.ports["proxy_api"]),
        "--error-target", f"http://127.0.0.1:{settings.ports['hub']}/hub/error", "--log-level", "warn",
    ]  # fmt: skip
    return [
        Child("proxy", proxy, {**base, "CONFIGPROXY_AUTH_TOKEN": settings.tokens["proxy"]}, logs / "proxy.log"),
        Child("portal", [python, "-P", "-m", "hub.portal"], {**base, **portal}, logs / "portal.log"),
        Child("hub", [python, "-P", "-m", "hub.app", "--config", f"{config}/jupyterhub_config.py"],
              base, logs / "hub.log"),
        Child("culler", [python, "-P", "-m", "jupyterhub_idle_culler", "--config", f"{config}/culler_config.py"],
              {**base, **culler}, logs / "culler.log"),
    ]  # fmt: skip


async def _serve(settings: Embedded, tools: Tools, began: float) -> int:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    _say("Starting TenantHub: object store, proxy, portal, hub …")
    start_objectstore(settings, tools)
    *first, culler = _children(settings, tools)
    tasks = [asyncio.create_task(child.keep(), name=child.name) for child in first]
    try:
        await _until_ready(settings, first, stopping)
        if not stopping.is_set():
            tasks.append(asyncio.create_task(culler.keep(), name=culler.name))
            _welcome(settings, time.monotonic() - began)
        await stopping.wait()
    finally:
        _say("Stopping the hub …")
        for task in reversed(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    _farewell(settings)
    return 0


async def _until_ready(settings: Embedded, children: list[Child], stopping: asyncio.Event) -> None:
    """Wait until sign-in page and portal answer through the proxy. StartError with the last log line of what fails."""
    # The hub itself first: the proxy would log an error for each page that it cannot yet reach.
    pages = [settings.hub_api, f"{settings.url}/hub/login", f"{settings.url}/services/portal/health"]
    deadline = time.monotonic() + _READY_WITHIN_S
    async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
        while pages and not stopping.is_set():
            for child in children:
                if len(child.exits) >= 3:
                    raise StartError(f"the {child.name} does not start: {last_line(child.log)} (see {child.log})")
            with contextlib.suppress(httpx.HTTPError):
                if (await client.get(pages[0])).status_code == 200:
                    pages.pop(0)
                    continue
            if time.monotonic() > deadline:
                raise StartError(f"{pages[0]} did not answer within {_READY_WITHIN_S} s; see {settings.state.logs}")
            await asyncio.sleep(0.05)


def _welcome(settings: Embedded, seconds: float) -> None:
    _say(f"TenantHub is ready at {settings.url} ({seconds:.1f} s)")
    _say(f"Sign in with an account and its password from {settings.state.passwords} (only you can read it).")
    if settings.config == settings.state.world:
        _say("Accounts of the demo world: physics-admin, physics-member, history-member, both-member.")
    _say("Ctrl-C stops the hub; collectors, crawls and notebooks go on. `make stop` ends them too.")


def _farewell(settings: Embedded) -> None:
    records = settings.state.workloads.glob("*/*/*/record.json")
    running = sum('"wanted": "running"' in path.read_text(encoding="utf-8") for path in records)
    if running:
        _say(f"The hub is stopped. {running} workloads go on; `make run` finds them again, `make stop` ends them.")
    else:
        _say("The hub is stopped. The object store goes on until `make stop`.")
