"""The launcher as its users have it: a process with a spawner's environment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.spawned import App, FakeHub, start_launcher


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

    def begin(environment: dict[str, str] | None = None, **settings: Any) -> App:
        apps.append(start_launcher("images.app", hub, tmp_path, settings, environment))
        return apps[-1]

    yield begin
    for app in apps:
        app.stop()
