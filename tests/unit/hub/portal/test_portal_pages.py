"""What the pages show and do."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest

from hub.portal.hub_client import HubDown, HubRefused
from tests.unit.hub.portal.parts import Bench, seen

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
