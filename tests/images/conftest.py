"""Fixtures shared by the tests of all images: an object store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.s3 import S3Server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """One object store for all tests that do not stop it; each makes a bucket of its own."""
    server = S3Server(tmp_path_factory.mktemp("s3")).start()
    yield server
    server.stop()


@pytest.fixture
def own_s3(tmp_path: Path) -> Iterator[S3Server]:
    """An object store that the test may stop, freeze and start again."""
    server = S3Server(tmp_path / "own-s3").start()
    yield server
    server.stop()
