"""Phone width, keyboard alone, a screen reader's rules (axe), and the reader's own time zone."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.people import Person
from tests.embedded.harness import Hub, until
from tests.embedded.sites import web_site
from tests.tiers import need

Visit = Callable[..., Person]
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
PORTAL = "/services/portal/"
RULES = """
async source => {
  if (!window.axe) { (0, eval)(source); }
  const found = await axe.run(document, { resultTypes: ["violations"] });
  return found.violations
    .filter(one => ["serious", "critical"].includes(one.impact))
    .map(one => ({ rule: one.id, help: one.help, at: one.nodes.map(node => node.html.slice(0, 200)) }));
}
"""


@pytest.fixture(scope="module")
def lived_in(hub: Hub) -> Iterator[dict[str, str]]:
    """A home page as after some days: every sort of page has something to show. Page names and their paths."""
    launch = hub.launch
    assert launch("physics-member", "physics-member", "daily-lab", "notebook", {}).status_code == 201
    upload = {"remote": "data", "folder": "a/rather/long/folder/for-the-pictures-of-the-electron-microscope"}
    assert launch("physics-admin", "tenant-physics", "long-camera", "instrument-upload", upload).status_code == 201
    with web_site() as site:
        crawl = {"start_urls": [f"{site.url}/"], "remote": "data", "allow_private": True, "delay_s": 0.1}
        assert launch("physics-admin", "tenant-physics", "archive", "crawl", crawl).status_code == 201
        where = "/tenants/physics/workloads/tenant-physics/archive"
        assert hub.portal("physics-admin", "POST", f"{where}/run-now").status_code < 300
        run = _done(hub, where)
    bad = {"command": "python -c 'raise SystemExit(3)' {port}"}
    launch("physics-member", "physics-member", "bad-app", "own-app", bad)
    pages = {
        "home": PORTAL,
        **{f"form {profile}": f"{PORTAL}new/physics/{profile}" for profile in hub.tenant("physics")["profiles"]},
        "notebook": f"{PORTAL}w/physics/physics-member/daily-lab",
        "collector": f"{PORTAL}w/physics/tenant-physics/long-camera",
        "crawl": f"{PORTAL}w/physics/tenant-physics/archive",
        "run": f"{PORTAL}w/physics/tenant-physics/archive/runs/{run}",
        "failed": f"{PORTAL}w/physics/physics-member/bad-app",
        "stop": f"{PORTAL}w/physics/physics-member/daily-lab/stop",
        "remove": f"{PORTAL}w/physics/physics-member/bad-app/forget",
        "not found": f"{PORTAL}nonsense",
        "API": f"{PORTAL}api/",
        "sign in": "/hub/login",
        "change password": "/hub/change-password",
        "tokens": "/hub/token",
        "hub's not found": "/hub/nonsense",
    }
    yield pages
    left = (("physics-member", "daily-lab"), ("tenant-physics", "long-camera"), ("tenant-physics", "archive"))
    for owner, name in left:
        hub.api("physics-member", "DELETE", f"/users/{owner}/servers/{name}")


def _done(hub: Hub, where: str) -> str:
    """The id of the first run that has ended well."""

    def look() -> str:
        rows = hub.portal("physics-admin", "GET", f"{where}/runs").json()
        return next((str(row["id"]) for row in rows if row["outcome"] == "ok"), "")

    return until("the crawl has run", look)


def each_page(visit: Visit, pages: dict[str, str], **options: Any) -> Iterator[tuple[str, Page]]:
    """Each page in turn, in one window; the sign-in page in that of somebody who has not signed in."""
    person = visit("physics-member", **options)
    stranger = visit("physics-member", sign_in=False, **options)
    for name, path in pages.items():
        one = stranger if name == "sign in" else person
        with one.may("^answer 404: GET" if "not found" in name else "$^"):
            page = one.go(path)
            assert page.url.partition("?")[0] == f"{one.hub.url}{path}"
            page.wait_for_load_state("networkidle")
            yield name, page


def test_nothing_scrolls_sideways_on_a_phone(visit: Visit, lived_in: dict[str, str]) -> None:
    phone = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
    wide = {}
    for name, page in each_page(visit, lived_in, **phone):
        for details in page.locator("main details").all():
            details.evaluate("one => one.open = true")
        too_much = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        if too_much > 0:
            wide[name] = too_much
    assert wide == {}, f"pixels too wide: {wide}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_serious(visit: Visit, lived_in: dict[str, str], scheme: str) -> None:
    need("browser", AXE.exists(), "axe-core is not installed (make test installs it)")
    found = {}
    # axe brings styles of its own, which our Content-Security-Policy forbids pages to have.
    for name, page in each_page(visit, lived_in, color_scheme=scheme, bypass_csp=True):
        if violations := page.evaluate(RULES, AXE.read_text()):
            found[name] = violations
    assert found == {}, json.dumps(found, indent=1)


def focused(page: Page) -> str:
    text: str = page.evaluate(
        """() => {
            const one = document.activeElement;
            const label = one.labels && one.labels.length ? one.labels[0].textContent : "";
            return (label || one.textContent || one.name || one.tagName).replace(/\\s+/g, " ").trim();
        }"""
    )
    return text


def tab_to(page: Page, wanted: str, limit: int = 80) -> list[str]:
    """Press Tab until the focus is on something whose text begins with *wanted*; all that was passed."""
    passed: list[str] = []
    for _ in range(limit):
        page.keyboard.press("Tab")
        passed.append(focused(page))
        if passed[-1].startswith(wanted):
            return passed
    raise AssertionError(f"Tab does not reach {wanted!r}: {passed}")


def test_everything_by_keyboard_alone(visit: Visit) -> None:
    person = visit("physics-admin")
    page = person.home()
    assert tab_to(page, "Skip to the content") == ["Skip to the content"]
    page.keyboard.press("Enter")
    cards = tab_to(page, "Own app")
    titles = ["Notebook", "Instrument upload", "Crawl", "Transfer", "Own app"]  # VS Code is a link only where it is
    assert [text for text in cards if text in titles] == titles, cards
    assert "Sign out" not in cards, "the skip link skips the navigation"
    page = person.home()
    tab_to(page, "Instrument upload")
    page.keyboard.press("Enter")
    page.wait_for_url("**/new/physics/instrument-upload")
    tab_to(page, "Name")
    page.keyboard.press("Control+a")
    page.keyboard.type("By keyboard")
    tab_to(page, "Folder")
    page.keyboard.type("keyboard")
    tab_to(page, "Start")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="By keyboard")).to_be_visible()
    expect(person.status()).to_contain_text("Running")
    tab_to(page, "Stop")
    page.keyboard.press("Enter")
    page.wait_for_url("**/stop")
    tab_to(page, "Stop")
    page.keyboard.press("Enter")
    expect(person.status()).to_contain_text("Stopped")


def test_times_are_in_the_readers_zone(visit: Visit, lived_in: dict[str, str]) -> None:
    shown = {}
    for zone in ("UTC", "Asia/Tokyo"):
        person = visit("physics-member", timezone_id=zone)
        person.go(lived_in["crawl"])
        shown[zone] = person.panel("Schedule").locator("time").first.inner_text()
    assert shown["UTC"].endswith("02:00"), shown
    assert shown["Asia/Tokyo"].endswith("11:00"), shown
