"""The hub over a real cluster: hub, portal, culler, proxy as processes, told by environment and files alone."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from config.names import namespace
from tests.cluster.bed import Bed, images, metallb
from tests.cluster.hubparts import Parts, words
from tests.cluster.kube import Kube
from tests.cluster.kubeworld import declare, write
from tests.cluster.line import Line
from tests.cluster.operator import Operator
from tests.tiers import need

MODULES = Path(__file__).parents[2] / "node_modules" / "configurable-http-proxy"
PROFILES = ("desk", "mute", "watcher")


class Lab:
    """A world of two tenants, and the parts over it. ada is the first one's admin, bob its member; eve is elsewhere."""

    def __init__(self, bed: Bed, operator: Operator, parts: Parts, line: Line, ours: str, theirs: str) -> None:
        self.bed, self.operator, self.parts, self.line = bed, operator, parts, line
        self.ours, self.theirs = ours, theirs
        self.account = f"tenant-{ours}"

    def tenant(self, name: str, profiles: tuple[str, ...], **people: list[str]) -> dict[str, Any]:
        quota = {"workloads": 5, "cpu": 4, "memory": "1Gi"}
        return {"name": name, "quota": quota, "workers": {"dedicated": False}, "profiles": list(profiles), **people}

    def pods(self, name: str) -> list[dict[str, Any]]:
        """Pods of a workload that are not going away."""
        label = f"--selector={self.operator.keys.workload}={name}"
        found = Kube(self.bed).get("pods", f"--namespace={namespace(self.ours)}", label)["items"]
        return [one for one in found if "deletionTimestamp" not in one["metadata"]]

    def uid(self, name: str) -> str:
        (pod,) = self.pods(name)
        return str(pod["metadata"]["uid"])

    def running(self, name: str) -> bool:
        return any(one["status"]["phase"] == "Running" for one in self.pods(name))


@pytest.fixture(scope="module")
def lab(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    need("cluster", MODULES.exists(), "configurable-http-proxy is not installed (make setup)")
    world, folder = tmp_path_factory.mktemp("world"), tmp_path_factory.mktemp("hub")
    mark = secrets.token_hex(3)
    ours, theirs = f"t{mark}a", f"t{mark}b"
    operator = Operator(bed.kubeconfig, world, f"t{mark}.example.org", metallb.NAMESPACE)
    line = Line(bed, folder)
    parts = Parts(world, folder, line.kubeconfig)
    made = Lab(bed, operator, parts, line, ours, theirs)
    people = {ours: {"admins": ["ada"], "members": ["bob"]}, theirs: {"admins": ["eve"]}}
    declare(bed, operator, *(made.tenant(name, (), **who) for name, who in people.items()))
    operator.apply()
    for name, who in people.items():
        write(world, made.tenant(name, PROFILES, **who))
    for kind in PROFILES:
        size = {"name": "small", "cpu": 0.05, "memory": "64Mi"}
        profile = {"name": kind, "kind": kind, "title": kind.capitalize(), "image": images.TOOL, "sizes": [size]}
        (world / "profiles" / f"{kind}.yaml").write_text(yaml.safe_dump(profile))
    try:
        parts.start()
        yield made
    finally:
        line.mend()
        parts.stop()
        for file in (*world.glob("profiles/*.yaml"), *world.glob("tenants/*.yaml")):
            file.unlink()
        operator.apply("--force-conflicts", f"--remove-tenant={ours}", f"--remove-tenant={theirs}")


@pytest.fixture(autouse=True)
def _all_there(lab: Lab) -> None:
    """A test that failed half-way leaves nothing dead to the next."""
    lab.line.mend()
    lab.parts.mend()


def test_a_person_signs_in_starts_opens_and_stops(lab: Lab) -> None:
    with lab.parts.person("bob") as bob, lab.parts.person("eve") as eve:
        assert lab.ours in bob.page()
        assert lab.theirs not in bob.page()
        where = bob.launch(lab.ours, "desk", "mine", "bob")
        bob.sees(where, "Running")
        opened = bob.browser.get("/user/bob/mine/")
        assert opened.status_code == 200
        assert "Mine" in bob.page()
        eve.page(where, status=404)
        bob.post(f"{where}/stop")
        bob.sees(where, "Stopped")
        lab.parts.until("its Pod is gone", lambda: not lab.pods("mine"))


def test_a_hub_that_is_killed_disturbs_nobody(lab: Lab) -> None:
    with lab.parts.person("ada") as ada:
        where = ada.launch(lab.ours, "watcher", "keeps", lab.account)
        ada.sees(where, "Running")
        desk = ada.launch(lab.ours, "desk", "desk", "ada")
        ada.sees(desk, "Running")
        before = lab.uid("keeps"), lab.uid("desk")
        lab.parts.kill("hub")
        # the proxy leads there still, though nobody can sign in
        assert ada.browser.get("/user/ada/desk/").status_code == 200
        # who was seen just now is believed for a few seconds
        lab.parts.until("the portal says what is away", lambda: "hub does not answer" in ada.any_page())
        lab.parts.start("hub")
        ada.sees(where, "Running")
        assert ada.browser.get("/user/ada/desk/").status_code == 200
        assert (lab.uid("keeps"), lab.uid("desk")) == before
        for one in (where, desk):
            ada.post(f"{one}/stop")
            ada.sees(one, "Stopped")


def test_what_a_lost_database_forgot_is_taken_back_or_shown(lab: Lab) -> None:
    with lab.parts.person("bob") as bob:
        bob.sees(bob.launch(lab.ours, "desk", "lost", "bob"), "Running")
        bob.sees(bob.launch(lab.ours, "watcher", "found", lab.account), "Running")
    before = lab.uid("found")
    lab.parts.kill("hub")
    lab.parts.state.joinpath("jupyterhub.sqlite").unlink()
    lab.parts.start("hub")
    with lab.parts.person("bob") as bob, lab.parts.person("ada") as ada, lab.parts.person("eve") as eve:
        bob.sees(f"w/{lab.ours}/{lab.account}/found", "Running", "Stop …")
        lost = f"w/{lab.ours}/bob/lost"
        assert "Remove" in bob.sees(lost, "unknown to the hub", "cannot be opened any more")
        ada.sees(lost, "unknown to the hub")
        eve.page(lost, status=404)
        assert lab.running("lost"), "it is ended only when somebody asks for it"
        assert lab.uid("found") == before
        removed = ada.post(f"{lost}/remove")
        assert removed.status_code == 200, removed.text
        bob.sees(lost, "Stopped")
        lab.parts.until("its Pod is gone", lambda: not lab.pods("lost"))
        bob.post(f"w/{lab.ours}/{lab.account}/found/stop")
        bob.sees(f"w/{lab.ours}/{lab.account}/found", "Stopped")


def test_pages_say_that_the_cluster_does_not_answer_and_recover(lab: Lab) -> None:
    with lab.parts.person("ada") as ada:
        where = ada.launch(lab.ours, "watcher", "steady", lab.account)
        ada.sees(where, "Running")
        uid = lab.uid("steady")
        lab.line.cut()
        told = ada.sees("", "seconds old: the cluster does not answer")
        assert "Steady" in told
        assert "Running" in ada.page(where)
        refused = ada.post(f"new/{lab.ours}/desk", _name="late", _display_name="Late", _owner="ada", size="small")
        assert refused.status_code < 500
        # a hub that begins while nobody answers waits, and concludes nothing
        lab.parts.kill("hub")
        lab.parts.start("hub")
        lab.line.mend()
        lab.parts.until("the banner goes", lambda: "seconds old" not in ada.page())
        ada.sees(where, "Running")
        assert lab.uid("steady") == uid
        ada.post(f"{where}/stop")
        ada.sees(where, "Stopped")


def test_a_profile_that_is_taken_away_stops_nothing_and_the_page_says_so(lab: Lab) -> None:
    file = lab.operator.folder / "profiles" / "watcher.yaml"
    kept = file.read_text()
    with lab.parts.person("ada") as ada:
        where = ada.launch(lab.ours, "watcher", "stays", lab.account)
        ada.sees(where, "Running")
        uid = lab.uid("stays")
        people = {"admins": ["ada"], "members": ["bob"]}
        write(lab.operator.folder, lab.tenant(lab.ours, ("desk",), **people))
        ada.sees(where, "may no longer use the profile", "goes on as it was started")
        assert lab.uid("stays") == uid
        write(lab.operator.folder, lab.tenant(lab.ours, PROFILES, **people))
        file.write_text(kept.replace("0.05", "0.1"))
        ada.sees(where, "has changed since; this one goes on")
        file.write_text(kept)
        ada.post(f"{where}/stop")
        ada.sees(where, "Stopped")


def test_who_leaves_the_tenant_loses_their_servers(lab: Lab) -> None:
    with lab.parts.person("bob") as bob, lab.parts.person("ada") as ada:
        where = bob.launch(lab.ours, "desk", "gone", "bob")
        bob.sees(where, "Running")
        write(lab.operator.folder, lab.tenant(lab.ours, PROFILES, admins=["ada"]))
        lab.parts.until("its Pod is gone", lambda: not lab.pods("gone"))
        ada.sees(where, "no longer belongs to")
        write(lab.operator.folder, lab.tenant(lab.ours, PROFILES, admins=["ada"], members=["bob"]))


def test_two_portals_share_their_sessions(lab: Lab) -> None:
    with lab.parts.person("ada") as ada, lab.parts.another_portal() as other:
        answer = ada.browser.get(other)
        assert answer.status_code == 200
        assert "Signed in as ada" in words(answer.text)
        lab.parts.kill("portal")
        lab.parts.start("portal")
        assert "Signed in as ada" in ada.page()


def test_another_way_to_sign_in_lets_in_only_whom_the_world_names(lab: Lab) -> None:
    extra = (
        "c.JupyterHub.authenticator_class = 'dummy'\n"
        "c.DummyAuthenticator.allow_all = True\n"
        "c.JupyterHub.cleanup_servers = True\n"
    )
    with lab.parts.configured(extra):
        for name, path in (
            ("ada", "/services/portal/"),
            ("stranger", "/hub/login"),
            (lab.account, "/hub/login"),
        ):
            with lab.parts.browser() as browser:
                assert lab.parts.sign_in(browser, name, "anything").url.path == path, name


def test_a_launch_beyond_the_limit_says_its_place_in_line(lab: Lab) -> None:
    limit = "c.TenantKubeSpawner.launches_at_once = 1\n"
    with lab.parts.configured(limit), lab.parts.person("ada") as ada, lab.parts.person("bob") as bob:
        slow = ada.launch(lab.ours, "mute", "slow", "ada")  # has the one turn until it is stopped
        lab.parts.until("it runs", lambda: lab.running("slow"))
        first = bob.launch(lab.ours, "desk", "first", "bob")
        assert "1st in line" in bob.told(first, "in line")[-1]
        second = ada.launch(lab.ours, "desk", "second", "ada")
        assert "2nd in line" in ada.told(second, "in line")[-1]
        ada.sees(second, "Starting", "it waits in line: other launches are under way")
        assert not lab.pods("second")
        ada.post(f"{slow}/stop")
        ada.sees(slow, "Stopped", "its launch was cancelled")
        for person, where in ((bob, first), (ada, second)):
            person.sees(where, "Running")
            person.post(f"{where}/stop")
            person.sees(where, "Stopped")


def test_what_is_missing_is_said_at_once_without_a_traceback(lab: Lab) -> None:
    env = {name: value for name, value in lab.parts.environ.items() if name != "TENANTHUB_PROXY_API"}
    env |= {"TENANTHUB_STATE": "/nowhere/at/all", "TENANTHUB_PORTAL_URL": "portal:8080"}
    argv = [sys.executable, "-P", "-m", "hub.cli", "hub"]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert all(line.startswith("tenanthub hub: TENANTHUB_") for line in lines), done.stderr
    assert {line.split()[2].rstrip(":") for line in lines} == {
        "TENANTHUB_PROXY_API",
        "TENANTHUB_STATE",
        "TENANTHUB_PORTAL_URL",
    }


def test_the_proxy_gets_its_routes_again(lab: Lab) -> None:
    with lab.parts.person("ada") as ada:
        lab.parts.kill("proxy")
        lab.parts.start("proxy")

        def back() -> bool:
            try:
                return ada.browser.get("/services/portal/").status_code == 200
            except httpx.HTTPError:
                return False

        lab.parts.until("the portal is reached", back)
