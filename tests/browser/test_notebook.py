"""A notebook and VS Code from their cards to work, and back."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from spawners.local.tools import find_tools
from tests.browser.people import Person
from tests.tiers import need

Visit = Callable[..., Person]


def test_notebook_from_card_to_42_and_stopped(visit: Visit) -> None:
    person = visit("physics-member")
    page = person.choose("Notebook", "Laser study")
    fit = page.locator("#fit")
    small = re.search(r"([\d.]+) of 16 CPU", fit.inner_text())
    assert small, fit.inner_text()
    page.locator("label", has_text="medium: 2 CPU, 4 GiB").click()
    expect(fit).to_contain_text(f"{float(small[1]) + 1:g} of 16 CPU")  # of the two, one more than the small one
    person.start()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/lab"))
    bookmark = page.url.removeprefix(person.hub.url)
    cell = person.new_notebook()
    page.keyboard.type("6*7")
    expect(cell).to_have_text("6*7")
    page.keyboard.press("Shift+Enter")
    expect(page.locator(".jp-OutputArea-output").first).to_have_text("42")
    person.home()
    row = person.workload("Laser study")
    expect(row).to_contain_text("Running")
    row.get_by_role("link", name="Laser study", exact=True).click()
    expect(person.panel("Started with")).to_contain_text("medium")
    person.stop()
    person.home()
    page.get_by_text("Stopped and finished").click()
    expect(person.workload("Laser study")).to_contain_text("Stopped")
    with person.may("^answer 424: GET"):
        person.go(bookmark)
        page.get_by_role("link", name="Go to its page").click()
    expect(page.get_by_role("heading", name="Laser study")).to_be_visible()
    expect(page.get_by_role("link", name="Start again")).to_be_visible()


def test_vs_code_from_card_to_its_workbench(visit: Visit) -> None:
    need("code-server", find_tools().code_server, "code-server is not installed (make code-server)")
    person = visit("physics-member")
    page = person.choose("VS Code", "Analysis")
    person.start()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/"))
    expect(page.locator(".monaco-workbench")).to_be_visible()
    expect(page.get_by_role("tab", name=re.compile("Explorer")).first).to_be_visible()
    person.home()
    person.workload("Analysis").get_by_role("link", name="See page").click()
    person.stop()
