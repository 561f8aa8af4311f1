"""Journey 3: physics' admin schedules a Crawl; it runs twice by itself, and there is no hub in between."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from warcio.archiveiterator import ArchiveIterator  # type: ignore[import-untyped]  # warcio ships no types

from tests.browser.people import Person
from tests.cluster.journeys import world
from tests.cluster.journeys.place import PATIENCE_S, Place, told
from tests.cluster.journeys.store import Store
from tests.cluster.journeys.views import API, look, see_nothing
from tests.cluster.kube import eventually
from tests.embedded.sites import Site, web_site

People = Callable[..., Person]
pytestmark = pytest.mark.timeout(900)  # a safety net on a busy machine; two minutes are usual
FOLDER = "crawls"
PAGES = {"/", "/one", "/two", "/slow"}
"""Of the site, without what its robots.txt forbids."""


@pytest.fixture
def site(place: Place) -> Iterator[Site]:
    with web_site(host=str(place.bed.host[0])) as made:
        yield made


def test_a_crawl_runs_by_itself_also_without_a_hub(place: Place, people: People, site: Site) -> None:
    person = people(place, world.ADMIN)
    name = _scheduled(person, site)
    store = place.stores[world.PHYSICS]
    first, *_ = _runs(store, 1)
    [pod, *_] = place.objects("pods", name)
    place.placed(pod)

    # Her page stays open and goes on asking: it is told that the hub is away.
    with person.may("answer 50[234]: |request failed: |Response Status Error Code 50[234] "):
        place.scale("hub", 0)
        there = _runs(store, 1)
        runs = _runs(store, len(there) + 1)
        person.go(f"/services/portal/w/physics/tenant-physics/{name}")
        expect(person.page.get_by_role("heading", name="The hub is being restarted")).to_be_visible()
        look(person, "page of a crawl without a hub")
        place.scale("hub", 1)
        person.home()

    for run in runs:
        _whole(store, run, site)
    assert first in runs
    assert not any(path.startswith("/private") for path in site.asked), "robots.txt was not obeyed"

    page = person.page
    expect(person.workload("News of the lab")).to_contain_text("Waiting for its next run")
    person.workload("News of the lab").get_by_role("link", name="News of the lab", exact=True).click()
    rows = person.panel("Last runs").get_by_role("row").filter(has_text="by schedule").filter(has_text="Done")
    expect(rows.filter(has_text="4 pages").nth(len(runs) - 1)).to_be_visible()
    expect(person.panel("Last runs")).not_to_contain_text("Missed")
    expect(person.panel("Schedule")).to_contain_text("Next run")
    look(person, "page of a crawl that ran without a hub")
    listed = told(person, f"{API}/tenants/physics/workloads/tenant-physics/{name}/runs")
    assert [run["outcome"] for run in listed[-len(runs) :]] == ["ok"] * len(runs), listed
    rows.last.get_by_role("link", name="Log").click()
    expect(page.get_by_role("region", name="Log of the run")).to_contain_text(site.url)
    look(person, "log of a run")
    see_nothing(place, people(place, world.STRANGER), "tenant-physics", name, "News of the lab")
    person.go(f"/services/portal/w/physics/tenant-physics/{name}")
    person.stop()


def _scheduled(person: Person, site: Site) -> str:
    """A crawl each minute, by the form; the workload's name."""
    page = person.choose("Crawl", "News of the lab")
    page.get_by_label("Start URLs").fill(f"{site.url}/")
    page.get_by_label("When").fill("* * * * *")
    page.get_by_label("Time zone").fill("Asia/Tokyo")
    page.get_by_label("Remote").select_option(world.REMOTE)
    page.get_by_label("Folder").fill(FOLDER)
    page.get_by_text("More", exact=True).click()
    page.get_by_label("Allow private addresses").check()
    page.get_by_label("Pause between requests").fill("0.1")
    expect(page.locator(".preview li")).to_have_count(5)
    look(person, "form of a crawl")
    person.start()
    expect(person.status()).to_contain_text("Waiting for its next run", timeout=180_000)
    return person.name_in_url()


def _runs(store: Store, count: int) -> list[str]:
    """Folders of at least so many whole runs, the oldest first: those that have a manifest (docs/crawler.md)."""

    def look_for() -> list[str]:
        names = sorted(name.partition("/")[0] for name in store.names(FOLDER) if name.endswith("/manifest.json"))
        return names if len(names) >= count else []

    return eventually(f"{count} runs in object storage", look_for, patience_s=PATIENCE_S)


def _whole(store: Store, run: str, site: Site) -> None:
    """Manifest, WARC and JSONL of a run fit each other and the site."""
    folder: Path = store.objects / FOLDER / run
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    assert (manifest["outcome"], manifest["reason"]) == ("ok", "finished"), manifest
    files = {one["name"]: one for one in manifest["files"]}
    assert set(files) == store.names(f"{FOLDER}/{run}") - {"manifest.json"}
    for file, one in files.items():
        content = (folder / file).read_bytes()
        assert (one["size"], one["sha256"]) == (len(content), hashlib.sha256(content).hexdigest()), file
    rows = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]
    assert {row["url"].removeprefix(site.url) for row in rows} == PAGES
    [warc] = [file for file in files if file.endswith(".warc.gz")]
    with (folder / warc).open("rb") as stream:
        kept = {
            record.rec_headers["WARC-Target-URI"] for record in ArchiveIterator(stream) if record.rec_type == "response"
        }
    assert {f"{site.url}{path}" for path in PAGES} <= kept
