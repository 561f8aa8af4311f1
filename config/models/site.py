"""site.yaml: what is true for every tenant."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from config.models.addresses import IPNetwork
from config.models.base import Account, Declared, Name, pattern
from config.models.quantity import Memory


class StorageClass(Declared):
    """A storage class that homes of notebooks and VS Code may be kept on."""

    name: Annotated[
        str,
        pattern(
            r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$",
            "a storage class as `kubectl get storageclasses` shows it",
            max_length=200,
        ),
        Field(examples=["ceph-block"]),
    ]
    """Name of the StorageClass object."""
    title: Annotated[str, StringConstraints(max_length=80)] = ""
    """What people call it; default: the name."""
    home_size: Annotated[Memory, Field(json_schema_extra={"default": "20Gi"})] = 20 * 2**30
    """Size of the volume that each home gets."""


class ClusterNetworks(Declared):
    """Address ranges that the cluster itself uses; no tenant address may lie in them."""

    pods: tuple[IPNetwork, ...] = ()
    """Pod CIDRs, e.g. 10.244.0.0/16."""
    services: tuple[IPNetwork, ...] = ()
    """Service CIDRs, e.g. 10.96.0.0/12."""
    nodes: tuple[IPNetwork, ...] = ()
    """Networks of the nodes, e.g. 192.0.2.0/24."""
    laboratories: tuple[IPNetwork, ...] = ()
    """Ranges that all laboratories' networks lie in, e.g. 172.16.0.0/12: of these a tenant reaches only its own."""
    hub_namespace: Name = "tenanthub"
    """Namespace that the hub, its proxy and the portal run in; they may reach every tenant's Pods."""
    ingress_namespaces: tuple[Name, ...] = ()
    """Namespaces of ingress controllers, which may reach every tenant's Pods, e.g. ingress-nginx."""
    metallb_namespace: Name = "metallb-system"
    """Namespace of MetalLB, where its pools have to be."""
    storage_classes: tuple[StorageClass, ...] = ()
    """Storage classes that homes may be kept on; the first is the usual place of a home. None: homes are kept in a
    remote of the tenant, or not at all."""
    prepull: bool = False
    """Keep the images that profiles name on the workers of the tenants that may use them, so that a first launch is as
    quick as a second; costs disk there. Needs the hub's namespace."""


class Addons(Declared):
    """Which add-ons the cluster has. With none of them a tenant still works from built-in objects."""

    capsule: bool = False
    """Capsule (capsule.clastix.io/v1beta2): a Tenant object a tenant."""
    metallb: bool = False
    """MetalLB (metallb.io/v1beta1): LoadBalancer addresses of the tenant's networks."""
    egressgateway: bool = False
    """egressgateway (egressgateway.spidernet.io/v1beta1): the tenant's own source addresses."""
    cilium: bool = False
    """Cilium (cilium.io/v2): the hard wall between tenants as CiliumClusterwideNetworkPolicy."""


class Authentication(Declared):
    """How people sign in."""

    method: Literal["local"] = "local"
    """local: accounts of this hub with hashed passwords. (SAML, OIDC and LDAP come with the sign-in issue.)"""


class Site(Declared):
    """The whole of site.yaml; every field has a default that works on a laptop."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=60)] = "TenantHub"
    """The name at the top of every page."""
    label_domain: Annotated[
        str,
        pattern(
            r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}$",
            "a DNS domain of yours in lower case, e.g. edge.example.org",
            max_length=200,
        ),
    ] = "edge.kudpc.kyoto-u.ac.jp"
    """DNS domain in front of every label and annotation key that TenantHub sets."""
    contact: Annotated[str, StringConstraints(max_length=200), Field(examples=["help@example.org"])] = ""
    """Whom people ask for help, an address or a URL; crawls name it in their user agent."""
    operators: tuple[Account, ...] = ()
    """Accounts that administer the hub itself."""
    authentication: Authentication = Authentication()
    """How people sign in."""
    cluster: ClusterNetworks = ClusterNetworks()
    """Address ranges of the cluster itself."""
    addons: Addons = Addons()
    """Which add-ons the cluster has."""
    image_registries: tuple[
        Annotated[str, StringConstraints(min_length=1), Field(examples=["registry.example.org/research"])], ...
    ] = ()
    """Registries that images may come from, e.g. registry.example.org/research; empty: any."""
