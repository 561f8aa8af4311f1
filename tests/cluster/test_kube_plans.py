"""Every object that the spawner makes, on a real API server, in namespaces that `tenanthub apply` made.

Dry runs: Pod Security, the admission policies, quota and strict field validation all have their say; nothing runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from config.cluster.client import ApiError, Cluster
from config.emit.common import Manifest
from config.models import Declared, Tenant
from config.names import keys
from spawners.kube.launch import Launch
from spawners.kube.manifests import manifests, pod_of
from tests.cluster.bed import Bed
from tests.cluster.kube import eventually
from tests.cluster.operator import Operator
from tests.unit.spawners.kube.launches import SITE, cases

PLURAL = {
    "ServiceAccount": "/api/v1/namespaces/{}/serviceaccounts",
    "Service": "/api/v1/namespaces/{}/services",
    "Pod": "/api/v1/namespaces/{}/pods",
    "Deployment": "/apis/apps/v1/namespaces/{}/deployments",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "CronJob": "/apis/batch/v1/namespaces/{}/cronjobs",
    "Role": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/roles",
    "RoleBinding": "/apis/rbac.authorization.k8s.io/v1/namespaces/{}/rolebindings",
}
CASES = cases()
TENANTS = list(dict.fromkeys(launch.tenant.model_dump_json() for launch in CASES.values()))
"""The same name each time, with other workers and networks: so one after the other."""

ControlPlane = Callable[[str], Bed]


def _written(model: Declared) -> str:
    return yaml.safe_dump(model.model_dump(mode="json", exclude_defaults=True))


@pytest.fixture(scope="module", params=range(len(TENANTS)))
def place(
    request: pytest.FixtureRequest, control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, dict[str, Launch]]]:
    """One of the tenants, applied, and the launches that are its."""
    mine = {name: one for name, one in CASES.items() if one.tenant.model_dump_json() == TENANTS[request.param]}
    launch = next(iter(mine.values()))
    folder = tmp_path_factory.mktemp("world")
    operator = Operator(control_plane("current").kubeconfig, folder, keys(SITE).domain, "metallb-system")
    nodes = [f"/api/v1/nodes/{name}" for name in launch.tenant.workers.nodes]
    nodes += [f"/api/v1/nodes/{name}" for network in launch.tenant.networks for name in network.gateway_nodes]
    for path in nodes:
        body = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": path.rpartition("/")[2]}}
        operator.cluster.request("POST", "/api/v1/nodes", body=body)
    try:
        _declare(folder, launch.tenant)
        operator.apply()
        yield operator.cluster, mine
    finally:
        (folder / "tenants" / "physics.yaml").unlink(missing_ok=True)
        operator.apply(f"--remove-tenant={launch.tenant.name}")
        for path in nodes:
            operator.cluster.delete(path)
        space = f"/api/v1/namespaces/{launch.namespace}"
        eventually("the namespace is gone", lambda: operator.cluster.get(space) is None)


def _declare(folder: Path, tenant: Tenant) -> None:
    (folder / "tenants").mkdir()
    # Profiles, remotes and VLANs are nothing that the cluster looks at, and would need more files and interfaces.
    networks = tuple(network.model_copy(update={"vlan": None}) for network in tenant.networks)
    plain = tenant.model_copy(update={"profiles": (), "remotes": (), "networks": networks})
    (folder / "tenants" / "physics.yaml").write_text(_written(plain))
    ranges = {"pods": ["10.244.0.0/16", "fd00:244::/56"], "services": ["10.176.0.0/12", "fd00:100::/24"]}
    laboratories = ["192.0.2.0/24", "2001:db8::/32"]
    cluster = {**ranges, "nodes": ["10.99.0.0/24", "fd00:99::/64"], "laboratories": laboratories}
    site = {**yaml.safe_load(_written(SITE)), "cluster": cluster}
    (folder / "site.yaml").write_text(yaml.safe_dump(site))


def _dry_run(cluster: Cluster, manifest: Mapping[str, Any]) -> None:
    """Applied, and forgotten by the API server. ApiError with its words."""
    meta = manifest["metadata"]
    path = PLURAL[manifest["kind"]].format(meta["namespace"])
    cluster.apply(f"{path}/{meta['name']}", manifest, dry_run=True)


def _as_pod(manifest: Manifest, launch: Launch) -> Manifest | None:
    """The Pod in *manifest* as its controller would create it; None where there is none."""
    found = pod_of(manifest)
    if found is None:
        return None
    meta = {**found["metadata"], "name": launch.name, "namespace": launch.namespace}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": found["spec"]}


def test_every_object_is_accepted_by_a_cluster_whose_rules_are_at_work(
    place: tuple[Cluster, dict[str, Launch]],
) -> None:
    cluster, launches = place
    heard: list[str] = []
    cluster.warned = heard.append
    for name, launch in launches.items():
        for manifest in manifests(launch):
            _at_work(cluster, launch)
            _dry_run(cluster, manifest)
            pod = _as_pod(manifest, launch)
            if pod is None:
                continue
            _with_its_account(cluster, launch)
            _dry_run(cluster, pod)
        assert heard == [], name


def _with_its_account(cluster: Cluster, launch: Launch) -> None:
    """A Pod is refused without its service account, which a dry run has not made."""
    for manifest in manifests(launch):
        if manifest["kind"] == "ServiceAccount":
            path = PLURAL["ServiceAccount"].format(launch.namespace)
            if cluster.get(f"{path}/{launch.name}") is None:
                cluster.request("POST", path, body=manifest)


def _at_work(cluster: Cluster, launch: Launch) -> None:
    """Rules are compiled a moment after they were made, accounts and quotas made by controllers: until this Pod, which
    is right but for its egress network, is refused for that."""
    pod = next((made for one in manifests(launch) if (made := _as_pod(one, launch))), None)
    assert pod is not None
    label = f"{launch.domain}/egress-policy"
    labels = {**pod["metadata"]["labels"], label: "somebody-elses"}
    spec = {**pod["spec"], "serviceAccountName": "default"}
    wrong = {**pod, "metadata": {**pod["metadata"], "labels": labels}, "spec": spec}

    def refused() -> bool:
        try:
            _dry_run(cluster, wrong)
        except ApiError as error:
            return "somebody-elses" in error.message or "egress" in error.message
        return False

    eventually(f"the admission rules of {launch.name}", refused)
