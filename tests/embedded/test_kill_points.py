"""A hub that dies in the middle of a start or a stop, and people, operators and tenants that come and go."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil

from spawners.local.identity import ProcessRef
from spawners.local.process import alive, stop_now
from tests.embedded.harness import Hub, until
from tests.embedded.test_attacks import processes, signed_in

YEARLY = {"start_urls": ["http://127.0.0.1:9/"], "remote": "data", "cron": "0 0 1 1 *"}


def rewrite(hub: Hub, owner: str, name: str, **changes: Any) -> None:
    """What a hub that died a moment earlier would have left in the record."""
    path = hub.folder(owner, name) / "record.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_hub_that_dies_in_the_middle_of_starts_and_stops_leaves_nothing_doubled_or_lost(own_hub: Hub) -> None:
    hub = own_hub
    for name in ("unnoted", "unborn", "half-stopped"):
        assert hub.launch("physics-member", "physics-member", name, "notebook", {}).status_code == 201
    for name in ("half-stopped-crawl", "unnoted-crawl"):
        assert hub.launch("physics-member", "tenant-physics", name, "crawl", YEARLY).status_code == 201
    before = hub.record("physics-member", "unnoted")["process"]
    keeper = hub.record("tenant-physics", "unnoted-crawl")["process"]
    hub.kill()
    # Between Popen and the note of the process; and of the keeper.
    rewrite(hub, "physics-member", "unnoted", process=None, phase="starting")
    rewrite(hub, "tenant-physics", "unnoted-crawl", process=None, phase="starting")
    # Between the record and Popen.
    for ref in processes(hub, "physics-member", "unborn"):
        psutil.Process(ref.pid).kill()
    rewrite(hub, "physics-member", "unborn", process=None, phase="starting")
    # Between the wish to stop and the end.
    rewrite(hub, "physics-member", "half-stopped", wanted="stopped")
    rewrite(hub, "tenant-physics", "half-stopped-crawl", wanted="stopped")
    hub.start()
    until("the notebook is adopted", lambda: hub.server("physics-member", "physics-member", "unnoted"))
    assert hub.record("physics-member", "unnoted")["process"] == before
    assert [ref.pid for ref in processes(hub, "physics-member", "unnoted")] == [before["pid"]]
    until("the crawl is adopted", lambda: hub.server("physics-member", "tenant-physics", "unnoted-crawl"))
    assert hub.record("tenant-physics", "unnoted-crawl")["process"] == keeper
    until("the stop is finished", lambda: hub.record("physics-member", "half-stopped")["phase"] == "stopped")
    assert processes(hub, "physics-member", "half-stopped") == []
    until("the other too", lambda: hub.record("tenant-physics", "half-stopped-crawl")["phase"] == "stopped")
    assert not alive(ProcessRef(**hub.record("tenant-physics", "half-stopped-crawl")["process"]))
    unborn = hub.record("physics-member", "unborn")
    assert (unborn["phase"], unborn["reason"]) == (
        "failed", "the hub was stopped while this was being started; start it again",
    )  # fmt: skip
    assert hub.launch("physics-member", "physics-member", "unborn", "notebook", {}).status_code == 201


def test_an_app_of_the_tenant_is_back_after_the_machine_was_off_and_a_persons_notebook_is_told_ended(
    own_hub: Hub,
) -> None:
    hub = own_hub
    command = f"{sys.executable} -m http.server --bind 127.0.0.1 {{port}}"
    assert hub.launch("physics-member", "tenant-physics", "page", "own-app", {"command": command}).status_code == 201
    assert hub.launch("physics-member", "physics-member", "lab", "notebook", {}).status_code == 201
    before = [hub.record("tenant-physics", "page")["process"], hub.record("physics-member", "lab")["process"]]
    hub.interrupt()
    for ref in before:
        stop_now(ProcessRef(**ref))
    hub.start()
    until("another app is there", lambda: hub.record("tenant-physics", "page")["process"] not in (None, before[0]))
    until("it serves", lambda: hub.record("tenant-physics", "page")["phase"] == "running")
    until("the hub knows it", lambda: hub.server("physics-member", "tenant-physics", "page"))
    assert len(processes(hub, "tenant-physics", "page")) == 1
    until("the end of the notebook is noted", lambda: hub.record("physics-member", "lab")["phase"] != "running")
    lab = hub.record("physics-member", "lab")
    assert (lab["wanted"], lab["phase"], lab["reason"]) == ("stopped", "stopped", "ended while the hub was away")


def test_an_ended_server_is_noted_and_frees_its_quota(own_hub: Hub) -> None:
    hub = own_hub
    assert hub.launch("physics-member", "physics-member", "killed", "notebook", {}).status_code == 201
    copy = {"source": "shared:", "destination": "data:copies"}
    (hub.state / "shared" / "physics").mkdir(parents=True, exist_ok=True)
    assert hub.launch("physics-member", "tenant-physics", "copy", "transfer", copy).status_code == 201
    psutil.Process(hub.record("physics-member", "killed")["process"]["pid"]).kill()
    until("the end is noted", lambda: hub.record("physics-member", "killed")["phase"] == "failed")
    assert "SIGKILL" in hub.record("physics-member", "killed")["reason"]
    until("the run's end too", lambda: hub.record("tenant-physics", "copy")["phase"] == "finished")
    used = hub.portal("physics-member", "GET", "/tenants/physics").json()
    assert '"workloads": 0' in json.dumps(used) or '"workloads":0' in json.dumps(used), used
    hub.edit_tenant("physics", lambda text: text.replace("workloads: 20", "workloads: 1"))
    assert hub.launch("physics-member", "physics-member", "killed", "notebook", {}).status_code == 201


def test_two_launches_at_once_do_not_both_take_the_last_place(own_hub: Hub) -> None:
    hub = own_hub
    hub.edit_tenant("physics", lambda text: text.replace("workloads: 20", "workloads: 1"))
    hub.token("physics-member")
    with ThreadPoolExecutor(6) as pool:
        starts = [
            pool.submit(hub.launch, "physics-member", "tenant-physics", f"crawl-{letter}", "crawl", YEARLY)
            for letter in "abcdef"
        ]
        codes = sorted(start.result().status_code for start in starts)
    assert codes == [201, 409, 409, 409, 409, 409]
    assert len(list(hub.state.glob("workloads/physics/*/*/keeper.json"))) == 1


def test_who_leaves_a_tenant_loses_their_notebook_and_the_way_in_but_the_tenants_work_goes_on(own_hub: Hub) -> None:
    hub = own_hub
    assert hub.launch("physics-member", "physics-member", "lab", "notebook", {}).status_code == 201
    assert hub.launch("both-member", "both-member", "theirs", "notebook", {}).status_code == 201
    assert hub.launch("physics-member", "tenant-physics", "yearly", "crawl", YEARLY).status_code == 201
    hub.edit_tenant("physics", lambda text: text.replace("  - physics-member\n", ""))
    until("it is stopped", lambda: hub.record("physics-member", "lab")["phase"] == "stopped")
    assert "no longer belongs to physics" in hub.record("physics-member", "lab")["reason"]
    assert processes(hub, "physics-member", "lab") == []
    assert hub.server("physics-member", "physics-member", "lab") is None
    assert hub.launch("physics-member", "physics-member", "lab", "notebook", {}).status_code == 403
    assert hub.api("physics-member", "DELETE", "/users/tenant-physics/servers/yearly").status_code in (403, 404)
    with signed_in(hub, "physics-member") as (_, page):
        assert page.url.path == "/hub/login", "nobody signs in who is declared nowhere"
        assert "Invalid username or password" in page.text
    assert hub.server("physics-admin", "tenant-physics", "yearly"), "the tenant owns it"
    assert hub.record("tenant-physics", "yearly")["workload"]["started_by"] == "physics-member"
    assert hub.server("both-member", "both-member", "theirs"), "who has not left keeps working"


def test_a_tenant_that_is_gone_from_the_files_leaves_its_work_running_for_an_operator_to_end(hubs: Any) -> None:
    hub = hubs()
    site = hub.world / "site.yaml"
    site.write_text(f"{site.read_text()}\noperators: [root-of-all]\n")
    hub.start()
    assert hub.launch("physics-member", "tenant-physics", "yearly", "crawl", YEARLY).status_code == 201
    assert hub.launch("physics-member", "physics-member", "lab", "notebook", {}).status_code == 201
    (hub.world / "tenants" / "physics.yaml").unlink()
    until("the log tells", lambda: "tenant is not declared any more" in (hub.state / "logs" / "hub.log").read_text())
    assert hub.server("root-of-all", "tenant-physics", "yearly")
    assert hub.server("root-of-all", "physics-member", "lab")
    assert hub.api("physics-member", "GET", "/users/tenant-physics").status_code == 404, "it is nobody's any more"
    assert hub.launch("physics-member", "tenant-physics", "another", "crawl", YEARLY).status_code in (403, 404)
    for owner, name in (("tenant-physics", "yearly"), ("physics-member", "lab")):
        assert hub.api("root-of-all", "DELETE", f"/users/{owner}/servers/{name}").status_code in (202, 204)
        until("it ends", lambda o=owner, n=name: hub.record(o, n)["phase"] == "stopped")  # type: ignore[misc]
    site.write_text(site.read_text().replace("operators: [root-of-all]", "operators: []"))
    until("no operator any more", lambda: hub.api("root-of-all", "GET", "/users/physics-admin").status_code == 404)
    hub.stop()


def test_a_profile_that_is_taken_away_stops_nothing_not_even_without_the_database(own_hub: Hub) -> None:
    hub = own_hub
    assert hub.launch("physics-member", "tenant-physics", "yearly", "crawl", YEARLY).status_code == 201
    keeper = hub.record("tenant-physics", "yearly")["process"]
    hub.edit_tenant("physics", lambda text: text.replace("instrument-upload, crawl,", "instrument-upload,"))
    assert hub.launch("physics-member", "tenant-physics", "another", "crawl", YEARLY).status_code == 403
    hub.interrupt()
    for path in hub.state.glob("jupyterhub.sqlite*"):
        path.unlink()
    hub._tokens.clear()
    hub.start()
    until("it is taken back", lambda: hub.server("physics-member", "tenant-physics", "yearly"), 90)
    assert hub.record("tenant-physics", "yearly")["process"] == keeper
    assert hub.api("physics-member", "DELETE", "/users/tenant-physics/servers/yearly").status_code in (202, 204)
    until("it can be stopped", lambda: hub.record("tenant-physics", "yearly")["phase"] == "stopped")
