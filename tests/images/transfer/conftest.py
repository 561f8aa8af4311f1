"""A real object store (rclone serve s3) and a way to run the program as its users do: as a process."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

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
    """The path of rsync; a skip with its reason where it is missing, a failure where the tier is required."""
    path = shutil.which("rsync")
    if path is None:
        if "rsync" in os.environ.get("TENANTHUB_REQUIRE", "").split(","):
            pytest.fail("rsync is required and not installed")
        pytest.skip("rsync is not installed on this machine")
    return path


@dataclass(frozen=True)
class ObjectStore:
    folder: Path
    config: Path

    def bucket(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(exist_ok=True)
        return path


@pytest.fixture(scope="session")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("s3")
    log = folder.parent / f"{folder.name}.log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [
                *(RCLONE, "serve", "s3", str(folder), "--addr", "127.0.0.1:0", "--config", "/dev/null"),
                *("--dir-cache-time", "0s", "--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"),
            ],
            stderr=stream,
        )
    try:
        found = wait_for(lambda: re.search(r"\[(http://127\.0\.0\.1:\d+)/\]", log.read_text()), "rclone serve s3")
        yield folder, found[1]
    finally:
        process.terminate()
        process.wait(DEADLINE_S)


@pytest.fixture
def s3(_server: tuple[Path, str], tmp_path: Path) -> ObjectStore:
    folder, endpoint = _server
    config = tmp_path / "rclone.conf"
    write_config(config, endpoint, SECRET_KEY)
    return ObjectStore(folder, config)


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


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(**settings: Any) -> Run:
        folder = tmp_path / settings.pop("folder", "run")
        folder.mkdir(exist_ok=True)
        base = {"run_id": "r1", "run_dir": str(folder), "rclone": RCLONE, "folders": [str(tmp_path / "data")]}
        path = tmp_path / f"{folder.name}.json"
        path.write_text(json.dumps({**base, **settings}, default=str))
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-m", "images.transfer", str(path)], stderr=log)
        runs.append(Run(folder, process))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.wait(DEADLINE_S)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The one folder that runs may use, with three files in data/in."""
    folder = tmp_path / "data"
    (folder / "in" / "deep").mkdir(parents=True)
    (folder / "in" / "a.txt").write_text("alpha")
    (folder / "in" / "b.log").write_text("beta")
    (folder / "in" / "deep" / "-c.bin").write_bytes(bytes(range(256)) * 4096)
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below *folder*: its relative path and contents."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
