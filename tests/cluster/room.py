"""One tenant on a bed with nodes, for the tests of single kinds: worker n1, addresses in VLAN a, profiles as given."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from config.models import World
from config.names import namespace
from spawners.kinds.base import Kind
from spawners.kube.addresses import allot
from spawners.kube.launch import Launch, launch_of
from spawners.request import Request
from spawners.resolve import resolve
from tests.cluster.bed import Bed, metallb
from tests.cluster.kube import Kube, eventually
from tests.cluster.operator import Operator

SIZES = [{"name": "small", "cpu": 0.05, "memory": "128Mi"}]
SUBNETS = ("192.0.2.0/24", "2001:db8:120::/64")


@dataclass(frozen=True)
class Room:
    """The tenant's namespace, and the world that it was made of."""

    bed: Bed
    kube: Kube
    operator: Operator
    tenant: str
    world: World

    @property
    def namespace(self) -> str:
        return namespace(self.tenant)

    @property
    def owner(self) -> str:
        """The account that owns what runs unattended."""
        return f"tenant-{self.tenant}"

    def launch(
        self, kind: Kind, profile: str, name: str, options: Mapping[str, Any], images: Mapping[str, str]
    ) -> Launch:
        """What a launch of the tenant's own becomes, decided as the hub decides it."""
        tenant = self.world.tenants[self.tenant]
        asked = {"display_name": name, "started_by": self.owner, "asked": datetime.now(UTC)}
        request = Request(self.tenant, profile, dict(options))
        found = resolve(self.world, {kind.name: kind}, request, owner=self.owner, name=name, **asked)  # type: ignore[arg-type]
        network = tenant.network(found.network)
        addresses = allot(tenant, network, self.taken()) if kind.at_address(found) else ()
        return launch_of(kind, found, tenant, self.world.site, addresses, images)

    def taken(self) -> set[str]:
        """Addresses of the Services that are there."""
        services = self.kube.get("services", f"--namespace={self.namespace}")["items"]
        annotation = "metallb.io/loadBalancerIPs"
        asked = (one["metadata"].get("annotations", {}).get(annotation, "") for one in services)
        return {address for text in asked for address in text.split(",") if address}

    def get(self, kind: str, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.kube.get(kind, name, f"--namespace={self.namespace}")
        return found

    def pods(self, selector: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.kube.get("pods", f"--namespace={self.namespace}", f"--selector={selector}")[
            "items"
        ]
        return found

    def ready(self, name: str) -> dict[str, Any]:
        """The Deployment, once its Pod serves."""
        return eventually(f"{name} serves", lambda: self._available(name), patience_s=90)

    def _available(self, name: str) -> dict[str, Any]:
        found = self.get("deployment", name)
        return found if found.get("status", {}).get("availableReplicas") else {}


@contextmanager
def room(
    bed: Bed,
    folder: Path,
    profiles: Sequence[Mapping[str, Any]],
    first: int,
    site: Mapping[str, Any] | None = None,
    **tenant: Any,
) -> Iterator[Room]:
    """A tenant with *profiles*, applied, until the end of the `with`.

    *first*: the last part of the first of its eight LoadBalancer addresses, its own among all tests of the bed.
    """
    name = f"k{secrets.token_hex(3)}"
    operator = Operator(bed.kubeconfig, folder, f"{name}.example.org", metallb.NAMESPACE)
    operator.declare()
    world = _declare(bed, operator, name, profiles, first, dict(site or {}), tenant)
    operator.apply()
    made = Room(bed, Kube(bed), operator, name, world)
    try:
        eventually(
            "its account", lambda: not made.kube.kubectl("get", "sa", "default", f"-n{made.namespace}").returncode
        )
        _rules_at_work(made)
        yield made
    finally:
        for file in (*folder.glob("profiles/*.yaml"), *folder.glob("tenants/*.yaml")):
            file.unlink()
        operator.apply("--force-conflicts", f"--remove-tenant={name}")


def _declare(
    bed: Bed,
    operator: Operator,
    name: str,
    profiles: Sequence[Mapping[str, Any]],
    first: int,
    site: dict[str, Any],
    tenant: Mapping[str, Any],
) -> World:
    from config.load import load

    cluster = {
        "pods": [str(network) for network in bed.pods],
        "services": [str(network) for network in bed.services],
        "nodes": [str(network) for network in bed.room],
        "laboratories": ["192.0.2.0/24", "2001:db8:120::/64"],
        "metallb_namespace": metallb.NAMESPACE,
    }
    whole = {"label_domain": operator.domain, "cluster": cluster, "addons": {"metallb": True}, **site}
    (operator.folder / "site.yaml").write_text(yaml.safe_dump(whole))
    (operator.folder / "profiles").mkdir(exist_ok=True)
    for one in profiles:
        profile = {"title": one["name"], "sizes": SIZES, **one}
        (operator.folder / "profiles" / f"{one['name']}.yaml").write_text(yaml.safe_dump(profile))
    pool = [f"192.0.2.{first}-192.0.2.{first + 7}", f"2001:db8:120::{first}-2001:db8:120::{first + 7}"]
    network = {
        "name": "lab-a",
        "vlan": 120,
        "interface": "vlan120",
        "gateway_nodes": ["n1", "n2"],
        "subnets": list(SUBNETS),
        "loadbalancer": pool,
    }
    written = {
        "name": name,
        "admins": ["ada"],
        "workers": {"nodes": ["n1"]},
        "quota": {"workloads": 10, "cpu": 4, "memory": "4Gi"},
        "profiles": [one["name"] for one in profiles],
        "networks": [network],
        **tenant,
    }
    (operator.folder / "tenants" / f"{name}.yaml").write_text(yaml.safe_dump(written))
    return load(operator.folder)


def _rules_at_work(made: Room) -> None:
    """Admission rules are compiled a moment after they were made: until a Service on a node port is refused."""
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "probe"}, "spec": spec}
    text = yaml.safe_dump(wrong)
    probe = ("create", "--dry-run=server", f"--namespace={made.namespace}", "--filename=-")
    eventually("the admission rules", lambda: "NodePort" in made.kube.kubectl(*probe, input=text).stderr)
