"""What people may do in their tenant's namespace: Roles for two groups, and nothing anywhere else.

Kubernetes cannot tell whose Pod it is, so members may change whatever members could have made: inside a tenant people
trust each other (whoever may run a command in a colleague's Pod, or mount its Secret, could do the rest as well).
Admins are in both groups; theirs adds what is too sweeping for daily work, and a look at who may do what:

============================================================== ======== =======
pods, services, deployments, jobs, cronjobs, ingresses,        members  admins
secrets, configmaps; logs, exec, attach, port-forward, scale
read quota, limits, events, replicasets, endpoints, metrics    members  admins
delete all of a kind in one request (deletecollection)                  admins
read roles, rolebindings, serviceaccounts, networkpolicies              admins
============================================================== ======== =======

Left out on purpose, because each leads further than it looks:

- namespaces, nodes, resourcequotas, limitranges, networkpolicies, roles, rolebindings: what holds the tenant in;
- serviceaccounts and serviceaccounts/token: identities that the gateway's audit would not know;
- endpoints and endpointslices: a Service pointed at somebody else's address (CVE-2021-25740);
- services/status: an address taken by writing it into the status (CVE-2020-8554);
- pods/ephemeralcontainers, pods/binding, pods/eviction, pods/resize, pods/status: around the scheduler and the quota;
- pods/proxy and services/proxy: the API server itself would fetch any URL from any port;
- finalizers: what would keep a removed tenant from going away; custom resources: operators (Kyoto paper, 4.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from config.emit.common import Manifest, metadata
from config.models import Tenant, World
from config.names import admin_group, member_group, namespace

MEMBER = "tenanthub-member"
ADMIN = "tenanthub-admin"
"""Names of Role and RoleBinding in each namespace."""

_API = "rbac.authorization.k8s.io"
_READ = ("get", "list", "watch")
_WORK = (*_READ, "create", "update", "patch", "delete")
_STREAM = ("get", "create")
"""exec, attach and port-forward: a SPDY stream is a create, a WebSocket was a get until Kubernetes 1.35."""

_OWN: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("configmaps", "pods", "secrets", "services")),
    ("apps", ("deployments",)),
    ("batch", ("cronjobs", "jobs")),
    ("networking.k8s.io", ("ingresses",)),
)
"""API group and resources that people of a tenant make, change and delete."""


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> dict[str, Any]:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


MEMBER_RULES = [
    *(_rule(group, resources, _WORK) for group, resources in _OWN),
    _rule("", ("pods/log",), ("get",)),
    _rule("", ("pods/attach", "pods/exec", "pods/portforward"), _STREAM),
    _rule("apps", ("deployments/scale",), ("get", "patch", "update")),
    _rule("", ("endpoints", "events", "limitranges", "persistentvolumeclaims", "resourcequotas"), _READ),
    _rule("apps", ("replicasets",), _READ),
    _rule("discovery.k8s.io", ("endpointslices",), _READ),
    _rule("events.k8s.io", ("events",), _READ),
    _rule("metrics.k8s.io", ("pods",), ("get", "list")),
]
ADMIN_RULES = [
    *(_rule(group, resources, ("deletecollection",)) for group, resources in _OWN),
    _rule("", ("serviceaccounts",), _READ),
    _rule("networking.k8s.io", ("networkpolicies",), _READ),
    _rule(_API, ("rolebindings", "roles"), _READ),
]


def emit(world: World) -> Iterator[Manifest]:
    """Two Roles and two RoleBindings a tenant."""
    for tenant in world.tenants.values():
        for name, rules, group in (
            (MEMBER, MEMBER_RULES, member_group(tenant)),
            (ADMIN, ADMIN_RULES, admin_group(tenant)),
        ):
            yield _role(world, tenant, name, rules)
            yield _binding(world, tenant, name, group)


def _role(world: World, tenant: Tenant, name: str, rules: list[Manifest]) -> Manifest:
    return {
        "apiVersion": f"{_API}/v1",
        "kind": "Role",
        "metadata": metadata(world.site, name, tenant=tenant, namespace=namespace(tenant)),
        "rules": rules,
    }


def _binding(world: World, tenant: Tenant, name: str, group: str) -> Manifest:
    return {
        "apiVersion": f"{_API}/v1",
        "kind": "RoleBinding",
        "metadata": metadata(world.site, name, tenant=tenant, namespace=namespace(tenant)),
        "roleRef": {"apiGroup": _API, "kind": "Role", "name": name},
        "subjects": [{"apiGroup": _API, "kind": "Group", "name": group}],
    }
