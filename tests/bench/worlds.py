"""Worlds of any size for a cluster: what the tests and the benchmarks of the compiler work on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from config.models import Site, Tenant, World

MOST = 4094
"""There are no more VLANs (IEEE 802.1Q), and each tenant has one."""
ADDONS = ("capsule", "metallb", "egressgateway", "cilium")
GATEWAYS = 8
"""Gateway nodes that all tenants share, two each."""


def site(addons: tuple[str, ...] = ADDONS, **fields: Any) -> dict[str, Any]:
    """site.yaml of a dual-stack cluster that has *addons*; *fields* go over it."""
    described = {
        "title": "Large site",
        "cluster": {
            "pods": ["10.244.0.0/14", "fd00:10:244::/48"],
            "services": ["10.176.0.0/12", "fd00:100::/24"],  # those of the test beds
            "nodes": ["192.0.2.0/24", "fd00:99::/64"],
            "laboratories": ["172.16.0.0/12", "2001:db8::/32"],
            "ingress_namespaces": ["ingress-nginx"],
        },
        "addons": dict.fromkeys(addons, True),
        "image_registries": ["registry.example.org/research"],
    }
    return described | fields


def tenant(index: int) -> dict[str, Any]:
    """The tenant number *index* (below MOST), with people, a worker, a VLAN and IPv4 and IPv6 addresses of its own.

    Subnets have a gap after each, as real ones do, so that no two of them melt into one.
    """
    name = f"group-{index:04}"
    four = f"172.{16 + index // 256}.{index % 256}"
    six = f"2001:db8:{index:x}:"
    return {
        "name": name,
        "title": f"Research group {index}",
        "admins": [f"{name}-admin-{number}" for number in range(2)],
        "members": [f"{name}-member-{number}" for number in range(10)],
        "workers": {"nodes": [f"worker-{index:04}"], "qos": "Guaranteed" if index % 10 == 0 else "Burstable"},
        "quota": {"workloads": 20, "cpu": 16, "memory": "32Gi"},
        "networks": [
            {
                "name": "lab",
                "vlan": index + 1,
                "interface": f"eth1.{index + 1}",
                "gateway_nodes": [f"gateway-{(index + more) % GATEWAYS}" for more in (0, 1)],
                "subnets": [f"{four}.0/25", f"{six}:/64"],
                "loadbalancer": [f"{four}.10-{four}.50", f"{six}:10-{six}:50"],
                "egress": [f"{four}.60", f"{six}:60"],
            }
        ],
    }


def cluster_world(tenants: int, addons: tuple[str, ...] = ADDONS, **site_fields: Any) -> World:
    """A World of that many tenants, without profiles, made without files."""
    models = [Tenant.model_validate(tenant(index)) for index in range(tenants)]
    described = Site.model_validate(site(addons, **site_fields))
    return World(described, {}, {model.name: model for model in models})


def write_cluster_world(folder: Path, tenants: int, addons: tuple[str, ...] = ADDONS, **site_fields: Any) -> Path:
    """The same as files in *folder*, for the commands."""
    (folder / "tenants").mkdir(parents=True, exist_ok=True)
    (folder / "site.yaml").write_text(yaml.safe_dump(site(addons, **site_fields)), encoding="utf-8")
    for index in range(tenants):
        found = tenant(index)
        (folder / "tenants" / f"{found['name']}.yaml").write_text(yaml.safe_dump(found), encoding="utf-8")
    return folder
