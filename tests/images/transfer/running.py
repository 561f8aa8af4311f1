"""An object store and runs of the program, as its users have it: a process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.tiers import need

RCLONE = str(Path(sys.executable).with_name("rclone"))
ACCESS_KEY, SECRET_KEY = "transfertest", "transfer-test-secret"
DEADLINE_S = 60


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """The first true value of *condition*; fails after DEADLINE_S."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    pytest.fail(f"not within {DEADLINE_S} s: {what}")


def need_rsync() -> str:
    """The path of rsync; a skip with its reason where it is missing, a failure where it is required."""
    path = shutil.which("rsync")
    need("rsync", path, "rsync is not installed on this machine")
    return str(path)


@dataclass(frozen=True)
class ObjectStore:
    folder: Path
    config: Path

    def bucket(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


def write_config(path: Path, endpoint: str, secret: str) -> None:
    path.touch(0o600)
    path.write_text(
        f"[store]\ntype = s3\nprovider = Rclone\nendpoint = {endpoint}\n"
        f"access_key_id = {ACCESS_KEY}\nsecret_access_key = {secret}\n"
    )


@dataclass
class Run:
    """One run's folder and process."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def result(self) -> dict[str, Any]:
        return json.loads((self.folder / "result.json").read_text())

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def progress(self) -> dict[str, Any] | None:
        path = self.folder / "progress.json"
        return json.loads(path.read_text()) if path.exists() else None

    def wait(self) -> int:
        return self.process.wait(DEADLINE_S)


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below *folder*: its relative path and contents."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
