"""The declared world around a KubeHub: a tenant with a laboratory's network, its namespace, its profiles."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cluster.bed import Bed, images, metallb
from tests.cluster.kubehub import KubeHub
from tests.cluster.operator import Operator

POOL = ("192.0.2.240-192.0.2.241", "2001:db8:120::240-2001:db8:120::241")
SIZES = [{"name": "small", "cpu": 0.05, "memory": "64Mi"}, {"name": "huge", "cpu": 500, "memory": "64Mi"}]
NOWHERE = "registry.invalid/nothing:1"


@contextmanager
def raised(
    bed: Bed,
    folders: pytest.TempPathFactory,
    *,
    workers: Mapping[str, Any],
    workloads: int,
    shell: str = "",
    remotes: Sequence[Mapping[str, Any]] = (),
    **settings: int,
) -> Iterator[KubeHub]:
    """A hub over one tenant of its own, with the profiles tool, lost (an image that nobody has), crawl (of the kind
    crawler), and shell where there is an image with one. *settings*: KubeHub's."""
    name = f"t{secrets.token_hex(3)}"
    world, state = folders.mktemp("world"), folders.mktemp("hub")
    operator = Operator(bed.kubeconfig, world, f"{name}.example.org", metallb.NAMESPACE)
    tenant = {**tenant_of(name, workers, workloads), "remotes": [dict(one) for one in remotes]}
    declare(bed, operator, tenant)
    operator.apply()
    profiles = {"tool": images.TOOL, "lost": NOWHERE, **({"shell": shell} if shell else {})}
    write_profiles(world, profiles)
    write_profiles(world, {"crawl": images.TOOL}, kind="crawler")
    write(world, {**tenant, "profiles": [*profiles, "crawl"]})
    made = KubeHub(bed, world, state, name, operator.domain, **settings)
    try:
        made.start()
        yield made
    finally:
        made.stop()
        for file in (*world.glob("profiles/*.yaml"), *world.glob("tenants/*.yaml")):
            file.unlink()
        operator.apply("--force-conflicts", f"--remove-tenant={name}")


def tenant_of(name: str, workers: Mapping[str, Any], workloads: int) -> dict[str, Any]:
    """A tenant file, still without profiles."""
    return {
        "name": name,
        "admins": ["ada"],
        "workers": dict(workers),
        "quota": {"workloads": workloads, "cpu": 1000, "memory": "4Gi"},
        "networks": [
            {
                "name": "lab-a",
                "vlan": 120,
                "interface": "vlan120",
                "gateway_nodes": ["n1", "n2"],
                "subnets": ["192.0.2.0/24", "2001:db8:120::/64"],
                "loadbalancer": list(POOL),
            }
        ],
    }


def declare(bed: Bed, operator: Operator, *tenants: Mapping[str, Any]) -> None:
    """Write the world: the bed's site, and *tenants*."""
    operator.declare()
    site = {
        "label_domain": operator.domain,
        "cluster": {
            "pods": [str(network) for network in bed.pods],
            "services": [str(network) for network in bed.services],
            "nodes": [str(network) for network in bed.room],
            "laboratories": ["192.0.2.0/24", "2001:db8:120::/64"],
            "metallb_namespace": metallb.NAMESPACE,
            "hub_namespace": hub_namespace(operator.domain),
        },
        "addons": {"metallb": True},
    }
    (operator.folder / "site.yaml").write_text(yaml.safe_dump(site))
    (operator.folder / "profiles").mkdir(exist_ok=True)
    for one in tenants:
        write(operator.folder, one)


def hub_namespace(domain: str) -> str:
    """The hub's own namespace, where remotes' credentials lie; a test that needs it makes it."""
    return f"hub-{domain.partition('.')[0]}"


def write(folder: Path, tenant: Mapping[str, Any]) -> None:
    """The tenant's file."""
    (folder / "tenants" / f"{tenant['name']}.yaml").write_text(yaml.safe_dump(dict(tenant)))


def write_profiles(folder: Path, profiles: Mapping[str, str], network: str | None = "lab-a", kind: str = "app") -> None:
    """A profile for each image, by the profile's name."""
    for name, image in profiles.items():
        written = {"name": name, "kind": kind, "title": name, "image": image, "sizes": SIZES}
        if network:
            written["network"] = network
        (folder / "profiles" / f"{name}.yaml").write_text(yaml.safe_dump(written))
