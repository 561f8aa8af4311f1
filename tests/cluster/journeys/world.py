"""The declared world of the journeys: physics on VLAN a, history on VLAN b, each with a worker of its own.

    n1  physics' worker, gateway of VLAN a      n2  gateway of both, nobody's worker: hub, proxy, portal
    n3  history's worker, gateway of VLAN b

A bed holds the add-ons' resource definitions, and MetalLB alone as a program: LoadBalancer addresses are announced for
real, egress addresses are declared, accepted by the API server, and carried by nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tests.cluster.bed import Bed, metallb

DOMAIN = "journeys.example.org"
HUB_NAMESPACE = "tenanthub"
PHYSICS, HISTORY = "physics", "history"
TENANTS = (PHYSICS, HISTORY)
ADMIN, MEMBER, STRANGER = "physics-admin", "physics-member", "history-member"
"""Who takes the journeys: STRANGER belongs to history alone."""
PEOPLE = (ADMIN, MEMBER, "history-admin", STRANGER)
WORKER = {PHYSICS: "n1", HISTORY: "n3"}
ADDRESSES = {
    PHYSICS: ("192.0.2.205-192.0.2.210", "2001:db8:120::205-2001:db8:120::210"),
    HISTORY: ("198.51.100.205-198.51.100.210", "2001:db8:130::205-2001:db8:130::210"),
}
"""For Services, of each family."""
REMOTE = "data"

Files = Mapping[str, Any]
"""Path in the folder of a world, and what the file there holds."""


def credentials(tenant: str) -> str:
    """Name of the Secret with the keys of the tenant's remote, in the hub's namespace."""
    return f"{tenant}-s3"


def bucket(tenant: str) -> str:
    """The tenant's own."""
    return f"{tenant}-data"


def files(
    bed: Bed, endpoints: Mapping[str, str], *, domain: str = DOMAIN, hub_namespace: str = HUB_NAMESPACE
) -> dict[str, Any]:
    """The whole world. *endpoints*: tenant -> URL of the S3 server that holds its bucket."""
    return {
        "site.yaml": _site(bed, domain, hub_namespace),
        **{f"profiles/{one['name']}.yaml": one for one in PROFILES},
        "tenants/physics.yaml": _tenant(
            PHYSICS,
            [ADMIN],
            [MEMBER],
            _network("lab-a", 120, ["n1", "n2"], ["192.0.2.0/24", "2001:db8:120::/64"], ["192.0.2.211-192.0.2.212"]),
            endpoints,
        ),
        "tenants/history.yaml": _tenant(
            HISTORY,
            ["history-admin"],
            [STRANGER],
            _network("lab-b", 130, ["n2", "n3"], ["198.51.100.0/24", "2001:db8:130::/64"], ["198.51.100.211"]),
            endpoints,
        ),
    }


def write(folder: Path, world: Files) -> Path:
    """Write the files of *world* below *folder*, as `tenanthub apply` and the hub read them."""
    for path, content in world.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(yaml.safe_dump(content, sort_keys=False))
    return folder


PROFILES: tuple[dict[str, Any], ...] = (
    {
        "name": "notebook",
        "kind": "notebook",
        "title": "Notebook",
        "description": "JupyterLab for Python, in your browser.",
        "sizes": [{"name": "small", "cpu": "200m", "memory": "1Gi"}],
    },
    {
        "name": "vscode",
        "kind": "ide",
        "title": "VS Code",
        "description": "The editor with terminals and extensions, in your browser.",
        "sizes": [{"name": "small", "cpu": "200m", "memory": "1536Mi"}],
    },
    {
        "name": "instrument-upload",
        "kind": "collector",
        "title": "Instrument upload",
        "description": "An FTP, SFTP or WebDAV address for an instrument. Files arrive in your object storage.",
        "sizes": [{"name": "small", "cpu": "200m", "memory": "512Mi"}],
    },
    {
        "name": "crawl",
        "kind": "crawler",
        "title": "Crawl",
        "description": "Collect web pages on a schedule, also when nobody is looking.",
        "sizes": [{"name": "small", "cpu": "200m", "memory": "512Mi"}],
    },
)
"""Little CPU is asked for: a bed's nodes share the machine's, and what is asked for is not a limit."""


def _site(bed: Bed, domain: str, hub_namespace: str) -> dict[str, Any]:
    return {
        "title": "Journeys",
        "label_domain": domain,
        "contact": "help@example.org",
        "cluster": {
            "pods": [str(network) for network in bed.pods],
            "services": [str(network) for network in bed.services],
            "nodes": [str(network) for network in bed.room],
            "laboratories": ["192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"],
            "hub_namespace": hub_namespace,
            "metallb_namespace": metallb.NAMESPACE,
        },
        "addons": {"metallb": True, "egressgateway": True},
    }


def _tenant(
    name: str, admins: Sequence[str], members: Sequence[str], network: Mapping[str, Any], endpoints: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "title": name.capitalize(),
        "admins": list(admins),
        "members": list(members),
        "profiles": [one["name"] for one in PROFILES],
        "workers": {"nodes": [WORKER[name]]},
        "quota": {"workloads": 10, "cpu": 4, "memory": "16Gi"},
        "networks": [{**network, "loadbalancer": list(ADDRESSES[name])}],
        "remotes": [
            {
                "name": REMOTE,
                "title": f"Data of {name.capitalize()}",
                "type": "s3",
                "bucket": bucket(name),
                "options": {"provider": "Rclone", "endpoint": endpoints[name]},
                "credentials": credentials(name),
            }
        ],
    }


def _network(
    name: str, vlan: int, nodes: Sequence[str], subnets: Sequence[str], egress: Sequence[str]
) -> dict[str, Any]:
    return {
        "name": name,
        "vlan": vlan,
        "interface": f"vlan{vlan}",
        "gateway_nodes": list(nodes),
        "subnets": list(subnets),
        "egress": list(egress),
    }
