"""One hub and one Chromium for the session; windows of people, watched for errors, with evidence kept on failure."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from tests.browser.people import Person, browsing, new_context
from tests.embedded.conftest import hub, hubs, own_hub
from tests.embedded.harness import Hub
from tests.tiers import need_chromium

__all__ = ["hub", "hubs", "own_hub"]

EVIDENCE = Path(__file__).parents[2] / "build" / "browser"
_failed = pytest.StashKey[bool]()
People = Callable[..., Person]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember for the fixtures whether the test failed."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with browsing(need_chromium()) as browser:
        yield browser


@pytest.fixture(scope="session")
def signed_in() -> dict[tuple[str, str], Any]:
    """Cookies of people that have signed in, by hub and account: signing in is one test's subject, not each one's."""
    return {}


@pytest.fixture
def people(request: pytest.FixtureRequest, browser: Browser, signed_in: dict[tuple[str, str], Any]) -> Iterator[People]:
    """people(hub, account, **context options): a window of that account, signed in unless sign_in=False.

    At the end every error that one of our pages gave the browser fails the test.
    """
    opened: list[Person] = []

    def make(hub: Hub, name: str, *, sign_in: bool = True, **options: Any) -> Person:
        key = (hub.url, name)
        if sign_in and key not in signed_in:
            signed_in[key] = _sign_in(Person(hub, new_context(browser), name))
        state = {"storage_state": signed_in[key]} if sign_in else {}
        person = Person(hub, new_context(browser, **state, **options), name)
        opened.append(person)
        return person

    yield make
    complaints = [text for person in opened for text in person.complaints]
    if request.node.stash.get(_failed, False) or complaints:
        _keep_evidence(request.node, opened)
    for person in opened:
        person.context.close()
    assert complaints == [], "our pages gave the browser errors"


def _sign_in(person: Person) -> Any:
    """The cookies of somebody who has just signed in. The window is closed: it would go on asking for news."""
    person.sign_in()
    person.page.get_by_role("heading", name="Your groups").wait_for()
    state = person.context.storage_state()
    person.context.close()
    assert person.complaints == []
    return state


@pytest.fixture
def visit(hub: Hub, people: People) -> Callable[..., Person]:
    """visit(account, **context options): the same at the session's own hub."""
    return lambda name, **options: people(hub, name, **options)


def _keep_evidence(item: pytest.Item, opened: list[Person]) -> None:
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", item.name)
    for number, person in enumerate(opened):
        try:
            made = person.keep_evidence(EVIDENCE, f"{stem}-{number}-{person.name}")
        except Exception as error:  # a page that hangs must not hide why the test failed
            print(f"no picture of {person.name}'s window: {error}")
        else:
            print(*(f"kept {path}" for path in made), sep="\n")
