"""Sign in; each person's home page shows what is theirs and nothing of others."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import People
from tests.browser.people import Person
from tests.embedded.harness import Hub

Visit = Callable[..., Person]


def test_a_wrong_password_is_told_and_the_right_one_leads_home(visit: Visit) -> None:
    person = visit("physics-member", sign_in=False)
    with person.may(r"^answer 403: POST .*/hub/login"):
        page = person.sign_in(password="not the password")
        expect(page.get_by_role("alert")).to_have_text("Invalid username or password")
    assert page.get_by_label("Username").input_value() == "physics-member"
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


def test_a_card_says_what_this_machine_misses_for_it(
    hubs: Callable[..., Hub], people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folders = [folder for folder in os.environ["PATH"].split(os.pathsep) if not (Path(folder) / "code-server").exists()]
    monkeypatch.setenv("PATH", os.pathsep.join(folders))
    without = hubs().start()
    person = people(without, "physics-member")
    page = person.home()
    card = person.card("VS Code")
    expect(card).to_contain_text("Cannot be started here")
    expect(card).to_contain_text("code-server is not installed")
    expect(card).to_contain_text("make code-server")
    expect(card.get_by_role("link")).to_have_count(0)
    person.go("/services/portal/new/physics/vscode")  # by an old bookmark
    expect(page.get_by_role("alert")).to_contain_text("code-server is not installed")
    expect(page.get_by_role("button", name="Start", exact=True)).to_be_disabled()
    without.stop()
