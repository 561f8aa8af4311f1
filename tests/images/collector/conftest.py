"""Collectors for tests: one that many tests share, and a maker for those with settings or a store of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.images.collector.running import Collector
from tests.images.s3 import S3Server


@pytest.fixture(scope="module")
def collector(
    s3: S3Server, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Collector]:
    """A collector that the tests of one file share; each uses names of its own."""
    bucket = request.module.__name__.rpartition(".")[2].replace("_", "-")
    made = Collector(tmp_path_factory.mktemp("collector"), s3, bucket).start()
    yield made
    made.end()


@pytest.fixture
def make_collector(s3: S3Server, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[..., Collector]]:
    """Makes collectors (not started) with settings of the test's own; *store* is another object store than s3."""
    made: list[Collector] = []

    def make(store: S3Server | None = None, **settings: Any) -> Collector:
        folder = tmp_path / f"collector-{len(made)}"
        folder.mkdir()
        bucket = f"b{abs(hash(request.node.nodeid)) % 10**9}"
        made.append(Collector(folder, store or s3, bucket, **settings))
        return made[-1]

    yield make
    for collector in made:
        collector.end()
