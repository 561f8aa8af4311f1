"""Cilium: one CiliumClusterwideNetworkPolicy a tenant, the wall around its Pods, and one for all of them.

How Cilium decides, from its documentation (docs.cilium.io: "Deny Policies", "Layer 3 Policies", "Caveats"):

- A deny beats every allow, whoever made it. A direction that some policy has a section for is closed but for what is
  allowed. Rules of a list are alternatives; expressions of a selector hold together.
- Pods and nodes are known by identity; CIDRs match neither, only what is outside of the cluster.
- A namespace's labels belong to the identity of its Pods as io.cilium.k8s.namespace.labels.<key>, where the option
  `labels` of the agent does not leave them out. Other tenants are whoever has our tenant label (Exists) with another
  value (NotIn); NotIn alone would hit the hub and DNS too, which have none.
- What comes in through a LoadBalancer is `world` with its own address, or, forwarded by another node (native routing,
  which egressgateway needs), `remote-node`. Kubelet's probes are `host`.

The allow-list: in from the tenant itself, the hub, the ingress controllers and, for its LoadBalancer addresses, from
its networks; out to the same, to DNS, to its networks and to the world. Not allowed, and so closed: nodes with their
node ports, the API server (entities host, remote-node, kube-apiserver), and networks of other tenants. A notebook's
kubectl goes by the hub's gateway, where each request is the person's own and is audited; a tenant that may launch a
kind which needs the API server (Coder) gets an allow for that kind's Pods, which nothing here denies. Denied for good:
other tenants' Pods and the metadata address.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from config.emit.common import API_SERVER_PORTS, CLOUD_METADATA, Manifest, collapsed, metadata, needs_api_server
from config.models import Network, Site, Tenant, World
from config.names import keys, namespace

_NAMESPACE = "k8s:io.kubernetes.pod.namespace"
_VERSION, _KIND = "cilium.io/v2", "CiliumClusterwideNetworkPolicy"


def emit(world: World) -> Iterator[Manifest]:
    """One policy for all tenants and one a tenant; nothing where the site has no Cilium."""
    if not world.site.addons.cilium:
        return
    yield _shared(world)
    for tenant in world.tenants.values():
        yield {
            "apiVersion": _VERSION,
            "kind": _KIND,
            "metadata": metadata(world.site, namespace(tenant), tenant=tenant),
            "spec": _spec(world.site, tenant),
        }
        if kinds := needs_api_server(world, tenant):
            yield _to_api_server(world.site, tenant, kinds)


def _to_api_server(site: Site, tenant: Tenant, kinds: tuple[str, ...]) -> Manifest:
    """Out to the API server, for Pods of *kinds*: by its own entity, wherever it runs. Its ports alone, since on a node
    of the control plane that entity is the node's other ports as well."""
    chosen = [{"key": f"k8s:{keys(site).kind}", "operator": "In", "values": list(kinds)}]
    return {
        "apiVersion": _VERSION,
        "kind": _KIND,
        "metadata": metadata(site, f"{namespace(tenant)}.api-server", tenant=tenant),
        "spec": {
            "description": f"Tenant {tenant.name}: {', '.join(kinds)} may use the API server.",
            "endpointSelector": {**_own(site, tenant), "matchExpressions": chosen},
            "egress": [
                {
                    "toEntities": ["kube-apiserver"],
                    "toPorts": [{"ports": [{"port": str(port), "protocol": "TCP"} for port in API_SERVER_PORTS]}],
                }
            ],
        },
    }


def _spec(site: Site, tenant: Tenant) -> dict[str, Any]:
    return {
        "description": f"Tenant {tenant.name}: closed to other tenants, both ways, whatever else allows it.",
        "endpointSelector": _own(site, tenant),
        "ingressDeny": [{"fromEndpoints": [_others(site, tenant)]}],
        "ingress": [{"fromEndpoints": _friends(site, tenant)}, *_from_outside(tenant)],
        "egressDeny": [{"toEndpoints": [_others(site, tenant)]}],
        "egress": [{"toEndpoints": _friends(site, tenant)}, _dns(), *_to_own_networks(tenant)],
    }


def _tenant_label(site: Site) -> str:
    # With its source, k8s: nothing but Kubernetes gives a Pod this label. Before Cilium 1.14.2 a Pod's own label of the
    # same name did too (CVE-2023-39347).
    return f"k8s:io.cilium.k8s.namespace.labels.{keys(site).tenant}"


def _own(site: Site, tenant: Tenant) -> dict[str, Any]:
    return {"matchLabels": {_tenant_label(site): tenant.name}}


def _others(site: Site, tenant: Tenant) -> dict[str, Any]:
    key = _tenant_label(site)
    not_this = {"key": key, "operator": "NotIn", "values": [tenant.name]}
    return {"matchExpressions": [{"key": key, "operator": "Exists"}, not_this]}


def _friends(site: Site, tenant: Tenant) -> list[dict[str, Any]]:
    """Pods of the tenant itself, of the hub and of the ingress controllers: both ways, any port."""
    names = dict.fromkeys((site.cluster.hub_namespace, *site.cluster.ingress_namespaces))
    return [_own(site, tenant), *({"matchLabels": {_NAMESPACE: name}} for name in names)]


def _from_outside(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Probes, and for LoadBalancer addresses whoever is in their networks.

    Forwarded traffic has lost its address, and a node's cannot be told from it: `remote-node` is as narrow as it gets.
    """
    served = [network for network in tenant.networks if network.loadbalancer]
    yield {"fromEntities": ["host", "remote-node"] if served else ["host"]}
    if served:
        yield {"fromCIDR": _subnets(served)}


def _to_own_networks(tenant: Tenant) -> Iterator[dict[str, Any]]:
    if tenant.networks:
        yield {"toCIDR": _subnets(tenant.networks)}


def _subnets(networks: Iterable[Network]) -> list[str]:
    return list(dict.fromkeys(str(subnet) for network in networks for subnet in network.subnets))


def _dns() -> dict[str, Any]:
    return {
        "toEndpoints": [{"matchLabels": {_NAMESPACE: "kube-system", "k8s:k8s-app": "kube-dns"}}],
        "toPorts": [{"ports": [{"port": "53", "protocol": protocol} for protocol in ("UDP", "TCP")]}],
    }


def _shared(world: World) -> Manifest:
    """What holds for the Pods of every tenant: the world without the cluster and the laboratories, and no metadata.

    One object and not a list in each policy: a new tenant's VLAN changes this and its own, not everybody's.
    """
    site = world.site
    tenants = {"matchExpressions": [{"key": _tenant_label(site), "operator": "Exists"}]}
    return {
        "apiVersion": _VERSION,
        "kind": _KIND,
        "metadata": metadata(site, f"world.{site.label_domain}"),
        "spec": {
            "description": "All tenants: out to the world, but to no cluster network, no laboratory, no metadata.",
            "endpointSelector": tenants,
            "egressDeny": [{"toCIDR": [str(one) for one in CLOUD_METADATA]}],
            "egress": [{"toCIDRSet": _outside(world)}],
        },
    }


def _outside(world: World) -> list[dict[str, Any]]:
    """All addresses but CLOUD_METADATA, the cluster's networks and the tenants'.

    Nodes and Pods are no CIDR to Cilium; left out is what else lives in their networks, hypervisors for one. Networks
    of tenants are each one's own: a rule of its policy lets it back in. Otherwise a Pod on a node that is in two VLANs
    would reach both, and with kube-proxy a Pod would come to another tenant's LoadBalancer address, as if from a node.
    """
    cluster = world.site.cluster
    subnets = (subnet for tenant in world.tenants.values() for network in tenant.networks for subnet in network.subnets)
    named = (*cluster.pods, *cluster.services, *cluster.nodes, *cluster.laboratories)
    closed = collapsed((*CLOUD_METADATA, *named, *subnets))
    return [
        {"cidr": everywhere, "except": [str(one) for one in closed if one.version == version]}
        for version, everywhere in ((4, "0.0.0.0/0"), (6, "::/0"))
    ]
