"""A keeper of a home as a process, with a program that only waits: for tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from images.lib.files import read_json
from images.lib.home_files import BASE
from images.lib.home_plan import OWN
from tests.images.s3 import RCLONE, S3Server, wait_for

WAITING = """
import os, pathlib, signal, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
while True:
    time.sleep(60)
"""
DEADLINE_S = 60


class KeptHome:
    """One home in a folder of its own; several of them with the same *where* share what is kept."""

    def __init__(self, folder: Path, s3: S3Server, where: str, **more: Any) -> None:
        self.folder, self.s3, self.where = folder, s3, where
        self.home, self.state = folder / "home", folder / "state"
        self.state.mkdir(parents=True)
        self.started = folder / "started"
        self.log = folder / "log"
        self.kept = s3.root / where
        self.process: subprocess.Popen[bytes] | None = None
        self.settings: dict[str, Any] = {
            "home": str(self.home),
            "state_folder": str(self.state),
            "rclone": str(RCLONE),
            "rclone_config": str(s3.config),
            "remote": f"lab:{where}",
            "command": [sys.executable, "-c", WAITING, str(self.started)],
            "every_s": 0.5,
            "look_s": 0.1,
            "start_wait_s": 2,
            "last_save_s": 30,
            **more,
        }

    def launch(self, **more: Any) -> None:
        """Start the keeper; does not wait."""
        self.started.unlink(missing_ok=True)
        path = self.folder / "settings.json"
        path.write_text(json.dumps({**self.settings, **more}))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "images.lib.home", str(path)],
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
                start_new_session=True,
            )

    def start(self, **more: Any) -> KeptHome:
        """Start it, and wait until its program runs."""
        self.launch(**more)
        wait_for(lambda: self.started.exists() or self.code() is not None, "its program runs, or it has ended")
        assert self.code() is None, self.words()
        return self

    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        assert self.process is not None
        return self.process.poll()

    def words(self) -> str:
        """What it has said."""
        return self.log.read_text()

    def status(self) -> dict[str, Any]:
        """home.json."""
        found: dict[str, Any] = json.loads((self.state / "home.json").read_text())
        return found

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End it; its exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def kill(self) -> None:
        """As a lost node would: the keeper, its rclone and its program at once."""
        assert self.process is not None
        children = psutil.Process(self.process.pid).children(recursive=True)
        for one in (psutil.Process(self.process.pid), *children):
            if one.is_running():
                one.kill()
        self.process.wait(DEADLINE_S)

    def write(self, name: str, text: str) -> Path:
        """Write a file of the home at once, as an editor does; its path."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def read(self, name: str) -> str | None:
        """A file of the home; None where it is not there."""
        path = self.home / name
        return path.read_text() if path.exists() else None

    def stored(self, name: str) -> str | None:
        """A kept file as the store's server has it on disk."""
        path = self.kept / "files" / name
        return path.read_text() if path.exists() else None

    def until_saved(self, name: str, text: str) -> None:
        """Wait until *name* is kept with *text*, and the keeper has noted that it is."""
        wait_for(lambda: self.stored(name) == text and self._noted(name), f"{name} is kept")

    def _noted(self, name: str) -> bool:
        noted = read_json(self.home / OWN / BASE)
        row = noted["files"].get(name) if isinstance(noted, dict) else None
        return bool(row and row[0] and row[0][1] == (self.home / name).stat().st_mtime_ns)

    def until(self, name: str, text: str | None) -> None:
        """Wait until the local *name* holds *text*."""
        wait_for(lambda: self.read(name) == text, f"{name} is {text!r} here")
