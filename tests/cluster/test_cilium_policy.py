"""What Cilium's own policy engine makes of our policies (1.16, the Kyoto paper's): no Cilium runs here, its code does.

A world of three tenants; who may reach whom is asked for each of them in both directions.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from config.emit.cilium import emit
from tests.cluster.bed import cache, gobuild
from tests.tiers import need
from tests.unit.config.emit.addon_worlds import addon_world

ENGINE = gobuild.Module("ciliumpolicy", {"ciliumpolicy": "."}, "4 minutes")
LABEL = "k8s:io.cilium.k8s.namespace.labels.edge.kudpc.kyoto-u.ac.jp/tenant"
NAMESPACE = "k8s:io.kubernetes.pod.namespace"
Labels = dict[str, str]


def pod(namespace: str, **labels: str) -> Labels:
    tenant = {LABEL: namespace.removeprefix("tenant-")} if namespace.startswith("tenant-") else {}
    return {NAMESPACE: namespace, **tenant, **{f"k8s:{name}": value for name, value in labels.items()}}


PHYSICS, HISTORY, DRAMA = (pod(f"tenant-{name}") for name in ("physics", "history", "drama"))
PHYSICS_APP = pod("tenant-physics", app="db")
CODER = pod("tenant-physics", **{"edge.kudpc.kyoto-u.ac.jp/kind": "coder"})
HISTORYS_CODER = pod("tenant-history", **{"edge.kudpc.kyoto-u.ac.jp/kind": "coder"})  # who has no profile of it
HUB, INGRESS, OTHER = pod("tenanthub"), pod("ingress-nginx"), pod("monitoring")
DNS = pod("kube-system", **{"k8s-app": "kube-dns"})
HOST, REMOTE_NODE = {"reserved:host": ""}, {"reserved:remote-node": ""}
API_SERVER = {"reserved:kube-apiserver": "", "reserved:remote-node": ""}


def outside(address: str) -> Labels:
    return {"cidr": address}


CASES: list[tuple[str, Labels, str, Labels, int, str, bool]] = [
    # what is asked, subject, direction, peer, port, protocol, whether it is allowed
    ("the tenant itself", PHYSICS, "ingress", PHYSICS_APP, 5432, "TCP", True),
    ("the tenant itself", PHYSICS, "egress", PHYSICS_APP, 5432, "TCP", True),
    ("another tenant", PHYSICS, "ingress", HISTORY, 8888, "TCP", False),
    ("another tenant", PHYSICS, "egress", HISTORY, 8888, "TCP", False),
    ("another tenant's port 53", PHYSICS, "egress", HISTORY, 53, "UDP", False),
    ("the hub", PHYSICS, "ingress", HUB, 8888, "TCP", True),
    ("the hub", PHYSICS, "egress", HUB, 8081, "TCP", True),
    ("an ingress controller", PHYSICS, "ingress", INGRESS, 8080, "TCP", True),
    ("an ingress controller", PHYSICS, "egress", INGRESS, 443, "TCP", True),
    ("another namespace", PHYSICS, "ingress", OTHER, 8888, "TCP", False),
    ("another namespace", PHYSICS, "egress", OTHER, 9090, "TCP", False),
    ("DNS", PHYSICS, "egress", DNS, 53, "UDP", True),
    ("DNS", PHYSICS, "egress", DNS, 53, "TCP", True),
    ("DNS's metrics", PHYSICS, "egress", DNS, 9153, "TCP", False),
    ("DNS calling", PHYSICS, "ingress", DNS, 8888, "TCP", False),
    ("metadata", PHYSICS, "egress", outside("169.254.169.254/32"), 80, "TCP", False),
    ("metadata, IPv6", PHYSICS, "egress", outside("fd00:ec2::254/128"), 80, "TCP", False),
    ("a node port", PHYSICS, "egress", REMOTE_NODE, 30080, "TCP", False),
    ("a node port of its own node", PHYSICS, "egress", HOST, 30080, "TCP", False),
    ("the API server", PHYSICS, "egress", API_SERVER, 6443, "TCP", False),
    ("Coder's API server", CODER, "egress", API_SERVER, 6443, "TCP", True),
    ("Coder's API server, other ports", CODER, "egress", API_SERVER, 10250, "TCP", False),
    ("Coder to another tenant", CODER, "egress", HISTORY, 443, "TCP", False),
    ("Coder to a node", CODER, "egress", REMOTE_NODE, 6443, "TCP", False),
    ("Coder's workspaces", CODER, "egress", PHYSICS_APP, 22, "TCP", True),
    ("a Pod called so, in a tenant that may have none", HISTORYS_CODER, "egress", API_SERVER, 6443, "TCP", False),
    ("a hypervisor beside the nodes", PHYSICS, "egress", outside("10.0.0.250/32"), 8006, "TCP", False),
    ("kubelet's probe", PHYSICS, "ingress", HOST, 8888, "TCP", True),
    ("the world", PHYSICS, "egress", outside("93.184.216.34/32"), 443, "TCP", True),
    ("the world, IPv6", PHYSICS, "egress", outside("2606:2800:220::1/128"), 443, "TCP", True),
    ("its own VLAN", PHYSICS, "egress", outside("192.0.2.50/32"), 21, "TCP", True),
    ("another's VLAN", PHYSICS, "egress", outside("198.51.100.50/32"), 21, "TCP", False),
    ("another's VLAN, IPv6", HISTORY, "egress", outside("2001:db8:101::50/128"), 21, "TCP", False),
    ("another's LoadBalancer address", DRAMA, "egress", outside("192.0.2.200/32"), 21, "TCP", False),
    ("the world, without a network", DRAMA, "egress", outside("93.184.216.34/32"), 443, "TCP", True),
    ("an instrument", PHYSICS, "ingress", outside("192.0.2.50/32"), 2121, "TCP", True),
    ("an instrument, IPv6", PHYSICS, "ingress", outside("2001:db8:101::50/128"), 2121, "TCP", True),
    ("an instrument by another node", PHYSICS, "ingress", REMOTE_NODE, 2121, "TCP", True),
    ("another tenant's instrument", PHYSICS, "ingress", outside("198.51.100.50/32"), 2121, "TCP", False),
    ("the world", PHYSICS, "ingress", outside("93.184.216.34/32"), 2121, "TCP", False),
    ("a node, without a LoadBalancer", DRAMA, "ingress", REMOTE_NODE, 2121, "TCP", False),
    ("an instrument, without a LoadBalancer", DRAMA, "ingress", outside("192.0.2.50/32"), 2121, "TCP", False),
]


pytestmark = pytest.mark.timeout(1200)  # the first time the engine is built


@pytest.fixture(scope="module")
def engine() -> Path:
    """The engine, out of the build cache. Go alone is needed: no root, no Debian."""
    need("cluster", shutil.which("go"), "there is no Go compiler here to build Cilium's policy engine with")
    artefact = cache.Artefact("ciliumpolicy", gobuild.key(ENGINE), _build, ENGINE.about)
    cache.obtain([artefact], print)
    return cache.folder_of(artefact) / "ciliumpolicy"


def _build(folder: Path, lock: int) -> None:
    gobuild.build(ENGINE, folder, lock, cache.root() / "ciliumpolicy.log")


def ask(engine: Path, policies: list[dict[str, Any]], cases: list[dict[str, Any]]) -> list[str]:
    asked = json.dumps({"policies": policies, "cases": cases})
    answer = subprocess.run([engine], input=asked, capture_output=True, text=True, check=False)
    assert answer.returncode == 0, answer.stderr
    found: list[str] = json.loads(answer.stdout)
    return found


def _question(case: tuple[str, Labels, str, Labels, int, str, bool]) -> dict[str, Any]:
    _, subject, direction, peer, port, protocol, _ = case
    return {"subject": subject, "direction": direction, "peer": peer, "port": port, "protocol": protocol}


def test_who_reaches_whom(engine: Path) -> None:
    verdicts = ask(engine, list(emit(addon_world("cilium", "dual-stack"))), [_question(case) for case in CASES])
    wrong = [
        f"{case[0]}, {case[2]}: {verdict}"
        for case, verdict in zip(CASES, verdicts, strict=True)
        if (verdict == "allowed") != case[-1]
    ]
    assert not wrong


def test_no_allow_of_a_tenants_own_opens_the_wall(engine: Path) -> None:
    """Were one to bring a policy that lets another tenant in, these and the metadata address stay closed.

    Peers are named one by one: where `all` is allowed, this entrance to the engine (made for traces) stops looking.
    """
    peers = [{"matchLabels": {NAMESPACE: namespace}} for namespace in ("tenant-history", "monitoring")]
    opening = {
        "apiVersion": "cilium.io/v2",
        "kind": "CiliumClusterwideNetworkPolicy",
        "metadata": {"name": "open"},
        "spec": {
            "endpointSelector": {"matchLabels": {LABEL: "physics"}},
            "ingress": [{"fromEndpoints": peers}],
            "egress": [{"toEndpoints": peers}, {"toCIDR": ["169.254.169.254/32"]}, {"toEntities": ["kube-apiserver"]}],
        },
    }
    policies = [*emit(addon_world("cilium", "dual-stack")), opening]
    for peer_set, count, verdict in (
        ((HISTORY, outside("169.254.169.254/32")), 4, "denied"),
        ((OTHER, API_SERVER), 3, "allowed"),  # so the policy does open what nothing denies
    ):
        asked = [_question(case) for case in CASES if case[1] is PHYSICS and case[3] in peer_set]
        assert ask(engine, policies, asked) == [verdict] * count
