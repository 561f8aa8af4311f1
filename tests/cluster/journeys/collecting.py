"""Starting an Instrument upload in the browser, and reading off its page how it is reached."""

from __future__ import annotations

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.cluster.journeys import world
from tests.cluster.journeys.camera import Access
from tests.cluster.journeys.views import look


def collector(person: Person, display_name: str, folder: str) -> tuple[str, list[Access]]:
    """Started by the form; its name, and how its page says that it is reached, by each of its addresses."""
    page = person.choose("Instrument upload", display_name)
    page.get_by_label("Remote").select_option(world.REMOTE)
    page.get_by_label("Folder").fill(folder)
    look(person, "form of a collector")
    person.start()
    expect(person.status()).to_contain_text("Running", timeout=180_000)
    name = person.name_in_url()
    where = person.rows("Address")
    page.get_by_role("button", name="Show password").click()
    expect(page.locator("#password")).not_to_be_empty()
    password = page.locator("#password").inner_text()
    hosts = [where[label] for label in ("Address", "IPv6 address") if label in where]
    return name, [Access(host, int(where["Port"]), where["User"], password) for host in hosts]
