"""The daemon behind collector and kept homes: what happens to connections that were idle for long."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from images.lib.rclone_rc import RcloneDaemon
from tests.images.s3 import RCLONE


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[RcloneDaemon]:
    config = tmp_path / "rclone.conf"
    config.touch(0o600)
    made = RcloneDaemon(RCLONE, config, tmp_path / "run")
    made.start()
    yield made
    made.stop()


def test_connections_that_rclone_closed_meanwhile_are_not_used(daemon: RcloneDaemon) -> None:
    """After a minute without calls, rclone closes all that are kept: a long upload, or an instrument that rests."""
    taken = [daemon._take(None) for _ in range(3)]
    for connection, generation in taken:
        ours, theirs = socket.socketpair()
        connection.sock = ours
        theirs.close()
        daemon._give_back(connection, generation)
    assert daemon.call("rc/noop", 10.0, word="here") == {"word": "here"}
    [(connection, _)] = [daemon._take(None)]
    assert not connection.dropped, "the one that works is kept"
