"""The launcher as its users have it: a process with a spawner's environment."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.spawned import DEADLINE_S, PREFIX, App, FakeHub, free_port, spawner_environment


@pytest.fixture
def hub() -> Iterator[FakeHub]:
    fake = FakeHub()
    server = fake.start()
    yield fake
    server.shutdown()
    server.server_close()


@pytest.fixture
def launch(hub: FakeHub, tmp_path: Path) -> Iterator[Callable[..., App]]:
    apps: list[App] = []

    def begin(module: str = "images.app", environment: dict[str, str] | None = None, **settings: Any) -> App:
        folder = tmp_path / "run"
        folder.mkdir(exist_ok=True)
        path = tmp_path / "settings.json"
        path.write_text(json.dumps({"run_dir": str(folder), **settings}, default=str))
        port = free_port()
        env = {**spawner_environment(hub, port), "HOME": str(tmp_path), **(environment or {})}
        with (folder / "launcher.log").open("wb") as log:
            process = subprocess.Popen([sys.executable, "-P", "-m", module, str(path)], env=env, stderr=log)
        apps.append(App(folder, f"http://127.0.0.1:{port}{PREFIX}", process))
        return apps[-1]

    yield begin
    for app in apps:
        if app.process.poll() is None:
            app.process.terminate()
            app.process.wait(DEADLINE_S)
