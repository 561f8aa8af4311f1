"""The chart on real nodes: installed, upgraded under load, its hub killed, uninstalled, installed again.

One installation for all tests of this file, in their order: each leaves it as good as it was.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession, WSMsgType

from tests.cluster import chart_rights as rights
from tests.cluster.chart import PARTS, RELEASE, Installed
from tests.cluster.journeys import world
from tests.cluster.kube import eventually
from tests.loops import run_apart

pytestmark = pytest.mark.timeout(1200)
"""Seconds: the first test waits for the installation, an upgrade for Pods on a busy machine."""
PATIENCE_S = 240.0
TENANT = "tenant-physics"
API = "/services/portal/api/v1/tenants/physics/workloads"
NEW = "geology"
"""The tenant that comes while the hub runs."""


class Person:
    """Somebody with a token of theirs."""

    def __init__(self, made: Installed, name: str) -> None:
        self.made, self.name = made, name
        self.token = made.token(name)

    def launch(self, owner: str, name: str, profile: str, **options: Any) -> None:
        """Start it by REST, and wait until it is ready."""
        body = {"user_options": {"tenant": world.PHYSICS, "profile": profile, "options": options}}
        answer = self.made.api("POST", f"/users/{owner}/servers/{name}", self.token, body)
        assert answer.status_code in (201, 202), answer.text
        eventually(f"{name} is ready", lambda: self.server(owner, name).get("ready"), patience_s=PATIENCE_S)

    def server(self, owner: str, name: str) -> dict[str, Any]:
        """As JupyterHub shows it; {} where it does not."""
        found = self.made.api("GET", f"/users/{owner}", self.token).json().get("servers", {}).get(name) or {}
        assert not (found and found.get("pending") is None and not found.get("ready")), found
        return dict(found)

    def stop(self, owner: str, name: str) -> None:
        """Stop it, and wait until it is."""
        self.made.api("DELETE", f"/users/{owner}/servers/{name}", self.token)
        url = f"/users/{owner}"

        def gone() -> bool:
            return name not in self.made.api("GET", url, self.token).json().get("servers", {})

        eventually(f"{name} is stopped", gone, patience_s=PATIENCE_S)

    def portal(self, method: str, path: str) -> Any:
        """Of the portal's own API; decoded JSON, or text."""
        answer = self.made.portal(method, f"{API}/{path}", self.token)
        assert answer.is_success, f"{path}: {answer.status_code} {answer.text[:300]}"
        return answer.json() if "json" in answer.headers.get("content-type", "") else answer.text


@pytest.fixture(scope="module")
def admin(installed: Installed) -> Person:
    return Person(installed, world.ADMIN)


@pytest.fixture(scope="module")
def member(installed: Installed) -> Person:
    return Person(installed, world.MEMBER)


@pytest.fixture(scope="module")
def running(installed: Installed, admin: Person, member: Person) -> Iterator[dict[str, str]]:
    """A person's notebook and the tenant's collector: their Pods' uids by name, as they have to stay."""
    member.launch(world.MEMBER, "steady", "notebook")
    admin.launch(TENANT, "inbox", "instrument-upload", remote=world.REMOTE, folder="chart")
    yield _uids(installed)
    for person, owner, name in ((member, world.MEMBER, "steady"), (admin, TENANT, "inbox")):
        person.stop(owner, name)


def _uids(made: Installed) -> dict[str, str]:
    """Uid of each Pod of physics that is not ending, by the workload."""
    found = made.kube.get("pods", f"--namespace={TENANT}")["items"]
    label = f"{world.DOMAIN}/workload"
    return {
        one["metadata"]["labels"][label]: one["metadata"]["uid"]
        for one in found
        if "deletionTimestamp" not in one["metadata"] and one["status"]["phase"] == "Running"
    }


def test_installed_pods_are_restricted_and_nothing_secret_is_told(installed: Installed) -> None:
    labels = installed.kube.get("namespace", installed.namespace)["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"  # so the API server has let all of them in
    for part in PARTS:
        assert installed.pods(part), part
    claim = installed.get("persistentvolumeclaim", "tenanthub-state")
    assert claim["status"]["phase"] == "Bound"
    told = installed.helm("get", "notes", RELEASE) + installed.helm("status", RELEASE)
    assert installed.url in told
    made = installed.secrets()
    assert len(made) == 8
    for part in PARTS:
        told += installed.kube.must("logs", f"deployment/{part}", f"--namespace={installed.namespace}")
        told += yaml.safe_dump(installed.pods(part))
    assert not [key for key, value in made.items() if value in told]


def test_neither_account_may_do_more_than_tenants_need(installed: Installed) -> None:
    assert {name: rights.excess(installed, name) for name in ("hub", "portal")} == {"hub": [], "portal": []}


def test_refused_means_refused(installed: Installed) -> None:
    """Not only by the authorizer's word: with the account's own token, from outside of any Pod."""
    for name in ("hub", "portal"):
        for argv in (
            ("get", "nodes"),
            ("get", "secrets", "--namespace=kube-system"),
            ("delete", "pod", "--all", "--namespace=kube-system", "--dry-run=server"),
            ("create", "clusterrole", "all", "--verb=*", "--resource=*", "--dry-run=server"),
        ):
            who, groups = rights.account(installed, name), rights.groups(installed)
            done = installed.kube.kubectl(*argv, as_user=who, groups=groups)
            assert done.returncode != 0, argv
            assert "forbidden" in done.stderr.lower(), done.stderr


def test_a_changed_world_restarts_nothing_and_is_followed(installed: Installed, admin: Person) -> None:
    """A tenant comes, and a card: `helm upgrade` changes the ConfigMaps, `tenanthub apply` the cluster."""
    before = {part: installed.uids(part) for part in PARTS}
    transfer = {"kind": "transfer", "title": "Transfer", "sizes": [{"name": "small", "cpu": "100m", "memory": "256Mi"}]}
    physics = yaml.safe_load((installed.folder / "tenants" / "physics.yaml").read_text())
    physics["profiles"] = [*physics["profiles"], "transfer"]
    new = {"name": NEW, "admins": [world.ADMIN], "profiles": ["notebook"], "workers": {"dedicated": False}}
    world.write(
        installed.folder,
        {
            "profiles/transfer.yaml": {"name": "transfer", **transfer},
            "tenants/physics.yaml": physics,
            f"tenants/{NEW}.yaml": new,
        },
    )
    installed.apply()
    installed.upgrade()

    def known() -> bool:
        tenants = installed.portal("GET", "/services/portal/api/v1/tenants", admin.token).json()
        return NEW in {one["name"] for one in tenants}

    eventually("the portal knows the new tenant", known, patience_s=PATIENCE_S)
    groups = f"tenanthub:{NEW}:admin"
    eventually(
        "the hub gives its admin the rights",
        lambda: groups in installed.api("GET", "/user", admin.token).json()["groups"],
        patience_s=PATIENCE_S,
    )
    assert {part: installed.uids(part) for part in PARTS} == before


def test_what_is_granted_is_what_is_used(
    installed: Installed, admin: Person, member: Person, running: dict[str, str]
) -> None:
    """Each way that a workload has through hub and portal, and then what the API server's audit log says."""
    admin.launch(TENANT, "yearly", "crawl", start_urls=["http://192.0.2.250/"], remote=world.REMOTE, cron="0 0 1 1 *")
    admin.portal("POST", f"{TENANT}/yearly/run-now")
    eventually("a run is listed", lambda: admin.portal("GET", f"{TENANT}/yearly/runs"), patience_s=PATIENCE_S)
    admin.launch(TENANT, "tray", "instrument-upload", remote=world.REMOTE, folder="tray")
    for look in ("tray/log", "yearly/log", "tray/uploads", "tray/password"):
        admin.portal("GET", f"{TENANT}/{look}")
    admin.launch(TENANT, "copy", "transfer", source=f"{world.REMOTE}:none", destination=f"{world.REMOTE}:copies")
    member.launch(world.MEMBER, "brief", "notebook")
    for person, owner, name in (
        (admin, TENANT, "yearly"),
        (admin, TENANT, "tray"),
        (member, world.MEMBER, "brief"),
        (admin, TENANT, "copy"),
    ):
        if name != "copy":  # it ends by itself
            person.stop(owner, name)
        eventually(f"{name} has ended", partial(_removed, person, owner, name), patience_s=PATIENCE_S)

    for name in ("hub", "portal"):
        asked = rights.used(installed, name)
        assert {use for use in asked if use.code in (401, 403)} == set()
        tenants = {use.namespace for use in asked} - {"", installed.namespace}
        assert all(namespace.startswith("tenant-") for namespace in tenants)
        done = {use.right for use in asked}
        wanted = rights.role(installed, name) | rights.role(installed, "follow")
        assert done <= wanted | {rights.Right("get", "", "secrets")}
        assert {right for right in wanted - done if (name, *right) not in LATER} == set()


LATER = {
    ("hub", "delete", "", "configmaps"): "records of a month ago",
    ("hub", "delete", "", "secrets"): "the last remote of a tenant goes",
    ("hub", "delete", "batch", "jobs"): "Jobs of schedules that nobody owns any more",
    ("hub", "list", "", "events"): "a launch that takes long",
    ("portal", "create", "", "pods/exec"): "Kubernetes 1.35 asks for it besides get, and notes the latter",
    ("portal", "delete", "batch", "cronjobs"): "a schedule that was suspended by hand",
}
"""Granted, and not used by the test above; with the reason."""


def _removed(person: Person, owner: str, name: str) -> bool:
    """Whether it could be removed from the list: refused while its Pods are still going."""
    answer = person.made.portal("POST", f"{API}/{owner}/{name}/forget", person.token)
    return answer.status_code in (204, 404)


class Ticking:
    """A terminal in the notebook that counts, seen through the hub's proxy by a WebSocket that stays open."""

    def __init__(self, made: Installed, person: Person, name: str) -> None:
        self.base = f"{made.url}/user/{person.name}/{name}"
        self.headers = {"Authorization": f"token {person.token}"}
        self.seen: list[int] = []
        self.closed = False
        self.news = asyncio.Event()

    async def run(self) -> None:
        """Collect numbers until it is cancelled."""
        async with ClientSession(headers=self.headers, trust_env=False) as session:
            async with session.post(f"{self.base}/api/terminals") as answer:
                assert answer.status == 200, await answer.text()
                terminal = (await answer.json())["name"]
            async with session.ws_connect(f"{self.base}/terminals/websocket/{terminal}") as socket:
                await socket.send_json(["stdin", "i=0; while :; do i=$((i+1)); echo tick=$i.; sleep 0.2; done\r"])
                async for message in socket:
                    if message.type is WSMsgType.TEXT:
                        self._take(json.loads(message.data))
        self.closed = True
        self.news.set()

    async def reaches(self, count: int) -> None:
        """Wait until so many numbers have come."""
        async with asyncio.timeout(60):
            while len(self.seen) < count and not self.closed:
                self.news.clear()
                await self.news.wait()
        assert not self.closed, "the connection through the proxy broke"

    def _take(self, told: list[Any]) -> None:
        if told[0] == "stdout":
            # The echo of the command itself has "$i" where a number should be.
            self.seen += [int(number) for number in re.findall(r"tick=(\d+)\.", str(told[1]))]
            self.news.set()


def test_an_upgrade_under_load_touches_no_workload(
    installed: Installed, member: Person, running: dict[str, str]
) -> None:
    """A new template of hub and portal: both are replaced while a terminal counts through the proxy."""
    secrets, before = installed.secrets(), {part: installed.uids(part) for part in PARTS}
    annotation = {"podAnnotations": {"upgraded": str(time.time())}}
    hub = {**installed.values()["hub"], **annotation}

    async def meanwhile() -> list[int]:
        ticking = Ticking(installed, member, "steady")
        counting = asyncio.create_task(ticking.run())
        await ticking.reaches(5)
        await asyncio.to_thread(installed.upgrade, hub=hub, portal=annotation)
        await asyncio.to_thread(installed.wait)
        await ticking.reaches(len(ticking.seen) + 5)
        counting.cancel()
        return ticking.seen

    numbers = run_apart(meanwhile())
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "words were lost"
    after = {part: installed.uids(part) for part in PARTS}
    assert not before["hub"] & after["hub"]
    assert not before["portal"] & after["portal"]
    assert (after["proxy"], after["culler"]) == (before["proxy"], before["culler"])
    assert installed.secrets() == secrets
    assert _uids(installed) == running
    eventually("the hub still has it", lambda: member.server(world.MEMBER, "steady").get("ready"))


def test_a_hub_that_is_killed_comes_back_with_everything(
    installed: Installed, member: Person, running: dict[str, str]
) -> None:
    (uid,) = installed.uids("hub")
    name = installed.pods("hub")[0]["metadata"]["name"]
    installed.kube.must("delete", "pod", name, "--grace-period=0", "--force", f"--namespace={installed.namespace}")
    eventually("another hub is there", lambda: installed.uids("hub") - {uid}, patience_s=PATIENCE_S)
    eventually("the new hub answers", lambda: _ready(installed, "hub") and installed.answers(), patience_s=PATIENCE_S)
    eventually("it has the notebook", lambda: member.server(world.MEMBER, "steady").get("ready"), patience_s=PATIENCE_S)
    assert _uids(installed) == running


def _ready(made: Installed, part: str) -> bool:
    conditions = [one for pod in made.pods(part) for one in pod["status"].get("conditions", ())]
    found = [one["status"] for one in conditions if one["type"] == "Ready"]
    return bool(found) and set(found) == {"True"}


def test_an_uninstall_leaves_tenants_work_database_and_secrets(
    installed: Installed, member: Person, running: dict[str, str]
) -> None:
    secrets = installed.secrets()
    installed.uninstall()
    left = installed.get("deployments,services,serviceaccounts,configmaps,networkpolicies,poddisruptionbudgets")[
        "items"
    ]
    kubernetes_own = {"default", "kube-root-ca.crt"}
    assert {one["metadata"]["name"] for one in left} <= kubernetes_own
    names = [one["metadata"]["name"] for one in installed.kube.get("clusterroles")["items"]]
    assert not [name for name in names if name.startswith(f"tenanthub:{installed.namespace}:")]
    assert installed.get("persistentvolumeclaim", "tenanthub-state")["status"]["phase"] == "Bound"
    assert installed.secrets() == secrets
    assert _uids(installed) == running

    installed.upgrade()
    installed.wait()
    assert installed.secrets() == secrets
    eventually("it has the notebook", lambda: member.server(world.MEMBER, "steady").get("ready"), patience_s=PATIENCE_S)
    assert _uids(installed) == running


def test_a_token_of_a_pod_that_is_not_hub_or_portal_does_not_exist(installed: Installed) -> None:
    """Proxy and culler can ask nothing of the API server: no token is mounted."""
    for part in ("proxy", "culler"):
        for pod in installed.pods(part):
            mounts = [mount["mountPath"] for one in pod["spec"]["containers"] for mount in one["volumeMounts"]]
            assert not [path for path in mounts if "serviceaccount" in path]


def test_first_passwords_are_not_in_the_release(installed: Installed) -> None:
    """What helm keeps of a release holds no password: those come by a Secret that the operator made."""
    found = installed.get("secrets", "--selector=owner=helm")["items"]
    text = "".join(base64.b64decode(one["data"]["release"]).decode() for one in found)
    assert found
    assert not [password for password in installed.passwords.values() if password in text]
