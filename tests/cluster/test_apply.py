"""tenanthub plan and apply on a real API server: what an operator does, and what goes wrong meanwhile."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config.names import namespace
from config.order import KINDS
from tests.cluster.bed import Bed
from tests.cluster.kube import Kube
from tests.cluster.operator import Operator, state, tenant, writes

PATIENCE_S = 90.0


@pytest.fixture
def kube(control_plane: Callable[[str], Bed]) -> Kube:
    return Kube(control_plane("current"))


@pytest.fixture
def operator(control_plane: Callable[[str], Bed], kube: Kube, unique: str, tmp_path: Path) -> Iterator[Operator]:
    bed = control_plane("current")
    metallb = f"{unique}-metallb"
    did(kube, "create", "namespace", metallb)
    found = Operator(bed.kubeconfig, tmp_path / "world", f"{unique}.example.org", metallb)
    yield found
    found.declare()
    there = {place[2] for place in state(found.cluster, found.keys)}
    gone = [name for name in there if name.startswith("tenant-")]
    more = [word for name in gone for word in ("--remove-tenant", name.removeprefix("tenant-").partition(".")[0])]
    found.run("apply", "--yes", "--force-conflicts", *more)


def until(what: str, probe: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(0.05)


def did(kube: Kube, *args: str, input: str | None = None) -> str:
    """What kubectl says where it has to succeed."""
    done = kube.kubectl(*args, input=input)
    assert done.returncode == 0, done.stderr
    return done.stdout


def changes(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [change for change in plan["changes"] if change["kind"] == kind]


def test_everything_is_made_and_the_second_time_nothing_is_written(operator: Operator, unique: str) -> None:
    operator.declare(tenant(unique), tenant(f"{unique}-b", 2))
    planned = operator.plan()
    assert {change["action"] for change in planned["changes"]} == {"create"}
    assert {change["tenant"] for change in planned["changes"]} == {None, unique, f"{unique}-b"}
    operator.apply()
    made = writes(operator.cluster, operator.keys)
    assert {(change["kind"], change["name"]) for change in planned["changes"]} == {
        (one["kind"], one["metadata"]["name"]) for one in state(operator.cluster, operator.keys).values()
    }
    assert operator.plan()["changes"] == []
    assert "nothing to do" in operator.apply()
    assert writes(operator.cluster, operator.keys) == made


def test_a_wall_around_the_wrong_addresses_is_refused(operator: Operator, unique: str) -> None:
    """The API server's own Service tells that its range is another one."""
    operator.declare(tenant(unique))
    site = operator.folder / "site.yaml"
    site.write_text(site.read_text().replace("10.176.0.0/12", "10.240.0.0/16"))
    (problem,) = operator.plan()["problems"]
    assert "cluster.services" in problem
    assert "Service kubernetes has 10." in problem
    assert operator.run("apply", "--yes").returncode == 1
    assert state(operator.cluster, operator.keys) == {}


def test_a_change_is_shown_field_by_field_and_touches_nothing_else(operator: Operator, unique: str) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    before = writes(operator.cluster, operator.keys)
    operator.declare(tenant(unique, workloads=30))
    planned = operator.plan()
    assert {change["kind"] for change in planned["changes"]} == {"ResourceQuota"}
    fields = planned["changes"][0]["fields"]
    assert fields
    assert all(field["old"] != field["new"] and field["by"] is None for field in fields)
    operator.apply()
    after = writes(operator.cluster, operator.keys)
    assert {KINDS[place[0]].kind for place in after if after[place] != before[place]} == {"ResourceQuota"}
    assert operator.plan()["changes"] == []


def test_a_hand_edit_shows_who_made_it_and_is_only_taken_back_by_force(
    operator: Operator, kube: Kube, unique: str
) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    space = namespace(unique)
    quota = ("patch", "resourcequota", "tenanthub", "-n", space, "--field-manager=kubectl-edit", "-p")
    did(kube, *quota, json.dumps({"spec": {"hard": {"pods": "999"}}}))
    wall = json.loads(did(kube, "get", "networkpolicy", "-n", space, "-o", "json"))["items"][0]
    # A peer more in a rule: every value that was declared is still there.
    rule = next(rule for rule in wall["spec"]["ingress"] if rule.get("from"))
    rule["from"].append({"namespaceSelector": {}})
    wall["metadata"].pop("managedFields", None)
    did(kube, "replace", "-f", "-", input=json.dumps(wall))
    planned = operator.plan()
    (hard,) = (field for field in changes(planned, "ResourceQuota")[0]["fields"] if field["path"] == "spec.hard.pods")
    assert hard["old"] == "999"
    assert hard["by"].startswith("kubectl-edit, 20")
    assert changes(planned, "NetworkPolicy")[0]["fields"][0]["by"].startswith("kubectl-replace")
    told = operator.refused()
    assert "ResourceQuota" in told
    assert "spec.hard.pods is held by kubectl-edit" in told
    assert "--force-conflicts" in told
    operator.apply("--force-conflicts")
    assert operator.plan()["changes"] == []
    healed = json.loads(did(kube, "get", "networkpolicy", "-n", space, "-o", "json"))["items"][0]
    assert {"namespaceSelector": {}} not in [one for rule in healed["spec"]["ingress"] for one in rule.get("from", [])]


def test_what_somebody_took_away_comes_back_without_force(operator: Operator, kube: Kube, unique: str) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    enforce = "pod-security.kubernetes.io/enforce"
    did(kube, "label", "namespace", namespace(unique), f"{enforce}-")
    did(kube, "delete", "rolebinding", "--all", "-n", namespace(unique))
    planned = operator.plan()
    (field,) = changes(planned, "Namespace")[0]["fields"]
    assert (field["path"], field["old"], field["new"]) == (f"metadata.labels[{enforce}]", None, "restricted")
    assert {change["action"] for change in changes(planned, "RoleBinding")} == {"create"}
    operator.apply()
    assert operator.plan()["changes"] == []


def test_what_others_add_is_left_alone(operator: Operator, kube: Kube, unique: str) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    did(kube, "label", "namespace", namespace(unique), "cost-centre=4711")
    did(kube, "annotate", "ipaddresspool", "-n", operator.metallb, "--all", "team=network")
    assert operator.plan()["changes"] == []


def test_objects_of_another_team_survive_a_prune(operator: Operator, kube: Kube, unique: str) -> None:
    operator.declare(tenant(unique), tenant(f"{unique}-b", 2))
    operator.apply()
    others = f"{unique}-others"
    did(kube, "create", "namespace", others)
    did(kube, "create", "role", "ours", "--verb=get", "--resource=pods", "-n", namespace(unique))
    pool = {
        "apiVersion": "metallb.io/v1beta1",
        "kind": "IPAddressPool",
        # Another installation of TenantHub, under another domain: its label is not ours.
        "metadata": {
            "name": others,
            "namespace": operator.metallb,
            "labels": {"other.example.org/declared-by": "tenanthub"},
        },
        "spec": {"addresses": ["192.0.2.99/32"]},
    }
    did(kube, "apply", "-f", "-", input=json.dumps(pool))
    operator.declare(tenant(unique, lb=[], egress=[]))
    planned = operator.plan()
    assert {change["action"] for change in changes(planned, "IPAddressPool")} == {"delete"}
    operator.apply("--remove-tenant", f"{unique}-b")
    pools = json.loads(did(kube, "get", "ipaddresspools", "-n", operator.metallb, "-o", "json"))
    assert [one["metadata"]["name"] for one in pools["items"]] == [others]
    did(kube, "get", "namespace", others)
    did(kube, "get", "role", "ours", "-n", namespace(unique))
    gone = f"{unique}-b"
    assert not [place for place in state(operator.cluster, operator.keys) if gone in place[1] or gone in place[2]]


def test_a_namespace_that_is_somebody_elses_is_refused_unless_adopted(
    operator: Operator, kube: Kube, unique: str
) -> None:
    did(kube, "create", "namespace", namespace(unique))
    operator.declare(tenant(unique))
    told = operator.refused()
    assert f"Namespace {namespace(unique)} exists, but was not made by tenanthub" in told
    operator.apply("--adopt")
    assert operator.plan()["changes"] == []


def test_an_addon_that_is_not_installed_is_one_error_with_the_line_to_change(
    operator: Operator, kube: Kube, unique: str
) -> None:
    operator.declare(tenant(unique))
    definitions = did(kube, "get", "crd", "tenants.capsule.clastix.io", "-o", "json")
    did(kube, "delete", "crd", "tenants.capsule.clastix.io")
    try:
        told = operator.refused()
    finally:
        whole = json.loads(definitions)
        whole["metadata"] = {
            name: whole["metadata"][name] for name in ("name", "annotations") if name in whole["metadata"]
        }
        did(kube, "create", "-f", "-", input=json.dumps({**whole, "status": None}))
        until("Capsule's definition serves", lambda: operator.cluster.get("/apis/capsule.clastix.io/v1beta2/tenants"))
    (line,) = (line for line in told.splitlines() if "Tenant" in line)
    assert "site.yaml:" in line
    assert "addons.capsule" in line
    assert "write capsule: false" in line


def test_a_missing_namespace_of_metallb_is_told_before_anything_is_applied(operator: Operator, unique: str) -> None:
    elsewhere = Operator(operator.kubeconfig, operator.folder, operator.domain, "nowhere")
    elsewhere.declare(tenant(unique))
    assert "there is no namespace nowhere in the cluster" in elsewhere.refused()


def test_a_changed_egress_address_makes_policy_and_gateway_anew(operator: Operator, kube: Kube, unique: str) -> None:
    operator.declare(tenant(unique, egress=["200"]))
    operator.apply()
    name = f"tenant-{unique}.lab"
    before = json.loads(did(kube, "get", "egressclusterpolicy", name, "-o", "json"))
    operator.declare(tenant(unique, egress=["210"]))
    planned = operator.plan()
    assert [change["action"] for change in changes(planned, "EgressClusterPolicy")] == ["replace"]
    operator.apply()
    after = json.loads(did(kube, "get", "egressclusterpolicy", name, "-o", "json"))
    assert after["spec"]["egressIP"]["ipv4"] == "10.55.1.210"
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert operator.plan()["changes"] == []


def test_nodes_get_marks_keep_other_peoples_and_lose_only_ours(operator: Operator, kube: Kube, unique: str) -> None:
    nodes = [f"{unique}-n{number}" for number in (1, 2)]
    for name in nodes:
        did(
            kube,
            "create",
            "-f",
            "-",
            input=json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}}),
        )
    ours = f"{operator.domain}/node_{unique}"
    try:
        did(kube, "taint", "node", nodes[0], "maintenance=soon:PreferNoSchedule")
        did(kube, "label", "node", nodes[0], "rack=7", f"{ours}=true")  # as a site did before TenantHub
        operator.declare(tenant(unique, nodes=[*nodes, f"{unique}-n9"]))
        assert f"{unique}-n9 is not in the cluster; skipped" in operator.plan()["warnings"]
        operator.apply()
        assert operator.plan()["changes"] == []
        first = json.loads(did(kube, "get", "node", nodes[0], "-o", "json"))
        assert first["metadata"]["labels"][ours] == "true"
        assert {"maintenance", operator.keys.tenant} <= {one["key"] for one in first["spec"]["taints"]}
        operator.declare(tenant(unique, nodes=[nodes[1]]))
        assert [change["action"] for change in changes(operator.plan(), "Node")] == ["forget"]
        operator.apply()
        first = json.loads(did(kube, "get", "node", nodes[0], "-o", "json"))
        assert [name for name in first["metadata"]["labels"] if name.startswith(operator.domain)] == []
        assert first["metadata"]["labels"]["rack"] == "7"
        left = {one["key"] for one in first["spec"]["taints"]}
        assert "maintenance" in left
        assert operator.keys.tenant not in left
        assert operator.plan()["changes"] == []
        assert operator.cluster.get(f"/api/v1/nodes/{unique}-n9") is None
    finally:
        operator.declare()
        operator.run("apply", "--yes", "--remove-tenant", unique)
        did(kube, "delete", "node", *nodes)


def test_removing_a_tenant_lists_what_runs_and_needs_its_name(operator: Operator, kube: Kube, unique: str) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    did(kube, "create", "cronjob", "nightly", "--image=none", "--schedule=0 3 * * *", "-n", namespace(unique))
    operator.declare()
    (removal,) = operator.plan()["removals"]
    assert removal["tenant"] == unique
    assert removal["running"] == {"CronJobs": ["nightly"]}
    told = operator.refused()
    assert "CronJobs (1): nightly" in told
    assert f"--remove-tenant {unique}" in told
    operator.apply("--remove-tenant", unique)
    assert operator.cluster.get(f"/api/v1/namespaces/{namespace(unique)}") is None
    left = [(space, name) for _, space, name in state(operator.cluster, operator.keys)]
    assert [name for space, name in left if space or name == unique or name.startswith(namespace(unique))] == []
    assert operator.plan()["changes"] == []


def test_a_kept_namespace_keeps_what_guards_it_and_is_ours_no_more(operator: Operator, kube: Kube, unique: str) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    space = namespace(unique)
    did(kube, "create", "cronjob", "nightly", "--image=none", "--schedule=0 3 * * *", "-n", space)
    operator.declare()
    operator.apply("--keep-namespaces", "--remove-tenant", unique)
    assert operator.plan()["changes"] == []
    kept = json.loads(did(kube, "get", "namespace", space, "-o", "json"))["metadata"]
    assert kept["labels"][operator.keys.tenant] == unique  # what admission rules and walls go by
    assert operator.keys.declared_by not in kept["labels"]
    assert operator.keys.loadbalancer_addresses not in kept.get("annotations", {})
    for kind, name in (("cronjob", "nightly"), ("resourcequota", "tenanthub"), ("limitrange", "tenanthub")):
        did(kube, "get", kind, name, "-n", space)
    assert json.loads(did(kube, "get", "networkpolicy", "-n", space, "-o", "json"))["items"]
    assert json.loads(did(kube, "get", "rolebinding,role", "-n", space, "-o", "json"))["items"] == []
    pools = json.loads(did(kube, "get", "ipaddresspool", "-n", operator.metallb, "-o", "json"))
    assert pools["items"] == []
    # The tenant comes back: only when told to take the namespace over.
    operator.declare(tenant(unique))
    assert "exists, but was not made by tenanthub" in operator.refused()
    operator.apply("--adopt")
    assert operator.plan()["changes"] == []


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_any_moment_and_run_again_it_ends_the_same(operator: Operator, unique: str, seed: int) -> None:
    before = [tenant(unique), tenant(f"{unique}-b", 2)]
    # The first tenant gives its network to a new one and gets that of the second, which goes.
    after = [tenant(unique, 2, lb=["15-30"], egress=["210"]), tenant(f"{unique}-c", 1, egress=[])]
    remove = ("--remove-tenant", f"{unique}-b")
    chance = random.Random(seed)
    operator.declare(*before)
    operator.apply()
    operator.declare(*after)
    began = state(operator.cluster, operator.keys)
    while state(operator.cluster, operator.keys) == began:
        # Killed after a number of lines of progress, that is, after so many writes; the next is under way.
        with subprocess.Popen(
            operator.command("apply", "--yes", *remove), stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            for _ in range(chance.randint(1, 25)):
                process.stderr.readline()
            process.send_signal(signal.SIGKILL)
    operator.apply(*remove)
    ended = state(operator.cluster, operator.keys)
    assert operator.plan()["changes"] == []
    # The same world without any accident.
    operator.declare(*before)
    operator.apply("--remove-tenant", f"{unique}-c")
    operator.declare(*after)
    operator.apply(*remove)
    assert state(operator.cluster, operator.keys) == ended


def test_two_applies_at_once_do_not_mix(operator: Operator, unique: str) -> None:
    operator.declare(tenant(unique))
    operator.apply()
    other = Operator(operator.kubeconfig, operator.folder.with_name("other"), operator.domain, operator.metallb)
    many = [tenant(f"{unique}-{number}", number) for number in range(2, 8)]
    operator.declare(tenant(unique, workloads=30), *many)
    other.declare(tenant(unique, workloads=40), *many)
    running = [
        subprocess.Popen(
            one.command("apply", "--yes", "--force-conflicts"),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for one in (operator, other)
    ]
    told = [process.communicate(timeout=240)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], told
    # One of the two worlds stands whole.
    assert sorted(len(one.plan()["changes"]) for one in (operator, other)) == [0, 1]
    removal = [word for number in range(2, 8) for word in ("--remove-tenant", f"{unique}-{number}")]
    operator.declare(tenant(unique))
    operator.apply(*removal)
