"""The chart on real nodes: installed, upgraded under load, its hub killed, uninstalled, installed again.

One installation for all tests of this file, in their order: each leaves it as good as it was.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml

from tests.cluster import chart_rights as rights
from tests.cluster import images
from tests.cluster.chart import PARTS, RELEASE, Installed
from tests.cluster.chart_people import API, PATIENCE_S, Asking, Person, Ticking
from tests.cluster.journeys import world
from tests.cluster.kube import Kube, eventually
from tests.loops import run_apart
from tests.unit.helm.chart import DATA, objects
from tools.images import layout

pytestmark = pytest.mark.timeout(1200)
"""Seconds: the first test waits for the installation, an upgrade for Pods on a busy machine."""
TENANT = "tenant-physics"
CASES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
NEW = "geology"
"""The tenant that comes while the hub runs."""


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


@pytest.mark.parametrize("case", CASES)
def test_the_api_server_knows_each_field_of_the_chart(kube: Kube, unique: str, case: str) -> None:
    """Strictly, and every kind of object: the Ingress too, which no controller here would serve."""
    found = objects(files=[DATA / case / "values.yaml"])
    kube.must("create", "namespace", unique)
    for one in found:
        one["metadata"].pop("namespace", None)
        one["metadata"]["name"] += f"-{unique}"  # what is installed beside it, as ClusterRoles, stays apart
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": found})
    taken = kube.must(
        "create", "--dry-run=server", "--validate=strict", f"--namespace={unique}", "--filename=-", input=text
    )
    assert len(taken.splitlines()) == len(found)


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
    installed.hurry()

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
        assert done <= wanted | {rights.Right("get", "", "secrets")} | EARLIER
        assert {right for right in wanted - done if (name, *right) not in LATER} == set()


EARLIER = {rights.Right(verb, "", "persistentvolumeclaims") for verb in ("create", "get")}
"""In the log of a bed that has carried test_home_volume.py before, whose world has a storage class."""
LATER = {
    ("hub", "delete", "", "configmaps"): "records of a month ago",
    ("hub", "delete", "", "secrets"): "the last remote of a tenant goes",
    ("hub", "delete", "batch", "jobs"): "Jobs of schedules that nobody owns any more",
    ("hub", "list", "", "events"): "a launch that takes long",
    ("hub", "get", "", "pods"): "a Pod of that name is in the way of a launch",
    ("portal", "create", "", "pods/exec"): "Kubernetes 1.35 asks for it besides get, and notes the latter",
    ("portal", "delete", "batch", "cronjobs"): "a schedule that was suspended by hand",
}
"""Granted, and not used by the test above; with the reason."""


def _removed(person: Person, owner: str, name: str) -> bool:
    """Whether it could be removed from the list: refused while its Pods are still going."""
    answer = person.made.portal("POST", f"{API}/{owner}/{name}/forget", person.token)
    return answer.status_code in (204, 404)


def test_an_upgrade_under_load_touches_no_workload(
    installed: Installed, member: Person, running: dict[str, str]
) -> None:
    """Another tag: hub, portal and culler are replaced while a terminal counts through the proxy, which stays, and
    people ask for pages."""
    secrets, before = installed.secrets(), {part: installed.uids(part) for part in PARTS}
    values = installed.values()
    proxy = {**values["proxy"], "image": values["images"]["hub"]}
    asking = Asking(installed, member)

    async def meanwhile() -> list[int]:
        ticking = Ticking(installed, member, "steady")
        both = asyncio.create_task(ticking.run()), asyncio.create_task(asking.run())
        await ticking.reaches(5)
        await asyncio.to_thread(installed.upgrade, images=_another_tag(installed), proxy=proxy)
        await asyncio.to_thread(installed.wait)
        await ticking.reaches(len(ticking.seen) + 5)
        # The portals before are still going: they end while people ask.
        await asyncio.to_thread(_have_ended, installed, before["portal"])
        for task in both:
            task.cancel()
        ends = await asyncio.gather(*both, return_exceptions=True)
        assert [type(end) for end in ends] == [asyncio.CancelledError] * 2, ends
        return ticking.seen

    numbers = run_apart(meanwhile())
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "words were lost"
    assert asking.without_hub == {200}, "a portal went before who asked it knew of another"
    assert 200 in asking.of_hub
    assert asking.of_hub <= {200, 502}, "besides the portal's own word that the hub is away"
    after = {part: installed.uids(part) for part in PARTS}
    assert {part for part in PARTS if before[part] & after[part]} == {"proxy"}
    assert installed.secrets() == secrets
    assert _uids(installed) == running
    eventually("the hub still has it", lambda: member.server(world.MEMBER, "steady").get("ready"))


def test_a_proxy_that_is_replaced_with_the_rest_gets_its_routes_again(
    installed: Installed, member: Person, running: dict[str, str]
) -> None:
    """As it is without `proxy.image`: the connections break, and everything is found again."""
    another, before = _another_tag(installed), {part: installed.uids(part) for part in PARTS}
    installed.upgrade(images=another)
    installed.wait()
    after = {part: installed.uids(part) for part in PARTS}
    assert {part for part in PARTS if before[part] & after[part]} <= {"hub", "portal", "culler"}
    for part in PARTS:
        [pod, *_] = installed.pods(part)
        assert pod["spec"]["containers"][0]["image"].endswith(f":{another['hub']['tag']}"), part
    path = f"/user/{world.MEMBER}/steady/api/status"
    eventually("the notebook is reached", lambda: installed.portal("GET", path, member.token).status_code == 200)
    pages = f"{API}/{TENANT}/inbox/log"
    eventually("so is the portal", lambda: installed.portal("GET", pages, member.token).status_code == 200)
    assert _uids(installed) == running


def _another_tag(made: Installed) -> dict[str, Any]:
    """`images` of the chart's values with the hub's image under another tag, as a new version has one."""
    found = made.values()["images"]
    stored = images.engine().stored(images.built()["hub"].reference)
    layout.push(stored, str(made.bed.registry), found["hub"]["repository"], "another")
    return {**found, "hub": {**found["hub"], "tag": "another"}}


def _have_ended(made: Installed, uids: set[str]) -> None:
    """Wait until none of these portals is there any more, not even on its way out."""

    def look() -> bool:
        found = made.get("pods", "--selector=app.kubernetes.io/component=portal")["items"]
        return not uids & {one["metadata"]["uid"] for one in found}

    eventually("the portals before have ended", look, patience_s=PATIENCE_S)


def test_a_hub_that_is_killed_comes_back_with_everything(
    installed: Installed, member: Person, running: dict[str, str]
) -> None:
    (uid,) = installed.uids("hub")
    name = installed.pods("hub")[0]["metadata"]["name"]
    installed.kube.must("delete", "pod", name, "--grace-period=0", "--force", f"--namespace={installed.namespace}")
    eventually("another hub is there", lambda: installed.uids("hub") - {uid}, patience_s=PATIENCE_S)
    eventually("the new hub answers", lambda: installed.ready("hub") and installed.answers(), patience_s=PATIENCE_S)
    eventually("it has the notebook", lambda: member.server(world.MEMBER, "steady").get("ready"), patience_s=PATIENCE_S)
    assert _uids(installed) == running


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
