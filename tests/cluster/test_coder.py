"""A tenant's own Coder on real nodes: its objects by the hub's rights alone, its Role, its address, its workspaces.

What runs in Coder's place is the bed's own image, which answers every request with 200 and says so in its answer:
Coder's image is not to be had here. Not tested with it: Coder itself, its database and its templates.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from subprocess import CompletedProcess
from typing import Any

import pytest

from config.emit.common import Manifest
from spawners.kinds.coder import PORT, CoderKind
from spawners.kube.enforce import admit
from spawners.kube.launch import Launch
from spawners.kube.manifests import manifests
from tests.cluster.bed import Bed, binaries, images, lab
from tests.cluster.kube import eventually
from tests.cluster.laboratory import fetched, pod_spec
from tests.cluster.room import Room, room

HUB = "hub"
"""Stands for the hub's service account: what counts is what it may do."""
DATABASE = {"database_secret": "coder-db"}
_ALL = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"]
HELD = [
    {"apiGroups": [""], "resources": ["pods", "persistentvolumeclaims"], "verbs": _ALL},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": _ALL},
]
"""docs/coder.md: what the hub has to hold itself, since it gives it to Coder."""
WRITES = [
    {"apiGroups": [""], "resources": ["services", "serviceaccounts"], "verbs": ["create", "get", "patch"]},
    {
        "apiGroups": ["rbac.authorization.k8s.io"],
        "resources": ["roles", "rolebindings"],
        "verbs": ["create", "get", "patch"],
    },
]


class StandIn(CoderKind):
    """Coder's plan with another program in it."""

    def kube(self, *of: Any) -> Any:
        plan = super().kube(*of)
        return plan.model_copy(update={"argv": (images.TOOL_PROGRAM, "http", str(PORT))})


@pytest.fixture(scope="module")
def place(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    profile = {"name": "coder", "kind": "coder", "image": images.TOOL}
    with room(bed, tmp_path_factory.mktemp("world"), [profile], 130) as made:
        yield made


@pytest.fixture(scope="module")
def coder(place: Room) -> Iterator[Launch]:
    """Coder, as the hub's account applies it with the rights that docs/coder.md names, and no others."""
    launch = place.launch(StandIn(), "coder", "coder", DATABASE, {})
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "coder-db", "namespace": place.namespace}}
    place.kube.apply({**secret, "stringData": {"url": "postgres://coder@db.invalid/coder"}})
    with _Rights(place, HUB, [*WRITES, *HELD]):
        for one in manifests(launch):
            admit(one, launch)
            done = _applied(place, HUB, one)
            assert done.returncode == 0, done.stderr
        place.ready("coder")
        yield launch


class _Rights:
    """Gives the account *name* the rules in the tenant's namespace until the end of the `with`."""

    def __init__(self, place: Room, name: str, rules: list[dict[str, Any]]) -> None:
        self.place, self.name, self.rules = place, name, rules

    def __enter__(self) -> None:
        group, meta = "rbac.authorization.k8s.io", {"name": self.name, "namespace": self.place.namespace}
        role = {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": meta, "rules": self.rules}
        subject = {"apiGroup": group, "kind": "User", "name": self.name}
        reference = {"apiGroup": group, "kind": "Role", "name": self.name}
        binding = {"apiVersion": f"{group}/v1", "kind": "RoleBinding", "metadata": meta}
        self.place.kube.apply(role, {**binding, "roleRef": reference, "subjects": [subject]})

    def __exit__(self, *_: object) -> None:
        self.place.kube.must("delete", "role,rolebinding", self.name, f"--namespace={self.place.namespace}")


def _applied(place: Room, user: str, manifest: Mapping[str, Any], *more: str) -> CompletedProcess[str]:
    argv = ("apply", "--server-side", "--validate=strict", "--filename=-", *more)
    return place.kube.kubectl(*argv, as_user=user, input=json.dumps(manifest))


def _as_coder(place: Room, *argv: str, given: Mapping[str, Any] | None = None) -> CompletedProcess[str]:
    """kubectl with a real token of Coder's own service account."""
    token = place.kube.must("create", "token", "coder", f"--namespace={place.namespace}").strip()
    text = json.dumps(given) if given else None
    return place.kube.kubectl(f"--token={token}", *argv, input=text)


def _workspace(name: str, argv: tuple[str, ...] = ("sleep",), **spec: Any) -> Manifest:
    """As a template of Coder's makes one."""
    meta = {"name": name, "labels": {"app.kubernetes.io/name": "coder-workspace"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": pod_spec(*argv, **spec)}


def test_it_is_reached_at_the_tenants_address_and_by_the_networks_machines_alone(
    place: Room, coder: Launch, bed: Bed
) -> None:
    tool = binaries.ensure(only=binaries.BED).tool
    service = place.get("service", "coder")
    assert service["spec"]["allocateLoadBalancerNodePorts"] is False
    ranges = ["192.0.2.0/24", "2001:db8:120::/64", *map(str, bed.pods)]
    assert service["spec"]["loadBalancerSourceRanges"] == ranges, "its network's, and the workspaces'"
    with lab.instrument(bed, "a", "desk", 61) as desk:
        for address in coder.plan.addresses:
            eventually(f"an answer at {address}", lambda address=address: fetched(desk, address, tool))  # type: ignore[misc]
            said = fetched(desk, address, tool)
            assert said and said["pod"].startswith("coder-"), "what stands in for Coder says which Pod it is"
    with lab.instrument(bed, "b", "foreign", 62) as foreign:
        assert fetched(foreign, coder.plan.addresses[0], tool) is None


def test_its_pod_is_restricted_on_the_tenants_worker_and_reads_its_database_from_the_secret(
    place: Room, coder: Launch
) -> None:
    (pod,) = place.pods(f"{place.operator.keys.kind}=coder")
    assert pod["spec"]["nodeName"] == "n1"
    assert pod["spec"]["serviceAccountName"] == "coder" == coder.name
    variables = {one["name"]: one for one in pod["spec"]["containers"][0]["env"]}
    assert variables["CODER_PG_CONNECTION_URL"]["valueFrom"]["secretKeyRef"] == {"name": "coder-db", "key": "url"}
    assert variables["CODER_ACCESS_URL"]["value"] == f"http://{coder.plan.addresses[0]}"
    mounted = [one["mountPath"] for one in pod["spec"]["containers"][0]["volumeMounts"]]
    assert "/var/run/secrets/kubernetes.io/serviceaccount" in mounted, "it needs its own token"


def test_its_workspaces_land_on_the_tenants_worker_and_nowhere_else(place: Room, coder: Launch) -> None:
    del coder
    space = f"--namespace={place.namespace}"
    made = _as_coder(place, "create", space, "--filename=-", given=_workspace("workspace"))
    assert made.returncode == 0, made.stderr
    pod = eventually("it runs", lambda: _running(place, "workspace"))
    assert pod["spec"]["nodeName"] == "n1", "which nobody but the admission said"
    foreign = {"key": f"{place.operator.domain}/tenant", "operator": "Equal", "value": "others", "effect": "NoSchedule"}
    for name, spec, told in (
        ("by-hand", {"nodeName": "n3"}, "skips the scheduler"),
        ("guest", {"tolerations": [foreign]}, "may tolerate only"),
        ("host", {"hostNetwork": True}, "violates PodSecurity"),
    ):
        done = _as_coder(place, "create", space, "--filename=-", given=_workspace(name, **spec))
        assert done.returncode != 0 and told in done.stderr, (name, done.stderr)
    assert _as_coder(place, "delete", "pod", "workspace", "--wait=false", space).returncode == 0


def _running(place: Room, name: str) -> dict[str, Any]:
    found = place.get("pod", name)
    return found if found["status"]["phase"] == "Running" else {}


def test_a_workspace_calls_its_coder_by_the_access_url(place: Room, coder: Launch) -> None:
    """From its own Pod, as the agent in it does: the address is the tenant's, the ranges are the network's."""
    for number, address in enumerate(coder.plan.addresses):
        url = f"http://[{address}]/" if ip_address(address).version == 6 else f"http://{address}/"
        name = f"agent-{number}"
        spec = {"restartPolicy": "Never"}
        made = _as_coder(
            place,
            "create",
            f"--namespace={place.namespace}",
            "--filename=-",
            given=_workspace(name, ("get", url), **spec),
        )
        assert made.returncode == 0, made.stderr
        phase = eventually("it has ended", lambda name=name: _ended(place, name))  # type: ignore[misc]
        assert phase == "Succeeded", place.kube.must("logs", name, f"--namespace={place.namespace}")


def _ended(place: Room, name: str) -> str:
    phase: str = place.get("pod", name)["status"]["phase"]
    return phase if phase in ("Succeeded", "Failed") else ""


def test_its_role_is_all_that_it_may_do(place: Room, coder: Launch) -> None:
    del coder
    everybody = _may(place, "default")
    own = _may(place, place.namespace)
    assert {name: own[name] for name in own if own[name] != everybody.get(name)} == {
        "pods": set(_ALL),
        "persistentvolumeclaims": set(_ALL),
        "deployments.apps": set(_ALL),
    }
    beyond = {name for name in everybody if not name.startswith(("selfsubject", "[/"))}
    assert beyond <= {""}, "elsewhere it may only ask what it may do, and read what is everybody's"


def _may(place: Room, namespace: str) -> dict[str, set[str]]:
    """What the API server says that Coder may do in a namespace: verbs by resource."""
    done = _as_coder(place, "auth", "can-i", "--list", "--no-headers", f"--namespace={namespace}")
    assert done.returncode == 0, done.stderr
    rows = [re.split(r"\s{2,}", line.strip()) for line in done.stdout.splitlines() if line.strip()]
    return {row[0]: set(row[-1].strip("[]").split()) for row in rows}


def test_the_hub_cannot_give_what_it_does_not_hold(place: Room) -> None:
    """Kubernetes' own rule against escalation: so the chart's role of the hub has to hold Coder's rights."""
    launch = place.launch(StandIn(), "coder", "other", DATABASE, {})
    role = next(one for one in manifests(launch) if one["kind"] == "Role")
    with _Rights(place, "poorer-hub", WRITES):
        refused = eventually("a refusal", lambda: _refusal(place, role))
    assert "attempting to grant RBAC permissions not currently held" in refused
    assert "persistentvolumeclaims" in refused


def _refusal(place: Room, role: Manifest) -> str:
    said = _applied(place, "poorer-hub", role, "--dry-run=server").stderr
    return said if "not currently held" in said else ""
