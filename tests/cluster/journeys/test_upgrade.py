"""The hub and the portal are replaced while a kernel computes and a camera uploads: neither notices."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.people import Person
from tests.cluster.bed import lab
from tests.cluster.bed.lab import Instrument
from tests.cluster.journeys import camera, world
from tests.cluster.journeys.collecting import collector
from tests.cluster.journeys.place import Place
from tests.cluster.journeys.views import look
from tests.cluster.kube import eventually

People = Callable[..., Person]
pytestmark = pytest.mark.timeout(900)  # a safety net on a busy machine; two minutes are usual
COUNT = "import time; [(print(n), time.sleep(.5)) for n in range(100000)]"


@pytest.fixture
def instrument(place: Place) -> Iterator[Instrument]:
    """The camera, on VLAN a."""
    with lab.instrument(place.bed, "a", "camera2", 62) as made:
        yield made


def test_a_new_hub_finds_all_work_going_on(
    place: Place, people: People, instrument: Instrument, tmp_path: Path
) -> None:
    admin, member = people(place, world.ADMIN), people(place, world.MEMBER)
    uploads, accesses = collector(admin, "Night camera", "night")
    notebook = _counting(member)
    before = {name: _lives(place, name) for name in (uploads, notebook)}
    with camera.recording(instrument, accesses[0], "long.fits", tmp_path / "stop") as sent_at_the_end:
        # Her page stays open and goes on asking: a portal, old or new, always answers, if only that the hub is away.
        with admin.may("answer 502: |Response Status Error Code 502 "):
            _replace_hub_and_portal(place, member)
            admin.home()
        (tmp_path / "stop").touch()
        sent = sent_at_the_end()
    assert place.stores[world.PHYSICS].sha256("night/long.fits") == sent["sha256"]
    numbers = _numbers(member)
    assert numbers == list(range(len(numbers))), "words of the kernel were lost"
    assert {name: _lives(place, name) for name in (uploads, notebook)} == before
    admin.home()
    for display_name in ("Night camera", "Counting"):
        expect(admin.workload(display_name)).to_contain_text("Running")
    look(admin, "home after an upgrade")
    admin.workload("Night camera").get_by_role("link", name="Night camera", exact=True).click()
    expect(admin.panel("Last uploads").get_by_role("row").filter(has_text="long.fits")).to_contain_text("Complete")
    admin.stop()
    with member.may("console error|request failed|answer 503"):
        member.go(f"/services/portal/w/physics/{world.MEMBER}/{notebook}")
        member.stop()
    assert place.pods(uploads) == place.pods(notebook) == []


def _replace_hub_and_portal(place: Place, member: Person) -> None:
    """As `helm upgrade` with a new version does; the kernel's words come on before, meanwhile and afterwards."""
    _goes_on(member)
    place.kube.must("rollout", "restart", "deployment/hub", "deployment/portal", f"--namespace={place.namespace}")
    eventually("the old hub is gone", lambda: not place.ready("hub"))
    _goes_on(member)
    for deployment in ("hub", "portal"):
        place.settled(deployment)
    _goes_on(member)


def _goes_on(person: Person) -> None:
    before = max(_numbers(person))
    eventually("the kernel goes on", lambda: max(_numbers(person)) > before + 2)


def _counting(person: Person) -> str:
    """A notebook whose kernel says a number twice a second; the workload's name."""
    page = person.choose("Notebook", "Counting")
    person.start()
    name = person.name_in_url()
    page.wait_for_url(re.compile(rf"/user/{person.name}/{name}/"), timeout=180_000)
    person.new_notebook()
    page.keyboard.type(COUNT)
    page.keyboard.press("Shift+Enter")
    eventually("the kernel counts", lambda: _numbers(person))
    return name


def _numbers(person: Person) -> list[int]:
    """What the kernel has said, as its page shows it."""
    texts = person.page.locator(".jp-OutputArea-output").all_inner_texts()
    return [int(word) for word in " ".join(texts).split()]


def _lives(place: Place, name: str) -> list[tuple[Any, ...]]:
    """What changes when a Pod is made anew or its container is started again."""
    return [
        (pod["metadata"]["uid"], *(one["restartCount"] for one in pod["status"]["containerStatuses"]))
        for pod in place.pods(name)
    ]
