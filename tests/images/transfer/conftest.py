"""A real object store (rclone serve s3) and a way to run the program as a process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.transfer.running import (
    ACCESS_KEY,
    DEADLINE_S,
    RCLONE,
    SECRET_KEY,
    ObjectStore,
    Run,
    wait_for,
    write_config,
)


@pytest.fixture(scope="module")
def _server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    # Tests look into the folder and write to it, so nothing may be cached; rclone 1.75 keeps a CPU busy with that as
    # long as it lives, so it lives for one file of tests only.
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
