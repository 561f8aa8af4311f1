"""The form says where a home is kept; the page of a running server says what of it is unsaved."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.people import Person

Visit = Callable[..., Person]


def test_a_home_in_the_tenants_remote_is_chosen_shown_and_saved_at_the_stop(visit: Visit) -> None:
    person = visit("physics-member")
    page = person.choose("Notebook", "Kept in the bucket")
    home = page.get_by_label("Home folder")
    expect(home.locator("option")).to_have_text(
        [re.compile("Kept on this machine"), re.compile(r"Kept in Data of Physics \(bucket physics-data\)")]
    )
    expect(home).to_have_value("machine")
    home.select_option("remote:data")
    person.start()
    page.wait_for_url(re.compile(r"/user/physics-member/[^/]+/lab"))
    person.new_notebook()
    person.home()
    person.workload("Kept in the bucket").get_by_role("link", name="Kept in the bucket", exact=True).click()
    panel = person.panel("Home folder")
    expect(panel).to_contain_text("data:physics-data/homes/physics-member/")
    expect(panel).to_contain_text("Kept")
    expect(person.panel("Started with")).to_contain_text("Kept in Data of Physics")
    person.stop()
    expect(panel).to_contain_text("Ended")
    expect(panel).not_to_contain_text("Unsaved")
    (saved,) = (person.hub.state / "objectstore" / "physics").glob("*/homes/physics-member/*/files/Untitled.ipynb")
    assert "nbformat" in saved.read_text()
