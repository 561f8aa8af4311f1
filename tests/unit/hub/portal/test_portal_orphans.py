"""What the hub forgot, on the pages; and that what is shown may be old."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hub.cluster.portal import behind_words, trusted
from hub.cluster.settings import read
from hub.orphans import may_see
from hub.portal.app import portal_in
from hub.portal.hub_client import HubRefused
from hub.portal.launch import lacking
from hub.portal.shown import Shown
from spawners.kinds.base import Kind
from spawners.runtime import Unreached
from tests.unit.hub.portal.parts import PREFIX, Bench, bench, seen
from tests.unit.spawners.worlds import KINDS, launch, tenant


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, orphans=True) as made:
        made.runtime.add(seen())
        made.runtime.add(seen("physics-member", "lab", "notebook"))
        made.hub.lost = [("tenant-physics", "camera"), ("physics-member", "lab")]
        yield made


def fresh(made: Bench) -> None:
    portal_in(made.client.app).orphans.forget()  # type: ignore[arg-type]


def test_home_and_pages_say_what_the_hub_forgot(cluster: Bench) -> None:
    cluster.sign_in()
    assert cluster.get("").text.count("unknown to the hub") == 2
    unattended = cluster.get("w/physics/tenant-physics/camera").text
    assert "Take it back" in unattended
    assert "Remove …" in unattended
    assert "Stop …" not in unattended
    opened = cluster.get("w/physics/physics-member/lab").text
    assert "Take it back</button>" not in opened
    assert "cannot be opened any more" in opened
    assert "/user/physics-member/lab/" not in opened


def test_one_is_taken_back_and_one_removed(cluster: Bench) -> None:
    csrf = cluster.sign_in()
    back = cluster.post("w/physics/tenant-physics/camera/take-back", {"_csrf": csrf})
    assert back.headers["location"].endswith("?notice=taken-back")
    assert "It was taken back" in cluster.get("w/physics/tenant-physics/camera?notice=taken-back").text
    asked = cluster.get("w/physics/physics-member/lab/remove")
    assert "Remove Lab?" in asked.text
    assert cluster.hub.decided == [("take-back", "physics", "tenant-physics", "camera")]
    cluster.post("w/physics/physics-member/lab/remove", {"_csrf": csrf})
    assert cluster.hub.decided[1:] == [("remove", "physics", "physics-member", "lab")]
    assert "unknown to the hub" not in cluster.get("").text


def test_nothing_is_done_without_the_token_of_the_page(cluster: Bench) -> None:
    cluster.sign_in()
    for act in ("remove", "take-back"):
        assert cluster.post(f"w/physics/tenant-physics/camera/{act}", {"_csrf": "wrong"}).status_code == 403
    assert cluster.hub.decided == []


def test_what_the_hub_refuses_is_told_in_its_words(cluster: Bench) -> None:
    csrf = cluster.sign_in()
    cluster.get("w/physics/tenant-physics/camera")
    cluster.hub.refuse = HubRefused(409, "it ended a moment ago")
    answer = cluster.post("w/physics/tenant-physics/camera/take-back", {"_csrf": csrf})
    assert answer.status_code == 409
    assert "it ended a moment ago" in answer.text


def test_a_hub_that_does_not_say_costs_no_page(cluster: Bench) -> None:
    cluster.sign_in()
    cluster.hub.refuse = HubRefused(500, "no")
    page = cluster.get("")
    assert page.status_code == 200
    assert "Camera" in page.text
    assert "unknown to the hub" not in page.text


def test_the_api_marks_it_and_can_do_what_the_pages_can(cluster: Bench) -> None:
    cluster.runtime.add(seen(name="known"))
    headers, where = cluster.token(), f"{PREFIX}api/v1/tenants/physics/workloads"
    listed = cluster.client.get(where, headers=headers).json()
    assert {one["name"]: one["orphan"] for one in listed} == {"camera": True, "lab": True, "known": False}
    camera, lab, known = (f"{where}/{one}" for one in ("tenant-physics/camera", "physics-member/lab",
        "tenant-physics/known"))  # fmt: skip
    assert cluster.client.get(camera, headers=headers).json()["orphan"] is True
    refused = cluster.client.delete(camera, headers=headers)
    assert refused.status_code == 409
    assert "use remove, which ends it" in refused.json()["message"]
    csrf = cluster.sign_in()
    assert cluster.post("w/physics/tenant-physics/camera/stop", {"_csrf": csrf}).headers["location"].endswith("/camera")
    assert cluster.hub.stopped == []
    for path in (f"{known}/remove", f"{known}/take-back"):
        assert cluster.client.post(path, headers=headers).status_code == 409
    assert cluster.client.post(f"{camera}/take-back", headers=headers).status_code == 202
    assert cluster.client.post(f"{lab}/remove", headers=headers).status_code == 202
    assert [one[0] for one in cluster.hub.decided] == ["take-back", "remove"]
    assert not any(one["orphan"] for one in cluster.client.get(where, headers=headers).json())


def test_what_has_ended_is_no_orphan(cluster: Bench) -> None:
    cluster.sign_in()
    cluster.runtime.add(seen(state="stopped"))
    assert "unknown to the hub" not in cluster.get("w/physics/tenant-physics/camera").text
    assert cluster.get("w/physics/tenant-physics/camera/remove").status_code == 303


def test_one_machine_asks_nobody(portal: Bench) -> None:
    portal.runtime.add(seen())
    portal.hub.lost = [("tenant-physics", "camera")]
    portal.sign_in()
    assert "unknown to the hub" not in portal.get("").text


def test_who_may_see_an_orphan() -> None:
    group = tenant("physics")
    theirs, shared = launch("physics-member", "notebook"), launch("tenant-physics", "crawl", {
        "start_urls": ["https://example.org/"], "remote": "data"})  # fmt: skip
    assert [may_see(group, who, theirs) for who in ("physics-member", "physics-admin", "both-member", "eve")] == [
        True, True, False, False,
    ]  # fmt: skip
    assert may_see(group, "both-member", shared)
    assert not may_see(group, "eve", shared)


# -- what may be old ---------------------------------------------------------------------------------------------------


def test_pages_say_that_they_may_be_old_and_stop_saying_it(portal: Bench) -> None:
    portal.sign_in()
    portal.runtime.add(seen())
    portal.runtime.problem = behind_words(100.0, 117.2)
    for path in ("", "w/physics/tenant-physics/camera"):
        assert "What you see may be 17 seconds old: the cluster does not answer" in portal.get(path).text
    shown = portal.get("live", params={"physics": "", "stale": ""})
    assert 'id="part-stale"' in shown.text
    portal.runtime.problem = behind_words(None, 117.2)
    assert "seconds old" not in portal.get("").text
    assert "seconds old" not in portal.get("live", params={"physics": "", "stale": "x"}).text


def test_a_cluster_that_is_away_is_a_page_that_tries_again(portal: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(*_: Any) -> Any:
        raise Unreached("GET /api/v1/secrets: refused by 10.0.0.1")

    monkeypatch.setattr(portal.runtime, "workload", away)
    portal.sign_in()
    page = portal.get("w/physics/tenant-physics/camera")
    assert page.status_code == 503
    assert "The cluster does not answer just now" in page.text
    assert "tries again by itself" in page.text
    assert "10.0.0.1" not in page.text
    told = portal.get("api/v1/tenants/physics/workloads/tenant-physics/camera", headers=portal.token())
    assert told.status_code == 503
    assert told.headers["retry-after"] == "3"


def test_it_is_ready_once_it_knows_what_runs(portal: Bench) -> None:
    assert portal.get("ready").status_code == 200
    app = portal.client.app
    app.state.portal = replace(app.state.portal, ready=lambda: False)  # type: ignore[attr-defined]
    assert portal.get("ready").status_code == 503
    assert portal.get("health").status_code == 200


# -- small things ------------------------------------------------------------------------------------------------------


def test_on_a_cluster_only_a_kind_made_for_one_machine_lacks_something() -> None:
    class Old(type(KINDS["notebook"])):  # type: ignore[misc]
        kube = Kind.kube

    assert [name for name, kind in KINDS.items() if lacking(kind, None)] == []
    assert "one machine" in (lacking(Old(), None) or "")


def test_whose_headers_are_believed(tmp_path: Path) -> None:
    from tests.unit.spawners.worlds import world

    for name, value in {"portal-token": "a" * 40, "portal-cookie-key": "b" * 64}.items():
        (tmp_path / name).write_text(value)
    env = {
        "TENANTHUB_SECRETS": str(tmp_path),
        "TENANTHUB_CONFIG": str(tmp_path),
        "TENANTHUB_PUBLIC_URL": "http://hub.example.org",
        "TENANTHUB_HUB_CONNECT": "http://hub:8081",
    }
    assert trusted(read("portal", env), world()) == ["127.0.0.1", "::1"]
    told = read("portal", {**env, "TENANTHUB_TRUSTED_PROXIES": "192.0.2.1"})
    assert trusted(told, world()) == ["192.0.2.1/32"]


def test_an_answer_is_asked_for_once_and_a_failure_again() -> None:
    asked: list[str] = []

    async def fail() -> str:
        asked.append("fail")
        raise ValueError

    async def answer() -> str:
        asked.append("answer")
        return "yes"

    async def run() -> list[str]:
        now = 0.0
        shown = Shown(5, lambda: now)
        with pytest.raises(ValueError):  # noqa: PT011  nothing else can raise it
            await shown.get("a", fail)
        both = await asyncio.gather(shown.get("a", answer), shown.get("a", answer))
        now = 6.0
        return [*both, await shown.get("a", answer)]

    assert asyncio.run(run()) == ["yes"] * 3
    assert asked == ["fail", "answer", "answer"]
