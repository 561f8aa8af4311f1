"""The kinds of objects that TenantHub makes, in the order in which they are applied; deletes go the other way round.

What guards a tenant stands before what opens a door to it: admission rules first, walls before Roles, and MetalLB's
pools behind the namespaces that they name (a pool whose selectors match nothing is open to everybody).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Kind:
    """One kind of object and where the API server serves it."""

    api_version: str
    kind: str
    plural: str
    namespaced: bool = True
    addon: str | None = None
    """Field of `addons` in site.yaml without which the API server does not know this kind."""
    borrowed: bool = False
    """Not ours to create or delete, only to mark: nodes."""
    immutable: tuple[tuple[str, ...], ...] = ()
    """Paths of fields that only a new object can have another value at: a change is delete, wait until gone, create.

    Emitters write each of them whole, defaults too, or not at all, so that wanted and live compare with ==; absent on
    one side is a difference. A webhook refuses the change even as a dry run, so it is to be seen before asking.
    """

    def collection(self, namespace: str | None = None) -> str:
        """Path of all objects of the kind, of one *namespace* where it is given."""
        root = f"/apis/{self.api_version}" if "/" in self.api_version else f"/api/{self.api_version}"
        return f"{root}/namespaces/{namespace}/{self.plural}" if namespace else f"{root}/{self.plural}"

    def path(self, name: str, namespace: str | None = None) -> str:
        """Path of one object."""
        return f"{self.collection(namespace if self.namespaced else None)}/{name}"


KINDS: tuple[Kind, ...] = (
    Kind("admissionregistration.k8s.io/v1", "ValidatingAdmissionPolicy", "validatingadmissionpolicies", False),
    Kind(
        "admissionregistration.k8s.io/v1",
        "ValidatingAdmissionPolicyBinding",
        "validatingadmissionpolicybindings",
        False,
    ),
    Kind("v1", "Node", "nodes", False, borrowed=True),
    Kind("capsule.clastix.io/v1beta2", "Tenant", "tenants", False, addon="capsule"),
    Kind("v1", "Namespace", "namespaces", False),
    Kind("cilium.io/v2", "CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies", False, addon="cilium"),
    Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    Kind("v1", "ResourceQuota", "resourcequotas"),
    Kind("v1", "LimitRange", "limitranges"),
    Kind("v1", "ServiceAccount", "serviceaccounts"),
    Kind("metallb.io/v1beta1", "IPAddressPool", "ipaddresspools", addon="metallb"),
    Kind("metallb.io/v1beta1", "L2Advertisement", "l2advertisements", addon="metallb"),
    # Both read in egressgateway's webhooks, 0.6.0 and 0.6.9. The gateway's pool may grow in place, but gains no family
    # and loses no address in use (pkg/egressgateway/egress_gateway_webhook.go); the address in use is the default one.
    Kind(
        "egressgateway.spidernet.io/v1beta1",
        "EgressGateway",
        "egressgateways",
        False,
        addon="egressgateway",
        immutable=(("spec", "ippools", "ipv4DefaultEIP"), ("spec", "ippools", "ipv6DefaultEIP")),
    ),
    # pkg/controller/webhook/validate.go: "cannot be modified".
    Kind(
        "egressgateway.spidernet.io/v1beta1",
        "EgressClusterPolicy",
        "egressclusterpolicies",
        False,
        addon="egressgateway",
        immutable=(("spec", "egressGatewayName"), ("spec", "egressIP")),
    ),
    Kind("rbac.authorization.k8s.io/v1", "Role", "roles"),
    Kind("rbac.authorization.k8s.io/v1", "RoleBinding", "rolebindings"),
    Kind("apps/v1", "DaemonSet", "daemonsets"),
)

_RANK: Mapping[tuple[str, str], int] = {(kind.api_version, kind.kind): rank for rank, kind in enumerate(KINDS)}

Key = tuple[int, str, str]
"""Rank of the kind in KINDS, namespace ("" for cluster-scoped), name: identifies an object and sorts in apply order."""


def kind_of(manifest: Mapping[str, Any]) -> Kind:
    """The kind of *manifest*; KeyError for one that TenantHub does not make."""
    return KINDS[_RANK[manifest["apiVersion"], manifest["kind"]]]


def key(manifest: Mapping[str, Any]) -> Key:
    """Identity and place of *manifest* in the order of applying."""
    metadata = manifest["metadata"]
    return _RANK[manifest["apiVersion"], manifest["kind"]], metadata.get("namespace", ""), metadata["name"]
