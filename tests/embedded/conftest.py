"""One hub for all embedded tests that do not break it, and a factory for those that do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.harness import Hub
from tests.tiers import need

MODULES = Path(__file__).parents[2] / "node_modules" / "configurable-http-proxy"


@pytest.fixture(scope="session")
def hubs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Hub]]:
    """Makes hubs; all of them are stopped at the end, and must have left nothing running."""
    need("embedded", MODULES.exists(), "configurable-http-proxy is not installed (make setup)")
    made: list[Hub] = []

    def make() -> Hub:
        hub = Hub(tmp_path_factory.mktemp("hub"))
        hub.write_world()
        made.append(hub)
        return hub

    yield make
    for hub in made:
        hub.stop()
    assert [line for hub in made for line in hub.leftovers()] == []


@pytest.fixture(scope="session")
def hub(hubs: Callable[[], Hub]) -> Hub:
    """A running hub with the demo world; tests leave it as they found it but for workloads of their own names."""
    return hubs().start()


@pytest.fixture
def own_hub(hubs: Callable[[], Hub]) -> Iterator[Hub]:
    """A running hub that one test may kill."""
    hub = hubs().start()
    yield hub
    hub.stop()
