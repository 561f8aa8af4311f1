"""A portal for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.hub.portal.parts import Bench, bench


@pytest.fixture
def portal(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path) as made:
        yield made
