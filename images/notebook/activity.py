"""A Jupyter server extension: running work keeps a server, an open browser tab does not.

How it is counted without us (read in jupyter_server 2.21.1 and jupyterhub 6.1.1): `ServerWebApplication.last_activity`
is the latest of the start, the kernels' messages, every setting whose name ends in `_last_activity`, and the values of
`settings["last_activity_times"]`; jupyterhub's `notify_activity` posts it to the hub every JUPYTERHUB_ACTIVITY_INTERVAL
seconds. Two things are wrong with that. A kernel that computes silently, and a terminal whose program prints nothing,
are no activity. And every authenticated API request is one, so the file list that an open tab asks for every few
seconds keeps a server for ever. docs/activity.md says what counts now.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from jupyter_server.base.handlers import APIHandler
from jupyter_server.serverapp import ServerApp
from tornado.ioloop import PeriodicCallback

from images.lib.foreground import jobs_below
from images.lib.quick import resume_garbage_collection

KEY = "tenanthub"
POLL_S = float(os.environ.get("TENANTHUB_ACTIVITY_POLL_S", "30"))
# Asking is what tabs do by themselves; only what changes something is certainly a person.
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

log = logging.getLogger("tenanthub.activity")


def busy_kernels(manager: Any) -> list[str]:
    """The ids of the kernels of *manager* (a MappingKernelManager) that are executing something."""
    busy = []
    for kernel_id in manager.list_kernel_ids():
        try:
            state = getattr(manager.get_kernel(kernel_id), "execution_state", None)
        except KeyError:
            continue  # shut down while we looked
        if state == "busy":
            busy.append(kernel_id)
    return busy


def shells(manager: Any) -> list[int]:
    """The process ids of the terminals of *manager* (terminado's NamedTermManager); none where terminals are off."""
    terminals = getattr(manager, "terminals", {})
    return [terminal.ptyproc.pid for terminal in list(terminals.values()) if terminal.ptyproc.isalive()]


def running_work(kernels: Iterable[str], shell_pids: Iterable[int]) -> list[str]:
    """What runs, in words for the log; empty where the server is idle."""
    work = [f"kernel {kernel_id}" for kernel_id in kernels]
    for pid in shell_pids:
        work += [f"{name} in a terminal" for name in jobs_below(pid)]
    return work


def note_running_work(settings: dict[str, Any]) -> None:
    """Put the present into `last_activity_times` if anything runs; the times are aware UTC, as Jupyter's own are."""
    work = running_work(busy_kernels(settings["kernel_manager"]), shells(settings.get("terminal_manager")))
    if work:
        settings["last_activity_times"][KEY] = datetime.now(UTC)
        log.debug("Active: %s", ", ".join(work))


def count_only_changes(handler_class: type[APIHandler] = APIHandler) -> None:
    """Let an API request count as activity only if it changes something (all methods but GET, HEAD, OPTIONS).

    The decision has no setting in jupyter_server, so its method is wrapped.
    """
    original = handler_class.update_api_activity

    def update_api_activity(self: APIHandler) -> None:
        if self.request.method not in READING_METHODS:
            original(self)

    handler_class.update_api_activity = update_api_activity  # type: ignore[method-assign]


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "images.notebook.activity"}]


def _load_jupyter_server_extension(app: ServerApp) -> None:
    """Begin to look at kernels and terminals, every POLL_S seconds, and once right before each report would be due."""
    count_only_changes()
    settings: dict[str, Any] = app.web_app.settings
    settings.setdefault("last_activity_times", {})
    PeriodicCallback(lambda: note_running_work(settings), POLL_S * 1000, jitter=0.1).start()
    app.io_loop.add_callback(resume_garbage_collection)  # runs once the server answers
