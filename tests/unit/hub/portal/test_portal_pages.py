"""What the pages show and do."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from typing import Any

import pytest

from hub.portal.hub_client import HubDown, HubRefused
from spawners.runtime import RunSeen
from tests.unit.hub.portal.parts import Bench, seen
from tests.unit.spawners.worlds import tenant, world

CAMERA = "w/physics/tenant-physics/camera"
UPLOAD = {
    "_name": "upload-abcde",
    "_display_name": "Camera",
    "_owner": "tenant-physics",
    "remote": "data",
    "size": "small",
}
HOSTILE = '"><script>alert(1)</script>'


class Fields(HTMLParser):
    """Values of a page's inputs by name."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.values: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("type") in ("hidden", "text", "number") and found.get("name"):
            self.values[str(found["name"])] = found.get("value") or ""


def test_home_shows_my_tenant_its_quota_and_its_cards_and_nothing_of_others(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen(address="127.20.0.2", endpoints=(("Address", "127.20.0.2"), ("Port", "2121"))))
    html = portal.get("").text
    assert "1 of 3 workloads" in html
    assert "0.5 of 6 CPU" in html
    assert "127.20.0.2:2121" in html
    assert "/services/portal/new/physics/notebook" in html
    assert "History" not in html
    assert "/history" not in html


def test_a_card_says_what_is_missing_and_is_no_link(portal: Bench) -> None:
    portal.sign_in()
    html = portal.get("").text
    assert "make code-server" in html
    assert "new/physics/vscode" not in html


def test_a_user_in_no_tenant_is_told_whom_to_ask(portal: Bench) -> None:
    portal.sign_in("nobody")
    html = portal.get("").text
    assert "do not belong to a group yet" in html
    assert "<strong>nobody</strong>" in html


def test_a_failed_launch_stays_listed_with_its_reason_and_ways_on(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen(state="failed", message="the address is taken"))
    html = portal.get("").text
    assert "the address is taken" in html
    assert "Start again" in html
    assert f"{CAMERA}/forget" in html
    assert "0 of 3 workloads" in html


def test_another_members_notebook_is_counted_but_not_opened(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen(owner="both-member", name="nb", profile="notebook", message="secret reason"))
    html = portal.get("").text
    assert "of both-member" in html
    assert "secret reason" not in html
    assert "w/physics/both-member/nb" not in html
    assert portal.get("w/physics/both-member/nb").status_code == 404


def test_an_admin_looks_at_a_members_notebook_but_does_not_act(portal: Bench) -> None:
    csrf = portal.sign_in("physics-admin")
    portal.runtime.add(seen(owner="both-member", name="nb", profile="notebook"))
    page = portal.get("w/physics/both-member/nb")
    assert page.status_code == 200
    assert "/stop" not in page.text
    assert "/user/both-member/nb/" not in page.text
    assert portal.post("w/physics/both-member/nb/stop", {"_csrf": csrf}).status_code == 403
    assert not portal.hub.stopped


@pytest.mark.parametrize(
    "path", ["w/history/tenant-history/x", "w/nope/tenant-nope/x", "new/history/crawl", "new/nope/crawl"]
)
def test_strangers_and_what_is_not_there_read_the_same(portal: Bench, path: str) -> None:
    portal.sign_in()
    answer = portal.get(path)
    assert answer.status_code == 404
    name = path.split("/")[1]
    assert f"You do not belong to a tenant called &#39;{name}&#39;" in answer.text


def test_the_form_fixes_a_server_name_and_every_field_has_a_label(portal: Bench) -> None:
    portal.sign_in()
    html = portal.get("new/physics/upload").text
    name = Fields(html).values["_name"]
    assert re.fullmatch(r"upload-[a-z0-9]{5}", name)
    ids = set(re.findall(r'<(?:input|select|textarea)[^>]* id="(f-[^"]+)"', html))
    labels = set(re.findall(r'<label[^>]* for="([^"]+)"', html))
    assert ids
    assert ids <= labels
    described = {one for group in re.findall(r'aria-describedby="([^"]+)"', html) for one in group.split()}
    assert described <= set(re.findall(r' id="([^"]+)"', html))


def test_a_start_goes_to_the_hub_with_the_persons_own_token(portal: Bench) -> None:
    csrf = portal.sign_in()
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf, "folder": "raw"})
    assert answer.headers["location"] == "/services/portal/w/physics/tenant-physics/upload-abcde?started=1"
    ((token, owner, name, display, options),) = portal.hub.started
    assert (token, owner, name, display) == ("token-physics-member", "tenant-physics", "upload-abcde", "Camera")
    assert options["tenant"], options["profile"] == ("physics", "upload")
    assert options["options"]["folder"] == "raw"


def test_the_same_form_sent_twice_starts_it_once(portal: Bench) -> None:
    csrf = portal.sign_in()
    for _ in range(2):
        answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf})
        assert answer.status_code == 303
    assert answer.headers["location"].endswith("?notice=again")
    assert len(portal.hub.started) == 1


def test_what_is_wrong_is_told_at_its_field_and_what_was_typed_is_kept(portal: Bench) -> None:
    csrf = portal.sign_in()
    answer = portal.post(
        "new/physics/upload", {**UPLOAD, "_csrf": csrf, "folder": "../" + HOSTILE, "username": "Bad Name"}
    )
    assert answer.status_code == 422
    assert not portal.hub.started
    html = answer.text
    assert 'href="#f-folder"' in html
    assert 'id="f-folder-e1"' in html
    assert html.count('aria-invalid="true"') == 2
    values = Fields(html).values
    assert (values["folder"], values["username"], values["_name"]) == ("../" + HOSTILE, "Bad Name", "upload-abcde")
    assert "<script>alert" not in html


def test_an_emptied_field_stays_empty_when_the_form_comes_back(portal: Bench) -> None:
    csrf = portal.sign_in()
    html = portal.post("new/physics/crawl", {**UPLOAD, "_csrf": csrf, "folder": "", "start_urls": "x"}).text
    assert Fields(html).values["folder"] == ""


def test_the_hubs_refusal_is_shown_at_the_form(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.hub.refuse = HubRefused(409, "quota: somebody was faster <b>")
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf, "folder": "raw"})
    assert answer.status_code == 422
    assert "quota: somebody was faster &lt;b&gt;" in answer.text
    assert Fields(answer.text).values["folder"] == "raw"


def test_a_refusal_of_what_runs_already_leads_to_its_page(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.hub.refuse = HubRefused(400, "is already running")
    asked = iter([[], [], [seen(name="upload-abcde")]])
    portal.runtime.workloads = lambda tenant: next(asked)  # type: ignore[method-assign]
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf})
    assert answer.headers["location"].endswith("upload-abcde?notice=again")


def test_while_the_hub_is_away_the_form_keeps_everything(portal: Bench) -> None:
    csrf = portal.sign_in()

    async def down(*_: Any) -> bool:
        raise HubDown("away")

    portal.hub.start = down  # type: ignore[method-assign]
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf, "folder": "kept"})
    assert answer.status_code == 502
    assert Fields(answer.text).values["folder"] == "kept"
    assert "Nothing was started" in answer.text


def test_a_form_that_comes_while_nobody_can_be_identified_can_be_sent_again(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.hub.down = True
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf, "folder": HOSTILE})
    assert answer.status_code == 502
    assert Fields(answer.text).values == {**UPLOAD, "_csrf": csrf, "folder": HOSTILE}
    portal.hub.down = False
    again = {**Fields(answer.text).values, "folder": "raw"}
    assert portal.post("new/physics/upload", again).status_code == 303


def test_while_the_hub_is_away_a_page_retries_by_itself(portal: Bench) -> None:
    portal.sign_in()
    portal.hub.down = True
    answer = portal.get("")
    assert answer.status_code == 502
    assert answer.headers["retry-after"] == "3"
    assert '<meta http-equiv="refresh" content="3">' in answer.text


def test_quota_is_told_before_a_start_and_refused_at_it(portal: Bench) -> None:
    csrf = portal.sign_in()
    assert "1 of 3 workloads" in portal.get("fit/physics/upload?size=small").text
    for number in range(3):
        portal.runtime.add(seen(name=f"c{number}"))
    html = portal.get("fit/physics/upload?size=small").text
    assert "Does not fit: physics runs 3 of 3 workloads" in html
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf})
    assert answer.status_code == 422
    assert "physics runs 3 of 3 workloads" in answer.text
    assert not portal.hub.started


def test_nobody_starts_for_somebody_else(portal: Bench) -> None:
    csrf = portal.sign_in()
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf, "_owner": "both-member"})
    assert answer.status_code == 422
    assert "both-member is neither you nor tenant-physics" in answer.text
    assert not portal.hub.started


@pytest.mark.parametrize("name", ["", " ", "x" * 81, "a\u0007b"])
def test_a_display_name_is_needed(portal: Bench, name: str) -> None:
    csrf = portal.sign_in()
    answer = portal.post("new/physics/upload", {**UPLOAD, "_csrf": csrf, "_display_name": name})
    assert answer.status_code == 422
    assert "#f-display_name" in answer.text


def test_start_again_fills_the_form_and_takes_the_old_place(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen(state="failed", options={"folder": "microscope", "gone": 1}, display_name="Old camera"))
    html = portal.get("new/physics/upload?from=tenant-physics/camera").text
    values = Fields(html).values
    assert (values["folder"], values["_name"], values["_display_name"]) == ("microscope", "camera", "Old camera")
    portal.runtime.add(seen(state="running"))
    html = portal.get("new/physics/upload?from=tenant-physics/camera").text
    assert Fields(html).values["_name"] != "camera"


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


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_unattended_servers_url_leads_to_its_page_also_without_a_session(portal: Bench, method: str) -> None:
    for rest in ("", "/", "/api", "/deep/er?x=1"):
        answer = portal.client.request(method, f"/user/tenant-physics/camera{rest}", follow_redirects=False)
        assert answer.status_code == 302
        assert answer.headers["location"] == f"/services/portal/{CAMERA}"
        assert answer.headers["x-jupyterhub-version"]
    answer = portal.client.get("/user/physics-member/x/", follow_redirects=False)
    assert answer.headers["location"] == "/services/portal/u/physics-member/x"


def test_problems_of_the_world_are_for_those_who_mend_them(portal: Bench) -> None:
    portal.worlds.problems = ("tenants/physics.yaml:3: no such field",)
    portal.sign_in("physics-admin")
    assert "tenants/physics.yaml:3" in portal.get("").text
    portal.sign_in("physics-member")
    assert "tenants/physics.yaml:3" not in portal.get("").text


def test_a_mistake_of_ours_shows_a_number_and_no_traceback(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.workloads = lambda tenant: 1 / 0  # type: ignore[method-assign,assignment,return-value]
    answer = portal.get("")
    assert answer.status_code == 500
    assert re.search(r"the number [0-9a-f]{8}", answer.text)
    assert "ZeroDivision" not in answer.text
    assert "Traceback" not in answer.text


def test_the_hub_is_asked_once_a_page(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen())
    before = portal.hub.asked
    portal.get(CAMERA)
    assert portal.hub.asked == before + 1


def test_a_schedule_is_explained_while_it_is_typed(portal: Bench) -> None:
    csrf = portal.sign_in()
    headers = {"HX-Request": "true", "X-CSRF-Token": csrf}
    ask = {"cron_field": "cron", "zone_field": "timezone", "cron": "0 2 * * *", "timezone": "Asia/Tokyo"}
    html = portal.get("schedule-preview", params=ask, headers=headers).text
    assert html.count("<time") == 5
    assert "2026-11-21 17:00 UTC" in html
    html = portal.get("schedule-preview", params={**ask, "cron": HOSTILE}, headers=headers).text
    assert "<script>alert" not in html
    assert "circle-exclamation" in html
    assert "No schedule yet" in portal.get("schedule-preview", params={**ask, "cron": ""}, headers=headers).text
