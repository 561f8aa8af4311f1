"""The installation that the journeys are made on, and the browsers of those who make them."""

from __future__ import annotations

import pytest

from tests.browser.conftest import browser, people, pytest_runtest_makereport, signed_in
from tests.cluster.chart import Installed
from tests.cluster.journeys import world
from tests.cluster.journeys.place import Place

__all__ = ["browser", "people", "pytest_runtest_makereport", "signed_in"]


@pytest.fixture(scope="session")
def place(installed: Installed) -> Place:
    """Where the journeys are made."""
    return Place(
        url=installed.url,
        bed=installed.bed,
        kube=installed.kube,
        stores=installed.stores,
        passwords=installed.passwords,
        domain=world.DOMAIN,
        namespace=installed.namespace,
    )
