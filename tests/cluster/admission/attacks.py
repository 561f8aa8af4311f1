"""What people try with Pods and Services: each with words of the refusal it must meet, so that no other rule serves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.admission.hall import BARE, DOMAIN, HISTORY, KEYS, PHYSICS, container


@dataclass(frozen=True)
class Attack:
    """*over* is laid over a good object of tenant *tenant*; the refusal says every one of *says*."""

    rule: str
    title: str
    over: Mapping[str, Any]
    says: tuple[str, ...]
    tenant: str = PHYSICS

    @property
    def id(self) -> str:
        return f"{self.rule}: {self.title}"


def _node_term(key: str, operator: str = "Exists") -> dict[str, Any]:
    return {"matchExpressions": [{"key": key, "operator": operator}]}


def _required(*terms: dict[str, Any]) -> dict[str, Any]:
    wanted = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"spec": {"affinity": {"nodeAffinity": wanted}}}


def _near(kind: str, required: bool, **term: Any) -> dict[str, Any]:
    one = {"topologyKey": "topology.kubernetes.io/zone", "labelSelector": {}, **term}
    if required:
        return {"spec": {"affinity": {kind: {"requiredDuringSchedulingIgnoredDuringExecution": [one]}}}}
    weighted = {"weight": 1, "podAffinityTerm": one}
    return {"spec": {"affinity": {kind: {"preferredDuringSchedulingIgnoredDuringExecution": [weighted]}}}}


def tolerate(**toleration: Any) -> dict[str, Any]:
    return {"spec": {"tolerations": [toleration]}}


def image(name: str) -> dict[str, Any]:
    return {"spec": {"containers": [container(name)]}}


def label(key: str, value: str) -> dict[str, Any]:
    return {"metadata": {"labels": {key: value}}}


def _selecting(key: str) -> dict[str, Any]:
    return {"spec": {"nodeSelector": {key: "true"}}}


ELSEWHERE = "asks for Pods of other namespaces"
ANOTHER = "marks nodes of another tenant"

PLACEMENT = (
    Attack("nodeName", "skip the scheduler", {"spec": {"nodeName": "n2"}}, ("spec.nodeName is n2", "leave it out")),
    Attack("nodeSelector", "workers", _selecting(KEYS.node(HISTORY)), (f"names {KEYS.node(HISTORY)}, which", ANOTHER)),
    Attack("nodeSelector", "own name is a prefix", _selecting(KEYS.node(f"{PHYSICS}-2")), (ANOTHER,)),
    Attack("nodeSelector", "LoadBalancer nodes", _selecting(KEYS.lb(HISTORY)), (KEYS.lb(HISTORY), ANOTHER)),
    Attack("nodeSelector", "and a prefix of them", _selecting(KEYS.lb(f"{PHYSICS}-2")), (ANOTHER,)),
    Attack("nodeSelector", "egress nodes of a network", _selecting(KEYS.eg(HISTORY, "lab-h")), (ANOTHER,)),
    Attack("nodeSelector", "from a tenant of no workers", _selecting(KEYS.node(PHYSICS)), (ANOTHER,), BARE),
    Attack("requiredNodes", "one term", _required(_node_term(KEYS.node(HISTORY))), ("nodeAffinity", ANOTHER)),
    Attack(
        "requiredNodes",
        "the last of several",
        _required(_node_term("a"), {"matchFields": []}, _node_term("b", "DoesNotExist"), _node_term(KEYS.eg(HISTORY))),
        (KEYS.eg(HISTORY), ANOTHER),
    ),
    Attack(
        "preferredNodes",
        "as a wish",
        {
            "spec": {
                "affinity": {
                    "nodeAffinity": {
                        "preferredDuringSchedulingIgnoredDuringExecution": [
                            {"weight": 1, "preference": _node_term("a")},
                            {"weight": 100, "preference": _node_term(KEYS.node(HISTORY))},
                        ]
                    }
                }
            }
        },
        (KEYS.node(HISTORY), ANOTHER),
    ),
    Attack("podAffinity", "away from all", _near("podAntiAffinity", True, namespaceSelector={}), (ELSEWHERE,)),
    Attack("podAffinity", "away, by name", _near("podAntiAffinity", True, namespaces=["default"]), (ELSEWHERE,)),
    Attack("podAffinity", "away, as a wish", _near("podAntiAffinity", False, namespaceSelector={}), (ELSEWHERE,)),
    Attack("podAffinity", "next to all", _near("podAffinity", True, namespaceSelector={}), (ELSEWHERE,)),
    Attack("podAffinity", "next to, as a wish", _near("podAffinity", False, namespaces=["kube-system"]), (ELSEWHERE,)),
    Attack(
        "priority",
        "as the cluster itself",
        {"spec": {"priorityClassName": "system-node-critical"}},
        ("spec.priorityClassName system-node-critical is for the cluster itself",),
    ),
)
_ONLY_OWN = f"may tolerate only {KEYS.tenant}={PHYSICS} (operator Equal)"
TOLERATIONS = (
    Attack("tolerations", "everything", tolerate(operator="Exists"), ("every taint (operator Exists)", _ONLY_OWN)),
    Attack("tolerations", "any NoExecute", tolerate(operator="Exists", effect="NoExecute"), ("every taint", _ONLY_OWN)),
    Attack(
        "tolerations", "all tenants'", tolerate(key=KEYS.tenant, operator="Exists"), ("(operator Exists)", _ONLY_OWN)
    ),
    Attack(
        "tolerations", "another's", tolerate(key=KEYS.tenant, value=HISTORY), (f"{KEYS.tenant}={HISTORY}", _ONLY_OWN)
    ),
    Attack("tolerations", "of no value", tolerate(key=KEYS.tenant, operator="Equal"), (_ONLY_OWN,)),
    Attack("tolerations", "in capitals", tolerate(key=KEYS.tenant, value=PHYSICS.upper()), (_ONLY_OWN,)),
    Attack(
        "tolerations",
        "control plane",
        tolerate(key="node-role.kubernetes.io/control-plane", operator="Exists"),
        ("the taint node-role.kubernetes.io/control-plane (operator Exists)", _ONLY_OWN),
    ),
    Attack("tolerations", "looks like Kubernetes", tolerate(key="node.kubernetes.io.example.org/x"), (_ONLY_OWN,)),
    Attack(
        "tolerations",
        "behind good ones",
        {
            "spec": {
                "tolerations": [
                    {"key": KEYS.tenant, "value": PHYSICS},
                    {"key": "node.kubernetes.io/not-ready", "operator": "Exists"},
                    {"key": KEYS.tenant, "value": HISTORY, "effect": "NoSchedule"},
                ]
            }
        },
        (f"{KEYS.tenant}={HISTORY}", _ONLY_OWN),
    ),
)
_HAS = f"tenant {PHYSICS} has egress addresses in lab-a, lab-b: name one of these"
LABELS = (
    Attack("egress", "another's network", label(KEYS.egress_policy, "lab-h"), ("says lab-h", _HAS)),
    Attack("egress", "no egress there", label(KEYS.egress_policy, "lab-lb"), ("says lab-lb", _HAS)),
    Attack("egress", "in capitals", label(KEYS.egress_policy, "LAB-A"), ("says LAB-A", _HAS)),
    Attack("egress", "a beginning", label(KEYS.egress_policy, "lab"), ("says lab,", _HAS)),
    Attack("egress", "empty", label(KEYS.egress_policy, ""), (KEYS.egress_policy, _HAS)),
    Attack(
        "egress", "from a tenant without", label(KEYS.egress_policy, "lab-a"), ("has no egress addresses: leave",), BARE
    ),
    Attack(
        "ciliumLabels",
        "the namespace's own",
        label("io.cilium.k8s.namespace.labels.capsule.clastix.io/tenant", HISTORY),
        ("io.cilium.k8s.namespace.labels.capsule.clastix.io/tenant is for Cilium alone",),
    ),
)
_ALLOWED = "registry.example.org/research or docker.io/library or docker.io/jupyter or localhost:5000"
_BAD_IMAGES = (
    "registry.example.org/research-evil/tool:1",
    "registry.example.org.evil/research/tool",
    "registry.example.org/research",
    "registry.example.org:5000/research/tool",
    "registry.example.org/other/tool",
    "Registry.Example.org/research/tool",
    "evil/registry.example.org/research/tool",
    "localhost/tool",
    "localhost:5001/tool",
    "someone/tool:latest",
    "docker.io/someone/tool",
    "index.docker.io/someone/tool",
    "library.evil/python",
    "docker.io.evil/library/python",
    "ghcr.io/jupyter/notebook",
    "jupyter-evil/notebook",
)
IMAGES = (
    *(Attack("images", name, image(name), (f"image {name} does not come from {_ALLOWED}",)) for name in _BAD_IMAGES),
    Attack(
        "images",
        "of an init container",
        {"spec": {"initContainers": [container("evil.example.org/x", "first")]}},
        ("image evil.example.org/x does not",),
    ),
    Attack(
        "images",
        "as a volume",
        {"spec": {"volumes": [{"name": "v", "image": {"reference": "evil.example.org/data:1"}}]}},
        ("image evil.example.org/data:1 does not",),
    ),
    Attack(
        "images",
        "all are told at once",
        {
            "spec": {
                "priorityClassName": "system-cluster-critical",
                "containers": [container("evil.example.org/a", "a"), container("evil.example.org/b", "b")],
            }
        },
        ("evil.example.org/a does", "evil.example.org/b does", "system-cluster-critical is for"),
    ),
)
OF_PODS = (*PLACEMENT, *TOLERATIONS, *LABELS, *IMAGES)


@dataclass(frozen=True)
class Legal:
    title: str
    over: Mapping[str, Any] = field(default_factory=dict)
    tenant: str = PHYSICS


LEGAL_PODS = (
    Legal("nothing asked"),
    Legal("own taint", tolerate(key=KEYS.tenant, operator="Equal", value=PHYSICS, effect="NoSchedule")),
    Legal("own taint, every effect", tolerate(key=KEYS.tenant, value=PHYSICS)),
    Legal("what DaemonSets tolerate", tolerate(key="node.kubernetes.io/unschedulable", operator="Exists")),
    Legal("own workers", _selecting(KEYS.node(PHYSICS))),
    Legal("own LoadBalancer nodes", _selecting(KEYS.lb(PHYSICS))),
    Legal("of one network", _selecting(KEYS.lb(PHYSICS, "lab-a"))),
    Legal("own egress nodes", _required(_node_term(KEYS.eg(PHYSICS)))),
    Legal("labels of the site", {"spec": {"nodeSelector": {"gpu": "a100", f"{DOMAIN}/rack": "7"}}}),
    Legal(
        "as DaemonSets place them",
        _required({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n1"]}]}),
    ),
    Legal("apart from each other", _near("podAntiAffinity", True)),
    Legal("egress", label(KEYS.egress_policy, "lab-b")),
    Legal("own tenant's label", label(KEYS.tenant, PHYSICS)),
    Legal("no tolerations, no workers", {}, BARE),
    *(
        Legal(name, image(name))
        for name in (
            "registry.example.org/research/deep/tool:1",
            "registry.example.org/research/tool@sha256:" + "0" * 64,
            "localhost:5000/tool",
            "python",
            "python:3.11-slim",
            "library/python",
            "docker.io/python",
            "docker.io/library/python@sha256:" + "0" * 64,
            "index.docker.io/library/python",
            "jupyter/notebook",
            "docker.io/jupyter/notebook:7",
        )
    ),
)
