"""An app that others run beside the door, as in a Pod with an image of somebody's own."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from images.app import neighbour
from images.app.settings import AppSettings
from tests.images.spawned import free_port

SMALL_APP = Path(__file__).with_name("small_app.py")


@pytest.fixture
def port() -> Iterator[int]:
    """Where such an app listens."""
    number = free_port()
    process = subprocess.Popen([sys.executable, str(SMALL_APP), f"port={number}"], start_new_session=True)
    yield number
    os.killpg(process.pid, signal.SIGKILL)  # it has a child of its own
    process.wait(10)


def test_the_door_stands_before_it_and_starts_nothing(launch, port: int) -> None:
    app = launch(beside=True, port=port)
    app.wait_until_ready()
    assert app.get("some/where").json()["path"] == "/some/where"
    assert httpx.get(app.url).status_code == 302
    assert not (app.folder / "app.log").exists()
    app.process.terminate()
    assert app.process.wait(30) == 143
    with socket.create_connection(("127.0.0.1", port), 5):
        pass  # it is the kubelet's to end


def test_one_that_stays_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbour, "GONE_S", 0.3)
    monkeypatch.setattr(neighbour, "_LOOK_S", 0.05)
    settings = AppSettings(run_dir=tmp_path, beside=True, port=free_port())
    said = asyncio.run(neighbour.process_of(settings, "/user/ada/app/").ended())
    assert f"port {settings.port}" in said
