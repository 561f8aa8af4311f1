"""The wall around a tenant where the site has no Cilium: one NetworkPolicy for all Pods of its namespace.

Both directions are closed but for what the policy names; members cannot write NetworkPolicies, so nothing opens it.

in   the tenant's own Pods, the hub's and the declared ingress controllers' namespaces, the tenant's own networks
     (externalTrafficPolicy: Local keeps a client's address) and the nodes (externalTrafficPolicy: Cluster, probes)
out  the tenant's own Pods, the same namespaces, the cluster's DNS, the tenant's own networks, and the world except
     Pods, Services and nodes (their ports: node ports, kubelets, the API server), link-local and metadata addresses,
     and the site's laboratories (the tenant's own networks come back by a rule of their own). One list serves all, so
     that a tenant that comes or goes changes nobody else's wall

A tenant with a profile of a kind that makes Pods of its own (Coder) gets a second policy, for the Pods of that kind
alone: the API server's ports, at Services and nodes. (A policy cannot name the API server. For one that is neither
there nor in the world outside, the site adds an allow of its own.)

Kubernetes leaves open whether addresses are compared before or after a Service's is rewritten ("Network Policies",
behavior of ipBlock selectors); Services and Pods are both in the list, so that either reading holds. A wall is as good
as its list: config.check.cluster refuses a site that does not declare its Pods, Services, nodes and laboratories.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from ipaddress import ip_network
from typing import Any

from config.emit.common import (
    API_SERVER_PORTS,
    CLOUD_METADATA,
    IPNetwork,
    Manifest,
    collapsed,
    metadata,
    needs_api_server,
)
from config.models import Tenant, World
from config.names import keys, namespace

NAME = "tenanthub-wall"
API_SERVER = "tenanthub-api-server"

NAMESPACE_NAME = "kubernetes.io/metadata.name"
"""Kubernetes itself sets it on each namespace to its name, and nobody can change it."""
DNS_NAMESPACE, DNS_POD = "kube-system", {"k8s-app": "kube-dns"}
"""Where every distribution runs the cluster's DNS (Kubernetes, "Debugging DNS Resolution")."""

LINK_LOCAL = ip_network("fe80::/10")
"""Closed as CLOUD_METADATA is; OpenStack's IPv6 metadata address is fe80::a9fe:a9fe."""

_EVERYWHERE = tuple(map(ip_network, ("0.0.0.0/0", "::/0")))

Peer = dict[str, Any]


def emit(world: World) -> Iterator[Manifest]:
    """A NetworkPolicy a tenant; none where Cilium holds the wall."""
    if world.site.addons.cilium:
        return
    cluster = world.site.cluster
    inner = collapsed((*cluster.pods, *cluster.services, *cluster.nodes, *CLOUD_METADATA, LINK_LOCAL))
    world_outside = _blocks(_EVERYWHERE, collapsed((*inner, *cluster.laboratories)))
    nodes = _blocks(collapsed(cluster.nodes), [])
    for tenant in world.tenants.values():
        pods, own = _inside_cluster(world, tenant), _blocks(_subnets(tenant), inner)
        yield {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(world.site, NAME, tenant=tenant, namespace=namespace(tenant)),
            "spec": {
                "podSelector": {},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": [*pods, *own, *nodes]}],
                "egress": [
                    {"to": [*pods, *own, *world_outside]},
                    {"to": [_dns()], "ports": [{"protocol": protocol, "port": 53} for protocol in ("UDP", "TCP")]},
                ],
            },
        }
        if kinds := needs_api_server(world, tenant):
            yield _to_api_server(world, tenant, kinds)


def _to_api_server(world: World, tenant: Tenant, kinds: tuple[str, ...]) -> Manifest:
    """Out to the API server, for Pods of *kinds*. Policies add up: the wall around them holds for all else."""
    where = _blocks(collapsed((*world.site.cluster.services, *world.site.cluster.nodes)), [])
    key = keys(world.site).kind
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(world.site, API_SERVER, tenant=tenant, namespace=namespace(tenant)),
        "spec": {
            "podSelector": {"matchExpressions": [{"key": key, "operator": "In", "values": list(kinds)}]},
            "policyTypes": ["Egress"],
            "egress": [{"to": where, "ports": [{"protocol": "TCP", "port": port} for port in API_SERVER_PORTS]}],
        },
    }


def _inside_cluster(world: World, tenant: Tenant) -> list[Peer]:
    """Pods that the tenant's may talk to, both ways: its own, the hub's, the ingress controllers'."""
    cluster = world.site.cluster
    own = {"namespaceSelector": {"matchLabels": {keys(world.site).tenant: tenant.name}}}
    return [own, *map(_named, dict.fromkeys((cluster.hub_namespace, *cluster.ingress_namespaces)))]


def _subnets(tenant: Tenant) -> list[IPNetwork]:
    return collapsed(subnet for network in tenant.networks for subnet in network.subnets)


def _named(name: str) -> Peer:
    return {"namespaceSelector": {"matchLabels": {NAMESPACE_NAME: name}}}


def _dns() -> Peer:
    return {**_named(DNS_NAMESPACE), "podSelector": {"matchLabels": DNS_POD}}


def _blocks(allowed: Iterable[IPNetwork], walls: list[IPNetwork]) -> list[Peer]:
    """ipBlocks of *allowed* without *walls*; what lies wholly behind a wall is left out.

    Both are free of overlaps in themselves. Kubernetes wants each `except` to lie strictly inside its `cidr`.
    """
    found = []
    for cidr in allowed:
        same = [wall for wall in walls if wall.version == cidr.version]
        if any(_inside(cidr, wall) for wall in same):
            continue
        behind = [str(wall) for wall in same if _inside(wall, cidr)]
        found.append({"ipBlock": {"cidr": str(cidr), **({"except": behind} if behind else {})}})
    return found


def _inside(small: IPNetwork, large: IPNetwork) -> bool:
    """Whether the whole of *small* lies in *large*; both of one version."""
    return small.prefixlen >= large.prefixlen and small.network_address in large
