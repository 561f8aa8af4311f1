"""The installation that the journeys are made on, and the browsers of those who make them."""

from __future__ import annotations

from tests.browser.conftest import browser, people, pytest_runtest_makereport, signed_in

__all__ = ["browser", "people", "pytest_runtest_makereport", "signed_in"]
