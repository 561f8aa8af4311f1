"""An operator at a cluster: worlds as files, `tenanthub plan` and `apply` as processes, and what is there as data."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from config.cluster.client import Cluster
from config.emit.common import Manifest
from config.names import FIELD_MANAGER, Keys
from config.order import KINDS, Key, key
from config.plan.compare import visible

COMMAND = (
    "import argparse, sys\n"
    "from config import cli_plan\n"
    "parser = argparse.ArgumentParser(prog='tenanthub')\n"
    "cli_plan.add_commands(parser.add_subparsers(required=True))\n"
    "arguments = parser.parse_args()\n"
    "sys.exit(arguments.run(arguments))\n"
)
"""The two commands by themselves: what they do must not hang on the hub's command line."""
ADDONS = ("capsule", "metallb", "egressgateway")


@dataclass(frozen=True)
class Operator:
    """Someone with a kubeconfig and a folder; each test's label domain is its own, so that tests cannot meet."""

    kubeconfig: Path
    folder: Path
    domain: str
    metallb: str
    """Namespace that stands for MetalLB's."""

    @property
    def cluster(self) -> Cluster:
        return Cluster.connect(self.kubeconfig)

    @property
    def keys(self) -> Keys:
        return Keys(self.domain)

    def declare(self, *tenants: Mapping[str, Any], addons: Sequence[str] = ADDONS) -> None:
        """Write the whole world anew."""
        for old in (self.folder / "tenants").glob("*.yaml"):
            old.unlink()
        (self.folder / "tenants").mkdir(parents=True, exist_ok=True)
        site = {
            "label_domain": self.domain,
            "cluster": {
                "pods": ["10.144.0.0/12"],
                "services": ["10.176.0.0/12"],
                "nodes": ["10.96.0.0/11"],  # what the test beds use, every slot
                "laboratories": ["10.55.0.0/16", "192.0.0.0/16", "2001:db8::/32"],
                "metallb_namespace": self.metallb,
            },
            "addons": dict.fromkeys(addons, True),
        }
        (self.folder / "site.yaml").write_text(yaml.safe_dump(site))
        for one in tenants:
            (self.folder / "tenants" / f"{one['name']}.yaml").write_text(yaml.safe_dump(dict(one)))

    def command(self, name: str, *more: str) -> list[str]:
        target = (str(self.folder), "--kubeconfig", str(self.kubeconfig))
        return [sys.executable, "-c", COMMAND, name, *target, *more]

    def run(self, name: str, *more: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(name, *more), input=stdin or "", capture_output=True, text=True, timeout=240, check=False
        )

    def plan(self, *more: str) -> dict[str, Any]:
        """`tenanthub plan -o json`; the exit code says the same as the data."""
        done = self.run("plan", "-o", "json", *more)
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        wanted = 1 if found["problems"] else 2 if found["changes"] else 0
        assert done.returncode == wanted, (done.returncode, found)
        return found

    def apply(self, *more: str) -> str:
        """`tenanthub apply --yes`, which has to succeed; its output."""
        done = self.run("apply", "--yes", *more)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def refused(self, *more: str) -> str:
        """The same where it has to be refused: nothing may have changed."""
        before = state(self.cluster, self.keys)
        done = self.run("apply", "--yes", *more)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stderr
        assert state(self.cluster, self.keys) == before
        return done.stdout + done.stderr


def tenant(
    name: str,
    number: int = 1,
    *,
    lb: Sequence[str] = ("10-19",),
    egress: Sequence[str] = ("200",),
    workloads: int = 20,
    nodes: Sequence[str] = (),
) -> dict[str, Any]:
    """One tenant file. *number* is that of its VLAN, *lb* and *egress* the hosts' part of addresses in it."""

    def addresses(some: Sequence[str]) -> list[str]:
        return ["-".join(f"10.55.{number}.{host}" for host in one.split("-")) for one in some]

    network = {
        "name": "lab",
        "vlan": number,
        "interface": f"eth1.{number}",
        "gateway_nodes": ["gateway-none"],
        "subnets": [f"10.55.{number}.0/24"],
        "loadbalancer": addresses(lb),
        "egress": addresses(egress),
    }
    return {
        "name": name,
        "admins": ["ada"],
        "workers": {"nodes": list(nodes)} if nodes else {"dedicated": False},
        "quota": {"workloads": workloads},
        "networks": [network],
    }


def _ours(cluster: Cluster, keys: Keys) -> Iterator[Manifest]:
    for kind in KINDS:
        for one in cluster.list(kind.collection(), labelSelector=f"{keys.declared_by}={FIELD_MANAGER}"):
            yield {**one, "apiVersion": kind.api_version, "kind": kind.kind}


def state(cluster: Cluster, keys: Keys) -> dict[Key, Manifest]:
    """Every object of ours as anybody declared it, by identity."""
    found = {key(one): visible(one) for one in _ours(cluster, keys)}
    for one in found.values():
        if one["kind"] == "Node":
            # Annotations are the node controller's, and so are taints that say that no kubelet reports.
            one["metadata"].pop("annotations", None)
            taints = (one.get("spec") or {}).get("taints") or ()
            one["spec"] = {"taints": [taint for taint in taints if taint["key"] == keys.tenant]}
    return found


def writes(cluster: Cluster, keys: Keys) -> dict[Key, Any]:
    """By identity, what changes whenever somebody writes to an object; reports of a status do not count."""
    return {
        key(one): [entry for entry in one["metadata"]["managedFields"] if not entry.get("subresource")]
        for one in _ours(cluster, keys)
    }
