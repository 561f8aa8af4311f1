"""One's own application behind the sign-in: its people see it, others do not; one that cannot start says why."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person

Visit = Callable[..., Person]
SERVER = "python -m http.server --bind 127.0.0.1 {port}"


def test_an_app_opens_behind_the_sign_in_and_not_for_strangers(visit: Visit) -> None:
    person = visit("physics-member")
    page = person.choose("Own app", "Listing")
    page.get_by_label("Command").fill(SERVER)
    person.start()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/"))
    expect(page.get_by_role("heading", name="Directory listing for /")).to_be_visible()
    address = page.url.removeprefix(person.hub.url)
    stranger = visit("history-member")
    with stranger.may("^answer 40[34]: GET"):
        theirs = stranger.go(address)
        expect(theirs.locator("h1")).to_contain_text(re.compile("40[34]"))
        assert "Directory listing" not in theirs.content()
    nobody = visit("physics-member", sign_in=False)
    nobody.go(address)
    expect(nobody.page.get_by_role("button", name="Sign in")).to_be_visible()
    person.home()
    person.workload("Listing").get_by_role("link", name="See page").click()
    person.stop()


def test_a_slow_start_shows_progress_and_opens_by_itself(visit: Visit) -> None:
    person = visit("physics-member")
    page = person.choose("Own app", "Slow model")
    page.get_by_label("Command").fill(f"sh -c 'until test -e gate; do sleep 0.1; done; exec {SERVER}'")
    person.watch("[data-message]")
    person.start()
    expect(page.get_by_role("progressbar", name="Progress of the start")).to_be_visible()
    expect(page.locator("[data-message]")).not_to_be_empty()
    expect(person.status()).to_contain_text("Starting")
    (person.hub.state / "homes" / "physics" / "physics-member" / "gate").touch()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/"))
    expect(page.get_by_role("heading", name="Directory listing for /")).to_be_visible()
    assert len(person.shown("[data-message]")) > 1
    page.go_back()  # the way back leads to its page, and is not sent to the app again
    expect(page.get_by_role("heading", name="Slow model")).to_be_visible()
    person.stop()


def test_a_failed_launch_stays_listed_with_its_reason_and_is_started_again(visit: Visit) -> None:
    person = visit("physics-member")
    page = person.choose("Own app", "Dashboard")
    page.get_by_label("Command").fill("python -c 'raise SystemExit(\"no such data\")' {port}")
    with person.may("^answer 422: POST"):  # it fails while the form waits for it, or, on a slow machine, on its page
        person.start()
        expect(page.get_by_text("no such data").last).to_be_visible()
    person.home()
    row = person.workload("Dashboard")
    expect(row).to_contain_text("Failed")
    expect(row).to_contain_text("no such data")
    row.get_by_role("link", name="Start again").click()
    expect(page.get_by_label("Name", exact=True)).to_have_value("Dashboard")
    expect(page.get_by_label("Command")).to_have_value("python -c 'raise SystemExit(\"no such data\")' {port}")
    page.get_by_label("Command").fill(SERVER)
    person.start()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/"))
    expect(page.get_by_role("heading", name="Directory listing for /")).to_be_visible()
    person.home()
    expect(person.workload("Dashboard")).to_have_count(1)
    person.workload("Dashboard").get_by_role("link", name="See page").click()
    person.stop()
    page.get_by_role("link", name="Remove from the list …").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Your groups")).to_be_visible()
    expect(page.get_by_text("Dashboard")).to_have_count(0)
