"""A crawl on schedule: unattended runs, their rows, their archive."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from warcio.archiveiterator import ArchiveIterator

from tests.embedded.harness import Hub, until
from tests.embedded.sites import Site, web_site

NEVER = "0 0 1 1 *"


@pytest.fixture
def site() -> Iterator[Site]:
    with web_site() as made:
        yield made


def crawl(hub: Hub, name: str, site: Site, **options: Any) -> None:
    asked = {
        "start_urls": [site.url + "/"],
        "remote": "data",
        "folder": f"crawls/{name}",
        "cron": NEVER,
        "allow_private": True,
        "delay_s": 0.1,
        **options,
    }
    answer = hub.launch("physics-admin", "tenant-physics", name, "crawl", asked)
    assert answer.status_code == 201, answer.text


def api(hub: Hub, name: str, what: str, method: str = "GET") -> Any:
    answer = hub.portal("physics-member", method, f"/tenants/physics/workloads/tenant-physics/{name}{what}")
    assert answer.status_code < 300, answer.text
    return answer.json() if answer.content else None


def runs(hub: Hub, name: str) -> list[dict[str, Any]]:
    found = api(hub, name, "/runs")
    rows: list[dict[str, Any]] = found["runs"] if isinstance(found, dict) else found
    return rows


def ended(hub: Hub, name: str, count: int = 1) -> list[dict[str, Any]]:
    def look() -> list[dict[str, Any]]:
        rows = runs(hub, name)
        return rows if len(rows) >= count and all(r["outcome"] != "running" for r in rows) else []

    return until(f"{count} runs of {name} ended", look, 120)


def test_run_now_writes_warc_jsonl_and_manifest_and_obeys_robots(hub: Hub, site: Site) -> None:
    crawl(hub, "archive", site)
    api(hub, "archive", "/run-now", "POST")
    (run,) = ended(hub, "archive")
    assert (run["outcome"], run["trigger"]) == ("ok", "manual")
    assert run["counts"]["pages"] >= 3
    (folder,) = (hub.objects() / "crawls" / "archive").iterdir()
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["outcome"] in ("ok", "finished")
    pages = [json.loads(line) for line in (folder / "pages.jsonl").read_text().splitlines()]
    archived = set()
    for warc in folder.glob("*.warc.gz"):
        with warc.open("rb") as stream:
            archived |= {r.rec_headers["WARC-Target-URI"] for r in ArchiveIterator(stream) if r.rec_type == "response"}
    assert {site.url + path for path in ("/", "/one", "/two")} <= archived
    assert {page["url"] for page in pages} <= archived
    assert "/robots.txt" in site.asked
    assert "/private/x" not in site.asked


def test_the_page_knows_the_next_run(hub: Hub, site: Site) -> None:
    crawl(hub, "yearly", site)
    seen = until("the next run is told", lambda: api(hub, "yearly", "").get("next_run"))
    assert datetime.fromisoformat(seen) == datetime(datetime.now(UTC).year + 1, 1, 1, tzinfo=UTC)


def test_an_overlapping_run_is_skipped_and_shown(hub: Hub) -> None:
    with web_site(hold=True) as slow:
        crawl(hub, "overlap", slow)
        api(hub, "overlap", "/run-now", "POST")
        until("the run hangs in the slow page", lambda: "/slow" in slow.asked)
        answer = hub.portal("physics-member", "POST", "/tenants/physics/workloads/tenant-physics/overlap/run-now")
        assert answer.status_code < 500
        until("the second is shown as skipped", lambda: any(r["outcome"] == "skipped" for r in runs(hub, "overlap")))
        slow.release.set()
        outcomes = sorted(row["outcome"] for row in ended(hub, "overlap", 2))
        assert outcomes == ["ok", "skipped"]


def test_a_stop_in_the_middle_keeps_what_the_run_had(hub: Hub) -> None:
    with web_site(hold=True) as slow:
        crawl(hub, "cut-short", slow)
        api(hub, "cut-short", "/run-now", "POST")
        until("the run hangs in the slow page", lambda: "/slow" in slow.asked and "/one" in slow.asked)
        hub.api("physics-member", "DELETE", "/users/tenant-physics/servers/cut-short")
        (folder,) = until(
            "its archive is stored", lambda: list((hub.objects() / "crawls" / "cut-short").glob("*/manifest.json"))
        )
        assert json.loads(folder.read_text())["outcome"] in ("stopped", "time_limit")
        assert runs(hub, "cut-short")[0]["outcome"] == "stopped"


def test_missed_runs_are_shown_and_caught_up_once(hub: Hub, site: Site) -> None:
    """The machine was off: its keeper is killed, and its memory of the schedule is set back by two days."""
    crawl(hub, "missed", site, cron="0 3 * * *")
    keeper = hub.keeper("tenant-physics", "missed")
    set_back(hub.folder("tenant-physics", "missed"), keeper, days=2)
    rows = ended(hub, "missed", 1)
    triggers = [row["trigger"] for row in rows]
    assert triggers.count("catch-up") == 1, rows
    assert any(row["outcome"] == "missed" for row in rows), rows


def set_back(folder: Path, keeper: dict[str, Any], days: int) -> None:
    """The keeper notes in schedule.json up to when its schedule is dealt with; make it as after days without power."""
    psutil.Process(keeper["keeper"]["pid"]).kill()
    noted = json.loads((folder / "schedule.json").read_text())
    noted["considered"] = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    (folder / "schedule.json").write_text(json.dumps(noted))


@pytest.mark.parametrize("zone", ["Mars/Olympus", "asia/tokio"])
def test_a_zone_that_does_not_exist_is_refused(hub: Hub, site: Site, zone: str) -> None:
    asked = {"start_urls": [site.url], "remote": "data", "timezone": zone}
    answer = hub.launch("physics-admin", "tenant-physics", "nowhere", "crawl", asked)
    assert answer.status_code == 400
    assert "timezone" in answer.json()["message"]
