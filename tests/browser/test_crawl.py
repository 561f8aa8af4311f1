"""A crawl: its schedule while it is typed, a run by hand, the run's log."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.embedded.sites import web_site

Visit = Callable[..., Person]


def test_the_next_five_runs_follow_what_is_typed(visit: Visit) -> None:
    person = visit("physics-admin")
    page = person.choose("Crawl", "Only looking")
    runs = page.locator(".preview li")
    expect(runs).to_have_count(5)
    page.get_by_label("When").fill("")
    page.get_by_label("When").press_sequentially("30 3 * * 1")
    expect(runs.first).to_contain_text("03:30")
    expect(page.locator(".preview")).to_contain_text("Monday")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    expect(runs.first).to_contain_text("18:30")
    page.get_by_role("button", name="Hourly").click()
    expect(page.get_by_label("When")).to_have_value("0 * * * *")
    expect(page.locator(".preview")).not_to_contain_text("Monday")
    expect(runs).to_have_count(5)


def test_a_wrong_expression_is_told_at_its_field(visit: Visit) -> None:
    person = visit("physics-admin")
    page = person.choose("Crawl", "Wrong times")
    page.get_by_label("Start URLs").fill("https://example.org/")
    page.get_by_label("When").fill("61 * * * *")
    expect(page.locator(".preview .text-danger-emphasis")).to_be_visible()
    with person.may("^answer 422: POST"):
        person.start()
        expect(page.get_by_role("alert")).to_contain_text("It was not started")
    field = page.get_by_label("When")
    expect(field).to_have_attribute("aria-invalid", "true")
    described = (field.get_attribute("aria-describedby") or "").split()
    assert any("61" in page.locator(f"#{one}").inner_text() for one in described), "the field's own error says what"
    expect(field).to_have_value("61 * * * *")
    expect(page.get_by_label("Start URLs")).to_have_value("https://example.org/")
    expect(page.get_by_label("Name", exact=True)).to_have_value("Wrong times")
    page.get_by_role("alert").get_by_role("link").first.click()
    expect(field).to_be_focused()


def test_run_now_appears_live_with_counts_and_its_log_opens(visit: Visit) -> None:
    person = visit("physics-admin")
    with web_site(hold=True) as site:
        page = person.choose("Crawl", "Local site")
        page.get_by_label("Start URLs").fill(f"{site.url}/")
        page.get_by_text("More", exact=True).click()
        page.get_by_label("Allow private addresses").check()
        page.get_by_label("Pause between requests").fill("0.1")
        person.start()
        expect(person.status()).to_contain_text("Waiting for its next run")
        expect(person.panel("Schedule")).to_contain_text("Next run")
        page.get_by_role("button", name="Run now").click()
        row = person.panel("Last runs").get_by_role("row").filter(has_text="by hand")
        expect(row).to_contain_text("Running")
        expect(page.get_by_role("region", name="Running now")).to_be_visible()
        person.mark()
        site.release.set()
        expect(row).to_contain_text("Done")
        expect(row).to_contain_text("4 pages")
        assert person.same_document(), "the row came by loading the page again"
    row.get_by_role("link", name="Log").click()
    expect(page.get_by_role("region", name="Log of the run")).to_contain_text(site.url)
    assert "/private/x" not in site.asked, "robots.txt was not obeyed"
