"""The Service of a workload that is reached from outside, at addresses that are its tenant's own.

Sources: Kubernetes, "Service" (type LoadBalancer, dual stack) and MetalLB, "Usage".
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from config.emit.common import Manifest, metadata
from spawners.kube.launch import Launch
from spawners.kube.names import labels, selector

LOADBALANCER_IPS = "metallb.io/loadBalancerIPs"
"""Annotation; spec.loadBalancerIP is deprecated and holds one family only (MetalLB, "Usage")."""
_FAMILY = {4: "IPv4", 6: "IPv6"}


def service(launch: Launch) -> Manifest:
    """LoadBalancer where the plan has addresses, else ClusterIP (an Ingress of the site leads to it)."""
    addresses = launch.plan.addresses
    annotations = {LOADBALANCER_IPS: ",".join(addresses)} if addresses else None
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata(
            launch.site,
            launch.name,
            namespace=launch.namespace,
            labels=labels(launch.workload, launch.site),
            annotations=annotations,
        ),
        "spec": {
            **(_load_balancer(launch) if addresses else {"type": "ClusterIP"}),
            "selector": selector(launch.workload, launch.site),
            "ports": [
                {"name": port.name, "protocol": "TCP", "port": port.port, "targetPort": port.target}
                for port in launch.plan.ports
            ],
        },
    }


def _load_balancer(launch: Launch) -> dict[str, Any]:
    families = [_FAMILY[ip_address(address).version] for address in launch.plan.addresses]
    ranges = source_ranges(launch)
    return {
        "type": "LoadBalancer",
        # MetalLB needs no node ports, and one would be open on everybody's nodes.
        "allocateLoadBalancerNodePorts": False,
        # Local would announce an address from such gateway nodes only as run the Pod themselves, and workers are
        # seldom in a laboratory's VLAN. The price: programs see a node's address in place of an instrument's.
        # Source ranges are checked before that, where the packet comes in.
        "externalTrafficPolicy": "Cluster",
        "ipFamilies": families,
        # Require, not Prefer: with Prefer a cluster that lacks a family would leave an address out silently.
        "ipFamilyPolicy": "RequireDualStack" if len(families) > 1 else "SingleStack",
        **({"loadBalancerSourceRanges": ranges} if ranges else {}),
    }


def source_ranges(launch: Launch) -> list[str]:
    """Who may connect: the network's own subnets, and Pods where the plan says so (kube-proxy asks a Pod's packets to
    the address for their range, too); empty where the plan opens it to everybody.

    kube-proxy reads them family by family and takes an empty list for "everybody", so a family that the Service has
    is never without a range: config.check sees to it that an address lies in a subnet of its network.
    """
    if launch.plan.sources == "everybody":
        return []
    network = launch.tenant.network(launch.workload.network)
    pods = launch.site.cluster.pods if launch.plan.pods_connect else ()
    return [str(subnet) for subnet in (*network.subnets, *pods)] if network else []
