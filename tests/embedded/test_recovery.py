"""Hub, proxy, portal, keepers, object store may die at any moment: workloads go on, nothing doubles or vanishes."""

from __future__ import annotations

import ftplib
import io
import json
from typing import Any

import httpx
import psutil

from tests.embedded.harness import Hub, until


def upload(hub: Hub, address: str, password: str, name: str) -> None:
    with ftplib.FTP() as ftp:
        ftp.connect(address, 2121, timeout=30)
        ftp.login("instrument", password)
        assert ftp.storbinary(f"STOR {name}", io.BytesIO(name.encode())).startswith("226")
    assert (hub.objects() / "camera" / name).read_text() == name


def start_all(hub: Hub) -> dict[str, Any]:
    upload_to: dict[str, Any] = {"remote": "data", "folder": "camera"}
    crawl = {"start_urls": ["http://127.0.0.1:9/"], "remote": "data", "cron": "0 0 1 1 *"}
    for user, owner, name, profile, options in (
        ("physics-admin", "tenant-physics", "camera", "instrument-upload", upload_to),
        ("physics-admin", "tenant-physics", "yearly", "crawl", crawl),
        ("physics-member", "physics-member", "lab", "notebook", {}),
    ):
        answer = hub.launch(user, owner, name, profile, options)
        assert answer.status_code == 201, answer.text
    assert lab_answers(hub), "an open session: the notebook server knows who it is and need not ask the hub"
    return {
        "camera": hub.keeper("tenant-physics", "camera")["child"],
        "yearly": hub.keeper("tenant-physics", "yearly")["keeper"],
        "lab": hub.record("physics-member", "lab")["process"],
        "address": hub.record("tenant-physics", "camera")["address"],
        "password": hub.password("tenant-physics", "camera"),
        "next": hub.keeper("tenant-physics", "yearly")["next_run"],
    }


def same_as(hub: Hub, before: dict[str, Any]) -> None:
    """The very same processes, address, password and schedule."""
    assert hub.keeper("tenant-physics", "camera")["child"] == before["camera"]
    assert hub.keeper("tenant-physics", "yearly")["keeper"] == before["yearly"]
    assert hub.record("physics-member", "lab")["process"] == before["lab"]
    assert hub.record("tenant-physics", "camera")["address"] == before["address"]
    assert hub.password("tenant-physics", "camera") == before["password"]
    assert hub.keeper("tenant-physics", "yearly")["next_run"] == before["next"]


def all_known(hub: Hub) -> None:
    """The hub knows all three and leads to them."""
    until("the collector is known", lambda: hub.server("physics-member", "tenant-physics", "camera"))
    until("the crawl is known", lambda: hub.server("physics-member", "tenant-physics", "yearly"))
    until("the notebook is known", lambda: hub.server("physics-member", "physics-member", "lab"))
    until("the notebook answers", lambda: lab_answers(hub))


def lab_answers(hub: Hub) -> bool:
    import httpx

    headers = {"Authorization": f"token {hub.token('physics-member')}"}
    try:
        answer = httpx.get(f"{hub.url}/user/physics-member/lab/api/status", headers=headers, trust_env=False)
    except httpx.HTTPError:
        return False
    return answer.status_code == 200


def test_kill_9_of_the_hub_alone(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    old = hub.part("hub.app")
    old.kill()
    upload(hub, before["address"], before["password"], "while-away.dat")
    assert lab_answers(hub), "the proxy goes on while the hub is away"
    until("another hub is started", lambda: _other(hub, old.pid))
    until("it answers", lambda: _answers(hub), 60)
    all_known(hub)
    same_as(hub, before)
    upload(hub, before["address"], before["password"], "afterwards.dat")


def _other(hub: Hub, pid: int) -> bool:
    try:
        return hub.part("hub.app").pid != pid
    except (StopIteration, psutil.Error):
        return False


def _answers(hub: Hub) -> bool:
    try:
        return hub.api("physics-member", "GET", "/user").status_code == 200
    except httpx.HTTPError:
        return False


def test_kill_9_of_everything_and_a_second_start(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    hub.kill()
    upload(hub, before["address"], before["password"], "no-hub.dat")
    hub.start()
    all_known(hub)
    same_as(hub, before)


def test_ctrl_c_leaves_workloads_running_and_says_so(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    hub.interrupt()
    assert "3 workloads go on" in hub.output.read_text()
    upload(hub, before["address"], before["password"], "after-ctrl-c.dat")
    hub.start()
    all_known(hub)
    same_as(hub, before)


def test_kill_9_of_proxy_portal_and_objectstore(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    for part in ("configurable-http-proxy", "hub.portal"):
        hub.part(part).kill()
    until("the proxy is back", lambda: _answers(hub))
    all_known(hub)
    keeper = json.loads((hub.state / "objectstore-run" / "keeper.json").read_text())
    psutil.Process(keeper["child"]["pid"]).kill()
    until("uploads are stored again", lambda: _stored(hub, before), 60)


def _stored(hub: Hub, before: dict[str, Any]) -> bool:
    try:
        upload(hub, before["address"], before["password"], "again.dat")
    except (OSError, ftplib.Error):
        return False
    return True


def test_everything_off_and_on_again(own_hub: Hub) -> None:
    """`make stop` and a new start are like a machine that was switched off: what ran unattended is back by itself."""
    hub = own_hub
    before = start_all(hub)
    assert hub.cli("stop").returncode == 0
    assert hub.leftovers() == []
    hub.start()
    until("the collector is back", lambda: _stored(hub, before), 60)
    assert hub.record("tenant-physics", "camera")["address"] == before["address"]
    until("the crawl is back", lambda: hub.keeper("tenant-physics", "yearly")["phase"] == "waiting")
    assert hub.server("physics-member", "physics-member", "lab") is None, "an interactive one is started by its person"


def test_a_lost_database_finds_the_workloads_again(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    account = hub.account_password("physics-member")
    hub.interrupt()
    for path in hub.state.glob("jupyterhub.sqlite*"):
        path.unlink()
    hub._tokens.clear()
    hub.start()
    until("the collector is known", lambda: hub.server("physics-member", "tenant-physics", "camera"), 90)
    until("the crawl is known", lambda: hub.server("physics-member", "tenant-physics", "yearly"), 90)
    assert hub.keeper("tenant-physics", "camera")["child"] == before["camera"], "adopted, not started again"
    assert hub.record("tenant-physics", "camera")["workload"]["started_by"] == "physics-admin"
    assert hub.account_password("physics-member") == account


def test_a_keeper_that_dies_is_replaced_and_its_collector_never_stops(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    keeper = hub.keeper("tenant-physics", "camera")["keeper"]
    psutil.Process(keeper["pid"]).kill()
    until("another keeper is there", lambda: hub.keeper("tenant-physics", "camera")["keeper"]["pid"] != keeper["pid"])
    assert hub.keeper("tenant-physics", "camera")["child"] == before["camera"]


def test_a_collector_that_dies_is_back_with_the_same_address_and_password(own_hub: Hub) -> None:
    hub = own_hub
    before = start_all(hub)
    psutil.Process(before["camera"]["pid"]).kill()
    until("uploads are stored again", lambda: _stored(hub, before), 60)
    assert hub.keeper("tenant-physics", "camera")["child"] != before["camera"]
