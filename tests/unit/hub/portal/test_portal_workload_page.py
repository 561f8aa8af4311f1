"""The page of one workload: its panels, what changes by itself, and what can be done there."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from hub.portal.hub_client import CHECKING, HubChecking, HubRefused
from spawners.runtime import RunSeen
from tests.unit.hub.portal.parts import PREFIX, Bench, seen
from tests.unit.spawners.worlds import tenant, world

CAMERA = "w/physics/tenant-physics/camera"
HOSTILE = '"><script>alert(1)</script>'


def test_the_password_is_on_no_page_until_it_is_asked_for(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.runtime.add(seen(has_password=True))
    for path in (CAMERA, f"{CAMERA}/live?phase=live"):
        assert portal.runtime.secret not in portal.get(path).text
    answer = portal.post(f"{CAMERA}/password", {}, headers={"HX-Request": "true", "X-CSRF-Token": csrf})
    assert portal.runtime.secret in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "<html" not in answer.text
    assert "<html" in portal.post(f"{CAMERA}/password", {"_csrf": csrf}).text
    assert portal.get(f"{CAMERA}/password").headers["location"].endswith(CAMERA)


def test_uploads_complete_and_incomplete_differ_in_words(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen())
    portal.runtime.upload_rows = [
        {
            "path": HOSTILE,
            "bytes": 1536,
            "time": "2026-11-21T10:00:00Z",
            "source": "192.0.2.7",
            "outcome": "incomplete",
        },
        {"path": "a.tif", "bytes": 10, "time": "2026-11-21T10:00:00Z", "source": "192.0.2.7", "outcome": "stored"},
    ]
    html = portal.get(CAMERA).text
    assert "Incomplete" in html
    assert "Complete" in html
    assert "1.5 KiB" in html
    assert "192.0.2.7" in html
    assert "<script>alert" not in html


def test_live_parts_are_sent_only_where_they_changed(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen())
    html = portal.get(CAMERA).text
    shown = dict(re.findall(r'class="seen" name="([^"]+)" value="([^"]+)"', html))
    assert {"status", "uploads", "log"} <= shown.keys()
    assert portal.get(f"{CAMERA}/live", params={"phase": "live", **shown}).status_code == 204
    portal.runtime.upload_rows = [{"path": "new.tif", "outcome": "stored"}]
    answer = portal.get(f"{CAMERA}/live", params={"phase": "live", **shown})
    assert "new.tif" in answer.text
    assert answer.text.count("hx-swap-oob") == 1
    portal.runtime.add(seen(state="failed"))
    assert portal.get(f"{CAMERA}/live", params={"phase": "live", **shown}).headers["hx-refresh"] == "true"


def test_home_refreshes_only_what_changed(portal: Bench) -> None:
    portal.sign_in()
    shown = dict(re.findall(r'class="seen" name="([^"]+)" value="([^"]+)"', portal.get("").text))
    assert portal.get("live", params=shown).status_code == 204
    portal.runtime.add(seen())
    assert "Camera" in portal.get("live", params=shown).text


def test_a_schedule_shows_its_next_runs_and_a_run_its_log(portal: Bench) -> None:
    csrf = portal.sign_in()
    options = {"cron": "30 2 * * *", "timezone": "Asia/Tokyo", "start_urls": ["https://example.org/"]}
    next_run = datetime(2026, 11, 21, 17, 30, tzinfo=UTC)
    portal.runtime.add(seen(name="news", profile="crawl", state="scheduled", options=options, next_run=next_run))
    run = {"id": "20261121T101500Z", "trigger": "manual", "started": next_run, "outcome": "time-limit"}
    portal.runtime.run_rows = [RunSeen(**run, counts={"pages": 12, "bytes": 2048})]
    portal.runtime.log_text = "\x1b[31mred\x1b[0m <i>"
    html = portal.get("w/physics/tenant-physics/news").text
    assert "at 02:30 every day, Asia/Tokyo" in html
    assert "2026-11-21 17:30 UTC" in html
    assert "2026-11-25 17:30 UTC" in html
    assert "Stopped at its time limit" in html
    assert "12 pages, 2 KiB" in html
    log = portal.get("w/physics/tenant-physics/news/runs/20261121T101500Z").text
    assert "20261121T101500Z: red &lt;i&gt;" in log
    for wrong in ("..%2f..%2fsecrets", "20991121T101500Z", "%2e%2e"):
        assert portal.get(f"w/physics/tenant-physics/news/runs/{wrong}").status_code == 404
    assert portal.post("w/physics/tenant-physics/news/run-now", {"_csrf": csrf}).status_code == 303
    portal.runtime.why_not = "a run is under way already"
    answer = portal.post("w/physics/tenant-physics/news/run-now", {"_csrf": csrf})
    assert (answer.status_code, "a run is under way already" in answer.text) == (409, True)
    assert portal.runtime.acted == [("run-now", "news")]


def test_a_stop_is_explained_before_it_is_done(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.runtime.add(seen(address="127.20.0.2"))
    assert "Instruments can no longer upload to 127.20.0.2" in portal.get(f"{CAMERA}/stop").text
    portal.hub.refuse = HubRefused(400, "it is pending spawn")
    answer = portal.post(f"{CAMERA}/stop", {"_csrf": csrf})
    assert (answer.status_code, "it is pending spawn" in answer.text) == (409, True)


def test_a_hub_that_still_looks_at_the_server_is_no_failure(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.runtime.add(seen())
    portal.hub.refuse = HubChecking()
    page = portal.post(f"{CAMERA}/stop", {"_csrf": csrf})
    assert page.status_code == 503
    assert "The hub has just been started and is still looking at this server; try again in a minute" in page.text
    assert "Send it again" in page.text
    assert "what you typed" not in page.text
    here = f"{PREFIX}api/v1/tenants/physics/workloads/tenant-physics/camera"
    told = portal.client.delete(here, headers=portal.token())
    assert (told.status_code, told.json()["message"]) == (503, CHECKING)
    assert "retry-after" in told.headers
    portal.hub.refuse = None
    assert portal.post(f"{CAMERA}/stop", {"_csrf": csrf}).status_code == 303
    assert len(portal.hub.stopped) == 1


def test_a_profile_that_was_removed_is_told_and_the_workload_goes_on(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen())
    here = world()
    portal.worlds.here = replace(here, tenants={**here.tenants, "physics": tenant("physics", profiles=["notebook"])})
    html = portal.get(CAMERA).text
    assert "Physics may no longer use" in html or "physics may no longer use" in html
    assert "goes on as it was started" in html
    assert "/stop" in html


def test_progress_of_a_start_is_streamed_without_the_hubs_markup(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.hub.events = [
        {"progress": 40, "message": "Starting", "html_message": "<script>"},
        {"progress": 100, "ready": True, "url": "/user/x"},
    ]
    path = "w/physics/physics-member/nb/progress"
    answer = portal.get(path, headers={"X-CSRF-Token": csrf, "sec-fetch-mode": "cors", "sec-fetch-site": "same-origin"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert '"progress": 40' in answer.text
    assert "script" not in answer.text
    assert portal.get("w/physics/both-member/nb/progress").status_code == 404


def test_just_after_a_start_the_page_waits_for_the_record(portal: Bench) -> None:
    portal.sign_in()
    assert "being started" in portal.get("w/physics/physics-member/nb-abcde?started=1").text
    assert portal.get("w/physics/physics-member/nb-abcde").status_code == 404
    assert portal.get("w/physics/both-member/nb-abcde?started=1").status_code == 404
