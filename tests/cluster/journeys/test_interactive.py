"""Journey 1: a member of physics works in JupyterLab and in VS Code; a member of history sees none of it."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.people import Person
from tests.cluster.journeys import world
from tests.cluster.journeys.place import Place
from tests.cluster.journeys.views import look, see_nothing

People = Callable[..., Person]
pytestmark = pytest.mark.timeout(900)  # a safety net on a busy machine; two minutes are usual
STEPS = ".start-progress [data-message]"
"""Where the page says what a start does just now."""


def start(person: Person, card: str, display_name: str) -> str:
    """By the form, with the steps of the start watched; the workload's name. The browser is then in the server."""
    person.watch(STEPS)
    page = person.choose(card, display_name)
    look(person, f"form {card}")
    person.start()
    name = person.name_in_url()
    page.wait_for_url(re.compile(rf"/user/{person.name}/{name}/"), timeout=180_000)
    return name


def test_a_cell_runs_in_jupyterlab_on_physics_own_worker(place: Place, people: People) -> None:
    person = people(place, world.MEMBER)
    name = start(person, "Notebook", "Laser study")
    page = person.page
    cell = person.new_notebook()
    # Asked of the machine that the cell runs on: the Pod's own name is its host's.
    page.keyboard.type("import socket; socket.gethostname(), 6 * 7")
    expect(cell).to_contain_text("6 * 7")
    page.keyboard.press("Shift+Enter")
    output = page.locator(".jp-OutputArea-output").first
    expect(output).to_contain_text("42")
    look(person, "jupyterlab")

    [pod] = place.pods(name)
    place.placed(pod)
    assert pod["metadata"]["name"] in output.inner_text()

    person.home()
    look(person, "home with a notebook")
    person.workload("Laser study").get_by_role("link", name="Laser study", exact=True).click()
    expect(person.status()).to_contain_text("Running")
    look(person, "page of a notebook")
    steps = person.shown(STEPS)
    assert len(steps) > 1, f"a start that only says {steps}"
    see_nothing(place, people(place, world.STRANGER), world.MEMBER, name, "Laser study")
    person.stop()
    assert place.pods(name) == []


def test_vs_code_opens_a_file_on_physics_own_worker(place: Place, people: People) -> None:
    person = people(place, world.MEMBER)
    name = start(person, "VS Code", "Spectral lines")
    page = person.page
    expect(page.locator(".monaco-workbench")).to_be_visible()
    [pod] = place.pods(name)
    place.placed(pod)
    expect(page.get_by_role("tab", name=re.compile("Explorer")).first).to_be_visible()
    page.keyboard.press("F1")
    page.keyboard.type("Terminal: Create New Terminal")
    expect(page.get_by_role("option", name=re.compile("Terminal: Create New Terminal")).first).to_be_visible()
    page.keyboard.press("Enter")
    terminal = page.locator(".terminal.xterm")
    expect(terminal).to_be_visible()
    terminal.click()
    # What a terminal says is drawn as a picture: so it goes into a file, and the file is opened beside it.
    page.keyboard.type("hostname > whose.txt && code-server --reuse-window whose.txt\n")
    expect(page.locator(".monaco-editor .view-lines").first).to_contain_text(pod["metadata"]["name"])
    look(person, "vs code")

    person.home()
    person.workload("Spectral lines").get_by_role("link", name="See page").click()
    see_nothing(place, people(place, world.STRANGER), world.MEMBER, name, "Spectral lines")
    person.stop()
    assert place.pods(name) == []
