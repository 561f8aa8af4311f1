"""The embedded object store: `rclone serve s3` on the state folder, one root a tenant, kept running by a keeper.

It outlives the hub like any unattended workload, because collectors and crawls write to it.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hub.embedded.settings import Embedded, StartError
from images.lib.files import replace_json
from spawners.local.folder import ProcessRef, WorkloadFolder
from spawners.local.identity import with_environment
from spawners.local.keeper.mode import MARK
from spawners.local.ports import is_free
from spawners.local.runs import keeper_alive, reload_keeper, start_keeper
from spawners.plan import LocalPlan, Tools

AUTH = "objectstore-auth"
DIR_CACHE_TIME = "24h"
"""Nobody else writes below the object store, so its listing never goes stale. With 0s, rclone 1.75 starts a clean-up
without end for each folder, and these lock each other out until nothing answers (seen after some minutes)."""
PROGRAM = Path(__file__).with_name("objectstore_auth.py")


def start_objectstore(settings: Embedded, tools: Tools) -> ProcessRef:
    """Start the object store, or find it running. StartError, process.ProcessStartError when it cannot be started."""
    folder = WorkloadFolder(settings.state.root / "objectstore-run")
    folder.path.mkdir(mode=0o700, exist_ok=True)
    _write_auth(settings.state.root / AUTH)
    plan = LocalPlan(
        mode="keep",
        # rclone splits --auth-proxy at spaces, so it is called by a name without any, from its own folder.
        argv=("/bin/sh", "-c", 'cd "$1" && shift && exec "$@"', "objectstore", str(settings.state.root),
              str(tools.rclone), "serve", "s3", "--addr", f"127.0.0.1:{settings.ports['objectstore']}",
              "--auth-proxy", f"./{AUTH}", "--config", os.devnull, "--dir-cache-time", DIR_CACHE_TIME,
              "--vfs-cache-mode", "off", "--log-level", "NOTICE"),
        grace_s=10,
    )  # fmt: skip
    replace_json(folder.plan, plan.model_dump(mode="json"))
    living = keeper_alive(folder)
    port = settings.ports["objectstore"]
    # Where the keeper was killed, rclone goes on, and the next keeper adopts it.
    if not living and not with_environment(MARK, str(folder.path)) and not is_free(port):
        raise StartError(f"port {port}, which the object store uses, is taken by another program: stop it")
    keeper = start_keeper(folder, tools.python)
    if living:
        reload_keeper(folder)  # it goes on undisturbed unless another version of us starts it in another way
    return keeper


def _write_auth(path: Path) -> None:
    """A program that rclone asks for each new access key: which secret, which root (rclone docs, Auth Proxy)."""
    script = f'#!/bin/sh\nexec "{sys.executable}" -I -S "{PROGRAM}" "$PWD"\n'
    path.write_text(script, encoding="utf-8")
    path.chmod(0o700)
