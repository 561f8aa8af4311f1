"""Capsule: one Tenant a tenant, valid with the CRDs of 0.7 and 0.14 (capsule.clastix.io/v1beta2).

Nothing depends on Capsule: quota, limits, network policy, registries and roles are objects of our own, and the Tenant
says only what Capsule would otherwise write differently. No field that 0.14 calls deprecated is used; it warns about
each, namespaceOptions.additionalMetadata included (internal/webhook/tenant/validation/warnings.go), so that the labels
of Pod Security stand on our Namespace itself.

What Capsule does to that Namespace, read in its source:

- It is the Tenant's by ownerReference, not by label. The webhook sets it while the Namespace is created with the label,
  and asks first whether who creates it is an owner of the Tenant.
- 0.7.4 (pkg/webhook/ownerreference, pkg/webhook/utils) looks only at users of `capsuleUserGroups`. Applied by anyone
  else, the Namespace stays outside of Capsule, and loses nothing by it.
- 0.14.0 (internal/webhook/namespace/{mutation,validation}) refuses the label from everybody who is neither in
  `administrators` nor an owner in `users` of its configuration: who runs `tenanthub apply` has to be in one of them.
- Its controller then keeps on the Namespace the labels `kubernetes.io/metadata.name` and capsule.clastix.io/tenant and
  the annotation node-selector, "k=v" sorted and joined by commas (pkg/utils/node_selector.go). Ours have the same
  values, so that server-side apply finds two owners of a field and no conflict.
- Once adopted, a change of node-selector by anybody is refused until the controller itself has made it (user_metadata
  in both). The Tenant is applied before the Namespace; until then apply has to try again.
- 0.14.0 deletes the namespaces of a Tenant that is deleted (reconcileDeletingTenantNamespaces), orphaned or not: who
  wants to keep one takes label and ownerReference off first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from config.emit.common import HUB_ACCOUNT, Manifest, metadata
from config.emit.places import worker_labels
from config.models import Site, Tenant, World
from config.names import keys


def emit(world: World) -> Iterator[Manifest]:
    """A Tenant a tenant, called like it; nothing where the site has no Capsule."""
    if not world.site.addons.capsule:
        return
    for tenant in world.tenants.values():
        yield {
            "apiVersion": "capsule.clastix.io/v1beta2",
            "kind": "Tenant",
            "metadata": metadata(world.site, tenant.name, tenant=tenant),
            "spec": _spec(world.site, tenant),
        }


def owner(site: Site) -> str:
    """The one owner of every Tenant, as Kubernetes calls a ServiceAccount: system:serviceaccount:<namespace>:<name>.

    Members are never owners: an owner has rights over Namespace objects, which is how every escape from a Capsule
    tenant up to 0.13.6 began (CVE-2024-39690, CVE-2025-55205, CVE-2026-22872, GHSA-gjw4-3v3v-rqxg).
    """
    return f"system:serviceaccount:{site.cluster.hub_namespace}:{HUB_ACCOUNT}"


def _spec(site: Site, tenant: Tenant) -> dict[str, Any]:
    # The same as in the annotation of its Namespace (Kyoto paper, 3.3.2).
    selector = worker_labels(tenant, keys(site))
    return {
        # An empty list and not none: the CRD's default would bind ClusterRole admin in the tenant's namespace.
        "owners": [{"kind": "ServiceAccount", "name": owner(site), "clusterRoles": []}],
        # Ours is called tenant-<name>; a site that forces <tenant>-… on everybody else would refuse it.
        "forceTenantPrefix": False,
        "namespaceOptions": {"quota": 1},
        **({"nodeSelector": selector} if selector else {}),
    }
