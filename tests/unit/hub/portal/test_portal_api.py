"""The JSON API gives what the pages give, with the same refusals."""

from __future__ import annotations

from typing import Any

import pytest

from hub.portal.hub_client import HubRefused
from tests.unit.hub.portal.parts import ACCESS, Bench, seen

V1 = "/services/portal/api/v1"
WORKLOADS = f"{V1}/tenants/physics/workloads"
CAMERA = f"{WORKLOADS}/tenant-physics/camera"
START: dict[str, Any] = {"profile": "upload", "name": "camera", "options": {"remote": "data"}}


def test_without_a_token_nothing_is_told(portal: Bench) -> None:
    for headers in ({}, {"Authorization": "token nope"}, {"Authorization": "Basic eA=="}):
        answer = portal.client.get(f"{V1}/tenants", headers=headers)
        assert answer.status_code == 401
        assert answer.json().keys() == {"message", "violations"}


def test_my_tenants_with_quota_and_usage(portal: Bench) -> None:
    portal.runtime.add(seen())
    (mine,) = portal.client.get(f"{V1}/tenants", headers=portal.token()).json()
    assert (mine["name"], mine["role"], mine["account"]) == ("physics", "member", "tenant-physics")
    assert mine["quota"]["workloads"] == 3
    assert mine["usage"] == {"workloads": 1, "cpu": 0.5, "memory": 2**30}


@pytest.mark.parametrize(
    "path",
    ["", "/profiles", "/profiles/crawl/form", "/workloads", "/workloads/tenant-T/x", "/workloads/tenant-T/x/password"],
)
def test_a_tenant_of_others_and_none_at_all_answer_alike(portal: Bench, path: str) -> None:
    headers = portal.token()
    answers = [
        portal.client.get(f"{V1}/tenants/{name}{path.replace('T', name)}", headers=headers)
        for name in ("history", "nope")
    ]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].text.replace("history", "nope") == answers[1].text


def test_profiles_say_what_is_missing_and_forms_are_schemas(portal: Bench) -> None:
    headers = portal.token()
    profiles = {one["name"]: one for one in portal.client.get(f"{V1}/tenants/physics/profiles", headers=headers).json()}
    assert "code-server" in profiles["vscode"]["missing"]
    assert profiles["upload"]["owners"] == ["tenant-physics"]
    assert profiles["own-app"]["owners"] == ["physics-member", "tenant-physics"]
    form = portal.client.get(f"{V1}/tenants/physics/profiles/locked-crawl/form", headers=headers).json()
    assert form["locked"] == ["delay_s"]
    assert form["choices"]["max_pages"] == [10, 20]
    assert form["options"]["properties"]["cron"]["widget"] == "cron"


def test_start_once_then_the_same_then_another(portal: Bench) -> None:
    headers = portal.token()
    answers = [portal.client.post(WORKLOADS, json=START, headers=headers) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["href"] == CAMERA
    assert answers[0].headers["location"] == CAMERA
    assert len(portal.hub.started) == 1
    assert portal.hub.started[0][:3] == ("api-physics-member", "tenant-physics", "camera")


def test_a_name_that_runs_with_other_options_is_a_conflict(portal: Bench) -> None:
    portal.runtime.add(seen(options={"remote": "data", "folder": "else"}))
    answer = portal.client.post(WORKLOADS, json=START, headers=portal.token())
    assert answer.status_code == 409
    assert not portal.hub.started


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"options": {"remote": "nope"}}, "remote"),
        ({"options": {"remote": "data", "bogus": 1}}, "bogus"),
        ({"options": {"remote": "data", "size": "huge"}}, "size"),
        ({"owner": "both-member"}, "owner"),
        ({"name": "Not A Name"}, "name"),
        ({"unknown": 1}, "unknown"),
        ({"display_name": "a\nb"}, "display_name"),
    ],
)
def test_every_violation_names_its_field_and_nothing_starts(portal: Bench, change: dict[str, Any], field: str) -> None:
    answer = portal.client.post(WORKLOADS, json={**START, **change}, headers=portal.token())
    assert answer.status_code == 422
    assert field in [wrong["field"] for wrong in answer.json()["violations"]]
    assert not portal.hub.started


def test_a_locked_option_is_refused(portal: Bench) -> None:
    body = {"profile": "locked-crawl", "options": {"start_urls": ["https://a.org/"], "remote": "data", "delay_s": 1}}
    answer = portal.client.post(WORKLOADS, json=body, headers=portal.token())
    assert answer.status_code == 422
    assert "delay_s" in [wrong["field"] for wrong in answer.json()["violations"]]


def test_a_dry_run_tells_the_quota_and_starts_nothing(portal: Bench) -> None:
    headers = portal.token()
    assert portal.client.post(f"{V1}/tenants/physics/check", json=START, headers=headers).json()["ok"] is True
    for number in range(3):
        portal.runtime.add(seen(name=f"c{number}"))
    told = portal.client.post(f"{V1}/tenants/physics/check", json=START, headers=headers).json()
    assert told["ok"] is False
    assert told["violations"][0]["field"] == "quota"
    assert told["usage"]["workloads"] == 3
    assert portal.client.post(WORKLOADS, json=START, headers=headers).status_code == 422
    assert not portal.hub.started


def test_the_hubs_words_come_through(portal: Bench) -> None:
    portal.hub.refuse = HubRefused(403, "not allowed by the hub")
    answer = portal.client.post(WORKLOADS, json=START, headers=portal.token())
    assert (answer.status_code, answer.json()["message"]) == (422, "not allowed by the hub")
    portal.hub.refuse, portal.hub.down = None, True
    assert portal.client.get(f"{V1}/tenants", headers=portal.token()).status_code == 502


def test_a_token_for_reading_cannot_act_or_read_the_password(portal: Bench) -> None:
    portal.runtime.add(seen(has_password=True))
    reader = portal.token(scopes=frozenset([ACCESS]))
    assert portal.client.get(CAMERA, headers=reader).status_code == 200
    for method, path in (("GET", "/password"), ("DELETE", ""), ("POST", "/run-now"), ("POST", "/forget")):
        assert portal.client.request(method, CAMERA + path, headers=reader).status_code == 403
    assert portal.client.post(WORKLOADS, json={**START, "name": "new"}, headers=reader).status_code == 403
    assert not portal.hub.stopped
    assert not portal.hub.started
    answer = portal.client.get(f"{CAMERA}/password", headers=portal.token())
    assert answer.json() == {"password": portal.runtime.secret}
    assert answer.headers["cache-control"] == "no-store"


def test_another_members_workload_is_listed_with_little(portal: Bench) -> None:
    portal.runtime.add(seen(owner="both-member", name="nb", profile="notebook", message="private", options={"x": 1}))
    (told,) = portal.client.get(WORKLOADS, headers=portal.token()).json()
    assert (told["owner"], told["state"], told["message"], told["options"]) == ("both-member", "running", "", {})
    assert portal.client.get(f"{WORKLOADS}/both-member/nb", headers=portal.token()).status_code == 404


def test_stop_forget_run_now_uploads_runs_logs(portal: Bench) -> None:
    headers = portal.token()
    portal.runtime.add(seen())
    portal.runtime.upload_rows = [{"path": "a"}, {"path": "b"}]
    assert portal.client.delete(CAMERA, headers=headers).status_code == 202
    assert portal.hub.stopped == [("api-physics-member", "tenant-physics", "camera")]
    assert portal.client.post(f"{CAMERA}/run-now", headers=headers).status_code == 202
    assert portal.client.get(f"{CAMERA}/uploads?limit=1", headers=headers).json() == [{"path": "a"}]
    assert portal.client.get(f"{CAMERA}/uploads?limit=0", headers=headers).status_code == 422
    assert portal.client.get(f"{CAMERA}/runs", headers=headers).json() == []
    assert portal.client.get(f"{CAMERA}/runs/2026/log", headers=headers).text == "2026: "
    assert portal.client.get(f"{CAMERA}/runs/..%2fx/log", headers=headers).status_code == 404
    portal.runtime.why_not = "it still runs"
    answer = portal.client.post(f"{CAMERA}/forget", headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (422, "it still runs")


def test_the_schedule_preview(portal: Bench) -> None:
    ask = {"cron": "0 2 * * *", "timezone": "Asia/Tokyo"}
    told = portal.client.get(f"{V1}/schedule/preview", params=ask, headers=portal.token()).json()
    assert told["next_runs"][0] == "2026-11-21T17:00:00Z"
    assert len(told["next_runs"]) == 5
    wrong = portal.client.get(f"{V1}/schedule/preview", params={"cron": "x"}, headers=portal.token()).json()
    assert (wrong["ok"], bool(wrong["errors"])) == (False, True)


def test_a_cookie_works_with_the_csrf_token_only(portal: Bench) -> None:
    csrf = portal.sign_in()
    portal.runtime.add(seen())
    assert portal.client.delete(CAMERA).status_code == 403
    assert portal.client.delete(CAMERA, headers={"X-CSRF-Token": csrf}).status_code == 202


def test_openapi_describes_every_path(portal: Bench) -> None:
    schema = portal.client.get(f"{V1}/openapi.json").json()
    assert all(path.startswith(V1) for path in schema["paths"])
    for methods in schema["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            assert "401" in operation["responses"]
    portal.sign_in()
    html = portal.get("api/").text
    for path in schema["paths"]:
        assert path in html
