"""Tenants to attack each other on a real API server, with the namespaces and Roles that the compiler makes for them."""

from __future__ import annotations

import copy
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from config.cluster.client import ApiError, Cluster
from config.emit import admission, namespaces, rbac
from config.emit.common import Manifest
from config.models import Site, Tenant, World
from config.names import admin_group, keys, member_group, namespace
from config.order import kind_of

RUN = uuid.uuid4().hex[:6]
"""Of this run: several may share an API server, and neither policies nor namespaces may meet."""
DOMAIN = f"a{RUN}.example.org"
PHYSICS, HISTORY, BARE = f"phy{RUN}", f"his{RUN}", f"bare{RUN}"
SITE = Site(
    label_domain=DOMAIN,
    image_registries=("registry.example.org/research", "docker.io/library", "jupyter", "localhost:5000"),
)
KEYS = keys(SITE)
PATIENCE_S = 60.0


def tenant(name: str, **fields: Any) -> Tenant:
    return Tenant.model_validate({"name": name, **fields})


TENANTS = (
    tenant(
        PHYSICS,
        workers={"nodes": ["n1"], "selector": {"lab": "physics"}},
        networks=[
            {
                "name": "lab-a",
                "subnets": ["192.0.2.0/24", "2001:db8:a::/64"],
                "loadbalancer": ["192.0.2.16-192.0.2.31", "2001:db8:a::10-2001:db8:a::1f"],
                "egress": ["192.0.2.100"],
            },
            {"name": "lab-b", "subnets": ["198.51.100.0/24"], "egress": ["198.51.100.9"]},
            {"name": "lab-lb", "subnets": ["203.0.113.0/24"], "loadbalancer": ["203.0.113.7"]},
        ],
    ),
    tenant(
        HISTORY,
        workers={"nodes": ["n2"]},
        networks=[
            {
                "name": "lab-h",
                "subnets": ["192.0.2.0/24"],
                "loadbalancer": ["192.0.2.64-192.0.2.79"],
                "egress": ["192.0.2.101"],
            }
        ],
    ),
    tenant(BARE),
)
WORLD = World(SITE, {}, {one.name: one for one in TENANTS})


@dataclass(frozen=True)
class Hall:
    """The API server, as its operator sees it and as people do."""

    kubeconfig: Path
    operator: Cluster
    site: Site = SITE

    def member(self, name: str = PHYSICS) -> Cluster:
        """One of the tenant's people, through the gateway: the hub impersonates them."""
        return self.acting("grace", member_group(name))

    def admin(self, name: str = PHYSICS) -> Cluster:
        return self.acting("ada", member_group(name), admin_group(name))

    def acting(self, user: str, *groups: str) -> Cluster:
        cluster = Cluster.connect(self.kubeconfig)
        cluster.api.default_headers["Impersonate-User"] = user
        # A header a group (two at most): the API server does not mind the case of a header's name, a dict does.
        for header, group in zip(("Impersonate-Group", "impersonate-group"), groups, strict=False):
            cluster.api.default_headers[header] = group
        return cluster


@contextmanager
def hall(kubeconfig: Path) -> Iterator[Hall]:
    """Policies in force, three tenants' namespaces; all of it gone afterwards."""
    operator = Cluster.connect(kubeconfig)
    found = Hall(kubeconfig, operator)
    made = [*admission.emit(WORLD), *namespaces.emit(WORLD), *rbac.emit(WORLD)]
    try:
        for manifest in made:
            operator.apply(path_of(manifest), manifest, force=True)
        in_force(found)
        yield found
    finally:
        for manifest in made:
            if manifest["kind"] not in ("Role", "RoleBinding"):
                with suppress(ApiError):
                    operator.delete(path_of(manifest))


def in_force(found: Hall, name: str = PHYSICS) -> None:
    """Wait until every policy refuses: the API server takes a policy, and a namespace's label, up a little later."""
    wrong = {"metadata": {"labels": {KEYS.tenant: "nobody"}}}
    where = namespace(name)
    probes: dict[str, tuple[str, Manifest]] = {
        "pods": ("pods", merged(pod(), {"spec": {"nodeName": "n9"}})),
        "templates": ("deployments", merged(workload("Deployment"), at("Deployment", {"spec": {"nodeName": "n9"}}))),
        "cronjobs": ("cronjobs", merged(workload("CronJob"), at("CronJob", {"spec": {"nodeName": "n9"}}))),
        "services": ("services", merged(service(), {"spec": {"externalIPs": ["203.0.113.99"]}})),
        "tenant-label": ("configmaps", merged(config_map(), wrong)),
    }
    for concern, (plural, body) in probes.items():
        until(f"policy {concern} is in force", partial(_refuses, found.operator, concern, plural, body, where))


def _refuses(operator: Cluster, concern: str, plural: str, body: Manifest, where: str) -> bool:
    return f"'{concern}.{DOMAIN}'" in tried(operator, plural, body, where)


def until(what: str, probe: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE_S:.0f} s"
        time.sleep(0.05)


def tried(cluster: Cluster, plural: str, body: Manifest, where: str) -> str:
    """What the API server says against it, "" for nothing; nothing is kept."""
    try:
        cluster.request(
            "POST", collection(plural, where), query={"dryRun": "All", "fieldValidation": "Strict"}, body=body
        )
    except ApiError as error:
        return error.message
    return ""


PLURALS = {
    "pods": "/api/v1",
    "services": "/api/v1",
    "configmaps": "/api/v1",
    "replicationcontrollers": "/api/v1",
    "bindings": "/api/v1",
    "deployments": "/apis/apps/v1",
    "replicasets": "/apis/apps/v1",
    "statefulsets": "/apis/apps/v1",
    "daemonsets": "/apis/apps/v1",
    "jobs": "/apis/batch/v1",
    "cronjobs": "/apis/batch/v1",
}
TEMPLATES = {
    "Deployment": "deployments",
    "ReplicaSet": "replicasets",
    "StatefulSet": "statefulsets",
    "DaemonSet": "daemonsets",
    "ReplicationController": "replicationcontrollers",
    "Job": "jobs",
    "CronJob": "cronjobs",
}
OF_PEOPLE = ("deployments", "jobs", "cronjobs")
"""Those that a tenant's people have rights over; the rest is tried as the operator."""


def collection(plural: str, where: str, name: str = "") -> str:
    return f"{PLURALS[plural]}/namespaces/{where}/{plural}" + (f"/{name}" if name else "")


def path_of(manifest: Manifest) -> str:
    return kind_of(manifest).path(manifest["metadata"]["name"], manifest["metadata"].get("namespace"))


def merged(base: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, as the API server merges it."""
    found = copy.deepcopy(dict(base))
    for name, value in over.items():
        if isinstance(value, Mapping):
            below = found.get(name)
            found[name] = merged(below if isinstance(below, Mapping) else {}, value)
        elif value is None:
            found.pop(name, None)
        else:
            found[name] = value
    return found


def unique_name() -> str:
    return f"x{uuid.uuid4().hex[:10]}"


def container(image: str = "registry.example.org/research/tool:1", name: str = "main") -> dict[str, Any]:
    """Within the Pod Security Standard `restricted`, so that nothing but our rules can refuse it."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {"name": name, "image": image, "securityContext": security}


def template() -> dict[str, Any]:
    security = {"runAsNonRoot": True, "runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}}
    return {"metadata": {"labels": {"app": "x"}}, "spec": {"securityContext": security, "containers": [container()]}}


def pod(name: str | None = None) -> Manifest:
    # with a label of its own: a ReplicaSet of another test would adopt it, and delete it
    own = {"metadata": {"name": name or unique_name(), "labels": {"app": "alone"}}}
    return {"apiVersion": "v1", "kind": "Pod", **merged(template(), own)}


def service(name: str | None = None) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name or unique_name()},
        "spec": {"selector": {"app": "x"}, "ports": [{"name": "ftp", "port": 21}]},
    }


def config_map() -> Manifest:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": unique_name()}}


def workload(kind: str) -> Manifest:
    """A good one of a kind that makes Pods, asking for none."""
    never = {"spec": {"restartPolicy": "Never"}}
    if kind == "CronJob":
        spec = {
            "schedule": "0 0 1 1 *",
            "suspend": True,
            "jobTemplate": {"spec": {"template": merged(template(), never)}},
        }
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": unique_name()}, "spec": spec}
    if kind == "Job":
        spec = {"suspend": True, "template": merged(template(), never)}
        return {"apiVersion": "batch/v1", "kind": kind, "metadata": {"name": unique_name()}, "spec": spec}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template()}
    if kind == "ReplicationController":
        return {
            "apiVersion": "v1",
            "kind": kind,
            "metadata": {"name": unique_name()},
            "spec": {"selector": {"app": "x"}, "replicas": 0, "template": template()},
        }
    scale = {} if kind == "DaemonSet" else {"replicas": 0}
    more = {"serviceName": "x"} if kind == "StatefulSet" else {}
    return {
        "apiVersion": "apps/v1",
        "kind": kind,
        "metadata": {"name": unique_name()},
        "spec": {**spec, **scale, **more},
    }


def at(kind: str, over: Mapping[str, Any]) -> dict[str, Any]:
    """What is laid over a Pod, as it is laid over the template of a *kind*."""
    inside = {"spec": {"template": dict(over)}}
    return {"spec": {"jobTemplate": inside}} if kind == "CronJob" else inside
