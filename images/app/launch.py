"""From settings to a served app, and to its end: start, wait, open the door, watch."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sys
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any, Literal

from jupyterhub.utils import make_ssl_context
from tornado import httpclient
from tornado.httpserver import HTTPServer

from images.app import activity
from images.app.neighbour import process_of
from images.app.process import AppError, AppProcess
from images.app.proxy import MAX_BODY, application
from images.app.settings import AppSettings, HubEnvironment
from images.lib.files import replace_json

log = logging.getLogger("tenanthub.app")
EXIT_CODES = {"ok": 0, "failed": 1, "stopped": 143}
Outcome = Literal["failed", "stopped"]


async def serve(settings: AppSettings, hub: HubEnvironment) -> int:
    """Run the app until SIGTERM (exit code 143) or until it ends by itself (1, the reason in result.json and on
    stderr). The hub's URL answers only once the app does, so "ready" is true."""
    settings.run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in ("ready.json", "result.json"):
        (settings.run_dir / name).unlink(missing_ok=True)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    process: AppProcess | None = None
    outcome: Outcome = "failed"
    try:
        process = process_of(settings, hub.prefix)
        await process.start()
        if not await _unless(stop, process.ready()):
            clock = activity.Clock()
            _open_door(settings, hub, process, clock)
            message = await _watch(stop, settings, hub, process, clock)
        else:
            message = None
        outcome, message = ("stopped", "Stopped") if message is None else ("failed", message)
    except AppError as error:
        message = str(error)
    except OSError as error:
        message = f"{hub.address}:{hub.port}: {error.strerror or error}"
    finally:
        if process is not None:
            await process.stop()
    replace_json(settings.run_dir / "result.json", {"outcome": outcome, "message": message, "counts": {}})
    print(message, file=sys.stderr, flush=True)
    return EXIT_CODES[outcome]


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, Any]) -> bool:
    """Do *work*; True if *stop* came first (work is cancelled then). What work raises is raised."""
    doing, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait({doing, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if doing.done():
        stopping.cancel()
        doing.result()
        return False
    doing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await doing
    return True


def _open_door(settings: AppSettings, hub: HubEnvironment, process: AppProcess, clock: activity.Clock) -> None:
    web = application(settings, hub, process.place, clock, secrets.token_bytes(32))
    server = HTTPServer(
        web, xheaders=True, ssl_options=_ssl_options(), max_body_size=MAX_BODY, max_buffer_size=MAX_BODY
    )
    server.listen(hub.port, hub.address)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    replace_json(settings.run_dir / "ready.json", {"ready": now, "pid": process.pid})
    log.info("Ready at %s", hub.prefix)


def _ssl_options() -> Any:
    """The hub's internal TLS, where it is on (JUPYTERHUB_SSL_*), for us as server and as the hub's client."""
    keyfile, certfile, client_ca = (
        os.environ.get(f"JUPYTERHUB_SSL_{name}", "") for name in ("KEYFILE", "CERTFILE", "CLIENT_CA")
    )
    if not (keyfile and certfile):
        return None
    from ssl import Purpose

    context = make_ssl_context(keyfile, certfile, cafile=client_ca, purpose=Purpose.SERVER_AUTH)
    httpclient.AsyncHTTPClient.configure(None, defaults={"ssl_options": context})
    return make_ssl_context(keyfile, certfile, cafile=client_ca, purpose=Purpose.CLIENT_AUTH)


async def _watch(
    stop: asyncio.Event, settings: AppSettings, hub: HubEnvironment, process: AppProcess, clock: activity.Clock
) -> str | None:
    """The reason of the app's own end; None if SIGTERM came first."""
    tasks = [asyncio.ensure_future(activity.report(hub, clock))]
    if settings.activity == "terminals":
        tasks.append(asyncio.ensure_future(activity.watch(clock, process.pid, settings.edits_folder)))
    ended, stopping = asyncio.ensure_future(process.ended()), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({ended, stopping}, return_when=asyncio.FIRST_COMPLETED)
        return None if stop.is_set() else ended.result()
    finally:
        for task in (*tasks, ended, stopping):
            task.cancel()
