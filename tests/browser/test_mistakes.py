"""What people get wrong, and what they click twice: told clearly, nothing lost, nothing doubled."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.people import Person
from tests.embedded.harness import Hub, until

Visit = Callable[..., Person]


def test_a_quota_overrun_is_told_before_and_refused_at_submit_with_all_kept(visit: Visit, hub: Hub) -> None:
    person = visit("history-member")
    hub.edit_tenant("history", lambda text: text.replace("cpu: 8", "cpu: 1"))
    try:
        until("the portal has read it", lambda: cpu_quota(hub) == 1)
        page = person.choose("Notebook", "Letters of 1868", "History")
        expect(page.locator("#fit")).to_contain_text("of 1 CPU")
        page.locator("label", has_text="medium").click()
        expect(page.locator("#fit")).to_contain_text("Does not fit")
        with person.may("^answer 422: POST"):
            person.start()
            expect(page.get_by_role("alert")).to_contain_text("It was not started")
        expect(page.get_by_role("alert")).to_contain_text("needs 2 CPU, but history uses 0 of 1")
        expect(page.get_by_label("Name", exact=True)).to_have_value("Letters of 1868")
        expect(page.get_by_role("radio", name="medium")).to_be_checked()
        person.home()
        expect(person.workload("Letters of 1868", "History")).to_have_count(0)
    finally:
        hub.edit_tenant("history", lambda text: text.replace("cpu: 1\n", "cpu: 8\n"))
        until("the portal has read it", lambda: cpu_quota(hub) == 8)


def cpu_quota(hub: Hub) -> float:
    answer = hub.portal("history-member", "GET", "/tenants/history")
    assert answer.status_code == 200, answer.text
    return float(answer.json()["quota"]["cpu"])


@pytest.mark.parametrize(
    "path",
    [
        "/services/portal/nonsense",
        "/services/portal/w/physics/physics-member/nonsense",
        "/services/portal/w/history/tenant-history/nonsense",
        "/services/portal/new/physics/nonsense",
        "/services/portal/new/history/notebook",
        "/hub/nonsense",
        "/nonsense",
    ],
)
def test_an_unknown_page_is_friendly_and_leads_home(visit: Visit, path: str) -> None:
    person = visit("physics-member")
    with person.may("^answer 404: GET"):
        response = person.page.goto(f"{person.hub.url}{path}")
    assert response is not None
    assert response.status == 404
    expect(person.page.locator("h1")).to_have_text("Not found")
    person.page.get_by_role("link", name="Go to your home page").click()
    expect(person.page.get_by_role("heading", name="Your groups")).to_be_visible()


def test_the_address_of_a_server_that_never_was_leads_home(visit: Visit) -> None:
    person = visit("physics-member")
    with person.may("^answer 424: GET"):
        page = person.go("/user/physics-member/nonsense/lab")
        expect(page.locator("h1")).to_have_text("Server not running")
    page.get_by_role("link", name="Go to your home page").click()
    expect(page.get_by_role("heading", name="Your groups")).to_be_visible()


@pytest.mark.parametrize("scripts", [True, False], ids=["with scripts", "without scripts"])
def test_a_double_click_starts_one(visit: Visit, scripts: bool) -> None:
    person = visit("physics-admin", java_script_enabled=scripts)
    title = f"Once {'with' if scripts else 'without'} scripts"
    page = person.choose("Crawl", title)
    page.get_by_label("Start URLs").fill("https://example.org/")
    page.get_by_role("button", name="Start", exact=True).dblclick()
    page.wait_for_url("**/services/portal/w/**")
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    person.home()
    expect(person.workload(title)).to_have_count(1)
    remove(person, title)


def test_a_form_sent_again_after_a_lost_answer_starts_no_second(visit: Visit) -> None:
    """The hub has taken the form, the answer never arrives, and the browser is told to send it again."""
    person = visit("physics-admin")
    page = person.choose("Crawl", "Sent again")
    page.get_by_label("Start URLs").fill("https://example.org/")

    def lose(route: Route) -> None:
        if route.request.method == "POST":
            assert route.fetch(max_redirects=0).status == 303
            route.abort("connectionreset")
        else:
            route.continue_()

    page.route("**/new/physics/crawl", lose)
    with person.may("^request failed: POST"):
        person.start()
        page.wait_for_url("chrome-error://**")
    page.unroute("**/new/physics/crawl")
    page.reload()
    expect(page.get_by_role("heading", name="Sent again")).to_be_visible()
    person.home()
    expect(person.workload("Sent again")).to_have_count(1)
    remove(person, "Sent again")


def remove(person: Person, title: str) -> None:
    page: Page = person.page
    person.workload(title).get_by_role("link", name=title, exact=True).click()
    page.get_by_role("link", name="Stop …").click()
    page.get_by_role("button", name="Stop", exact=True).click()
    page.get_by_role("link", name="Remove from the list …").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_role("heading", name="Your groups")).to_be_visible()
