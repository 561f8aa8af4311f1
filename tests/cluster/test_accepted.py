"""Every object that the compiler makes, on a real API server with the add-ons' own definitions of both versions.

Accepted with strict field validation, without a word of warning, and the second time nothing changes.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from config.cluster.client import ApiError, Cluster
from config.compile import compile_world
from config.emit.common import Manifest
from config.load import load
from config.models import World
from config.names import admin_group, member_group, namespace
from config.order import kind_of
from tests.bench.worlds import cluster_world
from tests.cluster.bed import Bed, down, up

DATA = Path(__file__).parents[1] / "data" / "compile"
CASES = sorted(path.name for path in DATA.iterdir() if path.is_dir())
TENANTS = 500
PATIENCE_S = 90.0
AT_ONCE = 8

ControlPlane = Callable[[str], Bed]


class Listening:
    """In place of a Cluster's connection pool: notes every warning that the API server adds to an answer."""

    def __init__(self, cluster: Cluster) -> None:
        self.pool = cluster.api.rest_client.pool_manager
        self.warnings: list[str] = []
        cluster.api.rest_client.pool_manager = self  # type: ignore[assignment]

    def request(self, method: str, url: str, **settings: Any) -> Any:
        answer = self.pool.request(method, url, **settings)
        self.warnings += [f"{method} {url}: {said}" for said in answer.headers.getlist("Warning")]
        return answer


def _path(manifest: Manifest) -> str:
    return kind_of(manifest).path(manifest["metadata"]["name"], manifest["metadata"].get("namespace"))


def _until(what: str, probe: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(0.1)


def _lend(cluster: Cluster, objects: tuple[Manifest, ...]) -> list[str]:
    """What the world takes for granted: its nodes, and the namespace of MetalLB. Paths of what was made."""
    names = {one["metadata"]["name"] for one in objects if kind_of(one).borrowed}
    wanted = [("/api/v1/nodes", {"kind": "Node", "metadata": {"name": name}}) for name in sorted(names)]
    spaces = {one["metadata"]["namespace"] for one in objects if kind_of(one).addon == "metallb"}
    wanted += [("/api/v1/namespaces", {"kind": "Namespace", "metadata": {"name": name}}) for name in sorted(spaces)]
    for collection, body in wanted:
        try:
            cluster.request("POST", collection, body={"apiVersion": "v1", **body})
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
    return [f"/api/v1/nodes/{name}" for name in sorted(names)]


def _apply(cluster: Cluster, manifest: Manifest) -> str:
    """Applied as it is; the resourceVersion then.

    Of a node's fields only the labels: the list of taints is one field, of which the node controller has its part, so
    that apply reads and merges it. What we would write there is asked for all the same.
    """
    if kind_of(manifest).borrowed:
        cluster.apply(_path(manifest), manifest, force=True, dry_run=True)
        manifest = {name: value for name, value in manifest.items() if name != "spec"}
    version: str = cluster.apply(_path(manifest), manifest)["metadata"]["resourceVersion"]
    return version


def _all(cluster: Cluster, objects: tuple[Manifest, ...], act: Callable[[Cluster, Manifest], object]) -> None:
    """In order, those of one kind side by side."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for _, group in groupby(objects, lambda one: str(one["kind"])):
            list(pool.map(lambda one: act(cluster, one), group))


def _unchanged(cluster: Cluster, manifest: Manifest) -> None:
    """Applying once more changes nothing. Controllers write to some objects (a quota's status), so it may take two."""

    def same() -> bool:
        live = cluster.get(_path(manifest))
        assert live is not None
        return _apply(cluster, manifest) == str(live["metadata"]["resourceVersion"])

    _until(f"applying {_path(manifest)} again changes nothing", same)


def _versions(cluster: Cluster, objects: tuple[Manifest, ...]) -> dict[str, str]:
    """resourceVersion by path, of everything of the kinds in *objects*."""
    found = {}
    for kind in dict.fromkeys(map(kind_of, objects)):
        for live in cluster.list(kind.collection()):
            path = kind.path(live["metadata"]["name"], live["metadata"].get("namespace"))
            found[path] = live["metadata"]["resourceVersion"]
    return found


def _delete(cluster: Cluster, objects: tuple[Manifest, ...], lent: list[str]) -> None:
    """Namespaces last, which takes what is in them along."""
    for one in objects:
        if kind_of(one).addon or not (kind_of(one).namespaced or kind_of(one).borrowed or one["kind"] == "Namespace"):
            cluster.delete(_path(one))
    spaces = [_path(one) for one in objects if one["kind"] == "Namespace"]
    for path in (*lent, *spaces):
        cluster.delete(path)
    for path in spaces:
        _until(f"{path} is gone", lambda path=path: cluster.get(path) is None)  # type: ignore[misc]


@contextmanager
def _standing(cluster: Cluster, world: World) -> Iterator[tuple[Manifest, ...]]:
    """The world's objects on the API server; all gone afterwards."""
    objects = compile_world(world)
    lent = _lend(cluster, objects)
    try:
        _all(cluster, objects, _apply)
        yield objects
    finally:
        _delete(cluster, objects, lent)


@pytest.mark.parametrize("definitions", ["paper", "current"])
@pytest.mark.parametrize("case", CASES)
def test_every_object_is_accepted_and_the_second_time_changes_nothing(
    case: str, definitions: str, control_plane: ControlPlane
) -> None:
    cluster = Cluster.connect(control_plane(definitions).kubeconfig)
    heard = Listening(cluster)
    with _standing(cluster, load(DATA / case)) as objects:
        for manifest in objects:
            _unchanged(cluster, manifest)
    assert heard.warnings == []


def test_a_warning_would_be_heard(kyoto: Cluster) -> None:
    """A Pod template that Pod Security would refuse is one: the namespaces' label `warn` at work."""
    heard = Listening(kyoto)
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": _pod()["spec"]["containers"]}}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    body = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}, "spec": spec}
    path = f"/apis/apps/v1/namespaces/{namespace('physics')}/deployments"
    kyoto.request("POST", path, query={"dryRun": "All"}, body=body)
    assert len(heard.warnings) == 1
    assert "would violate PodSecurity" in heard.warnings[0]


@pytest.fixture(scope="module")
def kyoto(control_plane: ControlPlane) -> Iterator[Cluster]:
    """The golden world kyoto in place."""
    cluster = Cluster.connect(control_plane("current").kubeconfig)
    with _standing(cluster, load(DATA / "kyoto")):
        yield cluster


def _pod(resources: dict[str, Any] | None = None) -> Manifest:
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    image = "registry.example.org/research/tool:1"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"x{uuid.uuid4().hex[:8]}"},
        "spec": {
            "securityContext": {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [{"name": "main", "image": image, "securityContext": security, "resources": resources or {}}],
        },
    }


def _create(cluster: Cluster, tenant: str, pod: Manifest) -> dict[str, Any]:
    """What the API server makes of *pod*; nothing is kept. Right after its making a quota is not worked out yet."""
    path = f"/api/v1/namespaces/{namespace(tenant)}/pods"
    answer: dict[str, Any] = {}

    def accepted() -> bool:
        try:
            answer.update(cluster.request("POST", path, query={"dryRun": "All"}, body=pod))
        except ApiError as error:
            if "status unknown for quota" in error.message:
                return False
            raise
        return True

    _until("the quota is worked out", accepted)
    return answer


def test_a_pod_that_says_nothing_gets_the_tenants_nodes_and_requests(kyoto: Cluster) -> None:
    spec = _create(kyoto, "physics", _pod())["spec"]
    domain = "edge.kudpc.kyoto-u.ac.jp"
    assert spec["nodeSelector"] == {f"{domain}/node_physics": "true", "pool": "sciences"}
    taint = {"key": f"{domain}/tenant", "operator": "Equal", "value": "physics", "effect": "NoSchedule"}
    assert taint in spec["tolerations"]
    assert spec["containers"][0]["resources"] == {
        "limits": {"memory": "512Mi"},
        "requests": {"cpu": "100m", "memory": "512Mi"},
    }
    assert not [volume for volume in spec.get("volumes", ()) if "projected" in volume], "no token of the API server"


def test_guaranteed_is_what_pods_are(kyoto: Cluster) -> None:
    assert _create(kyoto, "history", _pod())["status"]["qosClass"] == "Guaranteed"
    assert _create(kyoto, "physics", _pod())["status"]["qosClass"] == "Burstable"
    burst = _pod({"requests": {"cpu": "100m", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}})
    with pytest.raises(ApiError, match="limit to request ratio"):
        _create(kyoto, "history", burst)
    assert _create(kyoto, "physics", burst)["status"]["qosClass"] == "Burstable"


def test_the_quota_holds(kyoto: Cluster) -> None:
    big = {"cpu": "9", "memory": "1Gi"}
    with pytest.raises(ApiError, match=r"exceeded quota: tenanthub, requested: requests\.cpu=9"):
        _create(kyoto, "history", _pod({"requests": big, "limits": big}))


MEMBER, ADMIN = (member_group("physics"),), (member_group("physics"), admin_group("physics"))
FOREIGN = (member_group("history"), admin_group("history"))


@pytest.mark.parametrize(
    ("groups", "where", "verb", "group", "resource", "allowed"),
    [
        (MEMBER, "physics", "create", "", "pods", True),
        (MEMBER, "physics", "get", "", "pods/log", True),
        (MEMBER, "physics", "create", "", "pods/exec", True),
        (MEMBER, "physics", "create", "", "pods/portforward", True),
        (MEMBER, "physics", "patch", "apps", "deployments/scale", True),
        (MEMBER, "physics", "delete", "batch", "cronjobs", True),
        (MEMBER, "physics", "get", "", "secrets", True),
        (MEMBER, "physics", "list", "", "resourcequotas", True),
        (MEMBER, "physics", "deletecollection", "", "pods", False),
        (ADMIN, "physics", "deletecollection", "", "pods", True),
        (ADMIN, "physics", "list", "rbac.authorization.k8s.io", "rolebindings", True),
        (ADMIN, "physics", "create", "rbac.authorization.k8s.io", "rolebindings", False),
        (ADMIN, "physics", "update", "", "resourcequotas", False),
        (ADMIN, "physics", "create", "networking.k8s.io", "networkpolicies", False),
        (ADMIN, "physics", "create", "", "serviceaccounts/token", False),
        (ADMIN, "physics", "create", "discovery.k8s.io", "endpointslices", False),
        (ADMIN, "physics", "patch", "", "services/status", False),
        (ADMIN, "physics", "patch", "", "pods/ephemeralcontainers", False),
        (ADMIN, "physics", "patch", "", "namespaces", False),
        (ADMIN, "history", "get", "", "pods", False),
        (ADMIN, "", "list", "", "pods", False),
        (ADMIN, "", "list", "", "nodes", False),
        (ADMIN, "", "create", "apiextensions.k8s.io", "customresourcedefinitions", False),
        (ADMIN, "", "impersonate", "", "groups", False),
        (FOREIGN, "physics", "get", "", "secrets", False),
    ],
)
def test_rights_as_the_api_server_sees_them(
    groups: tuple[str, ...], where: str, verb: str, group: str, resource: str, allowed: bool, kyoto: Cluster
) -> None:
    name, _, below = resource.partition("/")
    asked = {"verb": verb, "group": group, "resource": name, "subresource": below}
    if where:
        asked["namespace"] = namespace(where)
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {"user": "ada", "groups": [*groups, "system:authenticated"], "resourceAttributes": asked},
    }
    answer = kyoto.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body=review)
    assert answer["status"]["allowed"] is allowed


@pytest.mark.timeout(900)  # fifteen thousand requests
def test_five_hundred_tenants(control_plane: ControlPlane) -> None:
    """On an API server of its own: taking away five hundred namespaces would keep the others' busy for minutes."""
    control_plane("current")  # the fixture says what this machine lacks
    name = f"b{uuid.uuid4().hex[:7]}"
    try:
        cluster = Cluster.connect(up(name, nodes=0, crds="current", own=True).kubeconfig)
        heard = Listening(cluster)
        objects = compile_world(cluster_world(TENANTS))
        _lend(cluster, objects)
        _all(cluster, objects, _apply)
        before = _versions(cluster, objects)
        _all(cluster, objects, _apply)
        after = _versions(cluster, objects)
        for manifest in objects:  # what a controller wrote to in between is asked once more
            if before[_path(manifest)] != after[_path(manifest)]:
                _unchanged(cluster, manifest)
        assert heard.warnings == []
        made = {item["metadata"]["name"] for item in cluster.list("/api/v1/namespaces")}
        assert len([one for one in made if one.startswith("tenant-group-")]) == TENANTS
    finally:
        down(name)
