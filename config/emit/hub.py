"""What the hub and the portal may do for a tenant: two ClusterRoles of the chart's, bound in its namespace alone.

RBAC knows no labels, so a right over "all tenants' namespaces" could only be one over every namespace, kube-system's
Secrets included. Bound here, with the tenant, it comes and goes with it, and a hub that was broken into has tenants in
its hands and not the cluster. What the roles hold is the chart's to say, since that goes with the hub's version
(helm/tenanthub/templates/rbac.yaml; docs/chart.md says why, line by line); a binding may name a role that is not there
yet. Members cannot change it: they have no rights over RoleBindings (config/emit/rbac.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from config.emit.common import HUB_ACCOUNT, PORTAL_ACCOUNT, Manifest, metadata
from config.models import Site, World
from config.names import namespace

_API = "rbac.authorization.k8s.io"


def role(site: Site, account: str) -> str:
    """The chart's ClusterRole for *account*; the namespace is in its name, so that installations do not meet."""
    return f"tenanthub:{site.cluster.hub_namespace}:{account}"


def emit(world: World) -> Iterator[Manifest]:
    """Two RoleBindings a tenant."""
    site = world.site
    for tenant in world.tenants.values():
        for account in (HUB_ACCOUNT, PORTAL_ACCOUNT):
            subject = {"kind": "ServiceAccount", "name": account, "namespace": site.cluster.hub_namespace}
            yield {
                "apiVersion": f"{_API}/v1",
                "kind": "RoleBinding",
                "metadata": metadata(site, f"tenanthub-{account}", tenant=tenant, namespace=namespace(tenant)),
                "roleRef": {"apiGroup": _API, "kind": "ClusterRole", "name": role(site, account)},
                "subjects": [subject],
            }
