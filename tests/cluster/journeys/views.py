"""What the journeys look at in a browser: pictures at two widths, and what somebody of another tenant finds."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import expect

from tests.browser.people import Person
from tests.cluster.journeys import world
from tests.cluster.journeys.place import Place, asked, told

PICTURES = Path(__file__).parents[3] / "build" / "journeys"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
"""CSS pixels of a phone of today."""
API = "/services/portal/api/v1"
_TOO_WIDE = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


def look(person: Person, name: str) -> None:
    """Keep the page as a picture, at a desk's and at a phone's width; at neither has one to scroll sideways."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for device, size in (("phone", PHONE), ("desk", DESK)):
        person.page.set_viewport_size(size)  # type: ignore[arg-type]
        person.page.screenshot(path=PICTURES / f"{name}-{device}.png", full_page=True, timeout=30_000)
        assert person.page.evaluate(_TOO_WIDE) <= 0, f"{name} is wider than a {device}"


def see_nothing(place: Place, stranger: Person, owner: str, name: str, display_name: str) -> None:
    """A member of history finds nothing of a workload of physics: not by pages, not by either API, not by kubectl.

    *owner* and *name* as in its address. Each refusal has a control beside it: the same question about their own.
    """
    page = stranger.home()
    expect(stranger.tenant("History")).to_be_visible()
    text = stranger.all_text()
    for word in ("physics", display_name.lower(), f">{name}<"):
        assert word not in text, f"{word!r} is on the home page of {stranger.name}"
    with stranger.may("^answer 40[34]: GET"):
        for path in (f"w/physics/{owner}/{name}", "new/physics/notebook"):
            stranger.go(f"/services/portal/{path}")
            expect(page.get_by_role("heading", name="Not found")).to_be_visible()
            assert display_name.lower() not in stranger.all_text()
        answer = page.goto(f"{place.url}/user/{owner}/{name}/")
        assert answer is not None
        assert answer.status in (403, 404), f"{page.url}: {answer.status}"
    tenants = told(stranger, f"{API}/tenants")
    assert [tenant["name"] for tenant in tenants] == [world.HISTORY]
    assert told(stranger, f"{API}/tenants/history/workloads") == []
    assert told(stranger, f"/hub/api/users/{stranger.name}")["name"] == stranger.name
    for path in (
        f"{API}/tenants/physics/workloads",
        f"{API}/tenants/physics/workloads/{owner}/{name}",
        f"{API}/tenants/physics/workloads/{owner}/{name}/log",
        f"{API}/tenants/physics/workloads/{owner}/{name}/password",
        f"/hub/api/users/{owner}",
        f"/hub/api/users/{owner}/servers/{name}/progress",
    ):
        answer_of = asked(stranger, path)
        assert answer_of.status in (403, 404), f"{path}: {answer_of.status} {answer_of.text()[:200]}"
        assert display_name not in answer_of.text()
    assert name not in json.dumps(told(stranger, "/hub/api/users/" + stranger.name))
    assert place.may_list_pods(world.MEMBER, of=world.PHYSICS)
    assert not place.may_list_pods(world.STRANGER, of=world.HISTORY)
