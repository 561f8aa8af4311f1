"""Cilium: one CiliumClusterwideNetworkPolicy a tenant, the wall around its Pods.

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
its networks; out to the same, to DNS and to the world. Not allowed, and so closed: nodes with their node ports, and the
API server (entities host, remote-node, kube-apiserver). A notebook's kubectl goes by the hub's gateway, where each
request is the person's own and is audited; a kind that needs the API server adds an allow, which nothing here denies.
Denied for good: other tenants, their networks as far as the tenant's nodes are in them, and the metadata address.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from config.emit.common import Manifest, metadata
from config.models import Network, Site, Tenant, World
from config.names import keys, namespace

METADATA = tuple(map(ip_network, ("169.254.0.0/16", "fd00:ec2::254/128", "fd20:ce::254/128")))
"""Where clouds answer with a node's credentials: IPv4 link-local as a whole; IPv6 of EC2 and of Google Cloud."""

_NAMESPACE = "k8s:io.kubernetes.pod.namespace"
_EVERYWHERE = ("0.0.0.0/0", "::/0")
_Networks = Mapping[str, list[tuple[str, Network]]]


def emit(world: World) -> Iterator[Manifest]:
    """A CiliumClusterwideNetworkPolicy a tenant; nothing where the site has no Cilium."""
    if not world.site.addons.cilium:
        return
    by_node = _by_node(world)
    for tenant in world.tenants.values():
        yield {
            "apiVersion": "cilium.io/v2",
            "kind": "CiliumClusterwideNetworkPolicy",
            "metadata": metadata(world.site, namespace(tenant), tenant=tenant),
            "spec": _spec(world.site, tenant, _foreign(tenant, by_node)),
        }


def _spec(site: Site, tenant: Tenant, foreign: list[str]) -> dict[str, Any]:
    denied = [*map(str, METADATA), *foreign]
    return {
        "description": f"Tenant {tenant.name}: closed to other tenants, both ways, whatever else allows it.",
        "endpointSelector": _own(site, tenant),
        "ingressDeny": [{"fromEndpoints": [_others(site, tenant)]}],
        "ingress": [{"fromEndpoints": _friends(site, tenant)}, *_from_outside(tenant)],
        "egressDeny": [{"toEndpoints": [_others(site, tenant)]}, {"toCIDR": denied}],
        "egress": [{"toEndpoints": _friends(site, tenant)}, _dns(), {"toCIDRSet": _world(site)}],
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
    namespaces = (site.cluster.hub_namespace, *site.cluster.ingress_namespaces)
    return [_own(site, tenant), *({"matchLabels": {_NAMESPACE: name}} for name in namespaces)]


def _from_outside(tenant: Tenant) -> Iterator[dict[str, Any]]:
    """Probes, and for LoadBalancer addresses whoever is in their networks.

    Forwarded traffic has lost its address, and a node's cannot be told from it: `remote-node` is as narrow as it gets.
    """
    served = [network for network in tenant.networks if network.loadbalancer]
    yield {"fromEntities": ["host", "remote-node"] if served else ["host"]}
    if served:
        yield {"fromCIDR": list(dict.fromkeys(str(subnet) for network in served for subnet in network.subnets))}


def _dns() -> dict[str, Any]:
    return {
        "toEndpoints": [{"matchLabels": {_NAMESPACE: "kube-system", "k8s:k8s-app": "kube-dns"}}],
        "toPorts": [{"ports": [{"port": "53", "protocol": protocol} for protocol in ("UDP", "TCP")]}],
    }


def _world(site: Site) -> list[dict[str, Any]]:
    """Everything outside of the cluster, but for the metadata address and the cluster's own networks.

    Nodes and Pods are no CIDR to Cilium; left out is what else lives in their networks, hypervisors for one.
    """
    cluster = site.cluster
    closed = (*METADATA, *cluster.pods, *cluster.services, *cluster.nodes)
    return [
        {"cidr": everywhere, "except": [str(one) for one in closed if one.version == ip_network(everywhere).version]}
        for everywhere in _EVERYWHERE
    ]


def _by_node(world: World) -> _Networks:
    """The VLAN networks that each node is in, with their tenants' names; "" has them all."""
    found: dict[str, list[tuple[str, Network]]] = {"": []}
    for tenant in world.tenants.values():
        for network in tenant.networks:
            if network.vlan is not None and network.gateway_nodes:
                for node in ("", *dict.fromkeys(network.gateway_nodes)):
                    found.setdefault(node, []).append((tenant.name, network))
    return found


def _foreign(tenant: Tenant, by_node: _Networks) -> list[str]:
    """Subnets of other tenants' VLANs that nodes of this one are in: from there a Pod would reach them directly.

    Its Pods run on its workers and leave from its gateway nodes. Where no worker is named, any node may be one, and all
    VLANs are denied; that list changes with every tenant, a reason to name them. All lists for all tenants would do no
    more and cost a site of a thousand a million entries.
    """
    nodes = {*tenant.workers.nodes, *(node for network in tenant.networks for node in network.gateway_nodes)}
    places = sorted(nodes) if tenant.workers.nodes else [""]
    subnets: set[IPv4Network | IPv6Network] = {
        subnet
        for node in places
        for name, network in by_node.get(node, ())
        if name != tenant.name
        for subnet in network.subnets
    }
    return [str(one) for one in sorted(subnets, key=lambda one: (one.version, int(one.network_address), one.prefixlen))]
