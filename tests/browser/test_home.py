"""Sign in; each person's home page shows what is theirs and nothing of others."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person

Visit = Callable[..., Person]


def test_a_wrong_password_is_told_and_the_right_one_leads_home(visit: Visit) -> None:
    person = visit("physics-member", sign_in=False)
    with person.may(r"^answer 403: POST .*/hub/login"):
        page = person.sign_in(password="not the password")
        expect(page.get_by_text("Invalid username or password")).to_be_visible()
    assert page.get_by_label("Username:", exact=True).input_value() == "physics-member"
    person.sign_in()
    expect(page.get_by_role("heading", name="Your groups")).to_be_visible()
    expect(page.get_by_text("Signed in as physics-member")).to_be_attached()


def test_a_member_sees_the_own_tenants_cards_and_nothing_of_the_other(visit: Visit) -> None:
    physics = visit("physics-member")
    physics.home()
    for title in ("Notebook", "VS Code", "Instrument upload", "Crawl", "Transfer", "Own app"):
        expect(physics.card(title)).to_be_visible()
    assert "history" not in physics.all_text()
    history = visit("history-member")
    history.home()
    expect(history.card("Notebook", "History")).to_be_visible()
    expect(history.card("Own app", "History")).to_have_count(0)
    assert "physics" not in history.all_text()


def test_who_belongs_to_both_sees_both(visit: Visit) -> None:
    both = visit("both-member")
    both.home()
    expect(both.card("Own app", "Physics")).to_be_visible()
    expect(both.card("Crawl", "History")).to_be_visible()
