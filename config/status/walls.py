"""Does the API server do what the tenants' isolation rests on? Tried with dry runs, which leave nothing behind.

Two plugins have to be switched on by whoever runs the API server, and no API tells whether they are: PodNodeSelector
and PodTolerationRestriction (`--enable-admission-plugins`). A dry run does: it answers with the Pod as it would have
been stored, or with the refusal, after the whole admission chain.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from config.emit.common import NODE_SELECTOR, Manifest
from config.emit.namespaces import DEFAULT_TOLERATIONS
from config.models import Tenant, World
from config.names import keys, namespace
from config.status.addresses import within
from config.status.live import Answer
from config.status.model import Finding, Findings, State, Wall, Walls

FOREIGN_ADDRESSES = ("203.0.113.254", "198.51.100.254", "192.0.2.254")
"""Networks for documentation (RFC 5737): nobody's, unless a site tries something out with one of them."""
_WALLS = ("ValidatingAdmissionPolicy", "violates PodSecurity")
"""Words of a refusal by a wall; anything else (rights, quota, an add-on's webhook) says nothing about the wall."""


@dataclass(frozen=True)
class Probe:
    """One object to create as a dry run: `path` of the collection, and what it is."""

    name: str
    path: str
    body: Manifest


def probes(world: World, tenant: Tenant) -> tuple[Probe, ...]:
    """What to try in the namespace of *tenant*."""
    names, room = keys(world.site), namespace(tenant)
    pods, services = f"/api/v1/namespaces/{room}/pods", f"/api/v1/namespaces/{room}/services"

    def pod(name: str, spec: Mapping[str, Any] | None = None, labels: Mapping[str, str] | None = None) -> Probe:
        return Probe(name, pods, _pod(world, spec or {}, labels or {}))

    def service(name: str, kind: str, annotations: Mapping[str, str] | None = None) -> Probe:
        return Probe(name, services, _service(kind, annotations or {}))

    return (
        pod("placement"),
        pod("node name", {"nodeName": "tenanthub-no-such-node"}),
        pod("tolerations", {"tolerations": [{"operator": "Exists"}]}),
        pod("host network", {"hostNetwork": True}),
        pod("egress label", labels={names.egress_policy: "tenanthub-none"}),
        service("NodePort", "NodePort"),
        service("address", "LoadBalancer", {"metallb.io/loadBalancerIPs": _foreign(tenant)}),
    )


def _foreign(tenant: Tenant) -> str:
    own = [item for network in tenant.networks for item in network.loadbalancer]
    return next((address for address in FOREIGN_ADDRESSES if not within(address, own)), FOREIGN_ADDRESSES[0])


_REFUSED: Mapping[str, str] = {
    "node name": "a Pod that names its node",
    "tolerations": "a Pod that tolerates every taint",
    "host network": "a Pod in the node's network",
    "egress label": "a Pod with the egress label of no network",
    "NodePort": "a Service of type NodePort",
    "address": "a Service that asks for an address of nobody's",
}
"""Probe -> what it is."""


def judge(tenant: Tenant | None, wanted: Manifest | None, answers: Iterable[Answer]) -> Walls:
    """What the *answers* in the namespace of *tenant* mean; *wanted*: its Namespace as declared."""
    said = {answer.probe: answer for answer in answers}
    room = namespace(tenant) if tenant else ""
    if not said:
        none = Wall("placement", State.UNKNOWN, "not tried: no tenant has its namespace yet")
        return Walls(room, State.UNKNOWN, (none,))
    checks = [_placement(said["placement"], wanted)] if "placement" in said else []
    checks += [_refusal(name, said[name]) for name in _REFUSED if name in said]
    states = {check.state for check in checks}
    state = State.DOWN if State.DOWN in states else State.UNKNOWN if State.UNKNOWN in states else State.UP
    return Walls(room, state, tuple(checks))


def findings(walls: Walls) -> list[Finding]:
    """An alarm for each wall that is down, a note for each that could not be tried."""
    found = Findings("walls")
    for check in walls.checks:
        say: Callable[[str], None] | None = {State.DOWN: found.alarm, State.UNKNOWN: found.note}.get(check.state)
        if say:
            say(f"{check.name}: {check.text}")
    return found


def _placement(answer: Answer, wanted: Manifest | None) -> Wall:
    annotations = ((wanted or {}).get("metadata") or {}).get("annotations") or {}
    selector = dict(
        part.strip().split("=", 1) for part in annotations.get(NODE_SELECTOR, "").split(",") if "=" in part
    )  # fmt: skip
    tolerations = json.loads(annotations.get(DEFAULT_TOLERATIONS) or "[]")
    if answer.made is None:
        return Wall("placement", State.UNKNOWN, f"a plain Pod was not let in: {_short(answer.message)}")
    spec = answer.made.get("spec") or {}
    lacking = [
        f"{key}={value}" for key, value in selector.items() if (spec.get("nodeSelector") or {}).get(key) != value
    ]
    if lacking:
        text = f"the node selector {', '.join(lacking)} is not put on Pods: is the admission plugin PodNodeSelector on?"
        return Wall("placement", State.DOWN, text)
    if not all(any(_tolerates(item, due) for item in spec.get("tolerations") or ()) for due in tolerations):
        text = "the tenant's toleration is not put on Pods: is the admission plugin PodTolerationRestriction on?"
        return Wall("placement", State.DOWN, text)
    done = [word for word, there in (("node selector", selector), ("tolerations", tolerations)) if there]
    return Wall("placement", State.UP, f"{' and '.join(done)} put on Pods" if done else "the tenant declares no place")


def _refusal(name: str, answer: Answer) -> Wall:
    what = _REFUSED[name]
    if answer.made is not None:
        return Wall(name, State.DOWN, f"{what} is let in")
    if any(word in answer.message for word in _WALLS):
        return Wall(name, State.UP, f"{what} is refused")
    return Wall(name, State.UNKNOWN, f"{what} was refused, but for another reason: {_short(answer.message)}")


def _tolerates(item: Mapping[str, Any], due: Mapping[str, Any]) -> bool:
    return all(item.get(key) == value for key, value in due.items())


def _short(message: str) -> str:
    return message if len(message) <= 200 else message[:199] + "…"


def _image(world: World) -> str:
    """An image that the site's registries allow; a dry run pulls nothing."""
    registries = world.site.image_registries
    return f"{registries[0].rstrip('/')}/probe:none" if registries else "probe:none"


def _pod(world: World, spec: Mapping[str, Any], labels: Mapping[str, str]) -> Manifest:
    """A Pod that Pod Security `restricted` lets in, with as little of everything as can be."""
    least = {"cpu": "1m", "memory": "1Mi"}
    container = {
        "name": "probe",
        "image": _image(world),
        "resources": {"requests": least, "limits": least},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    secure = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"generateName": "tenanthub-probe-", **({"labels": dict(labels)} if labels else {})},
        "spec": {
            "containers": [container],
            "securityContext": secure,
            "automountServiceAccountToken": False,
            **spec,
        },
    }


def _service(kind: str, annotations: Mapping[str, str]) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "generateName": "tenanthub-probe-",
            **({"annotations": dict(annotations)} if annotations else {}),
        },
        "spec": {
            "type": kind,
            "selector": {"tenanthub-probe": "none"},
            "ports": [{"port": 80}],
            **({"allocateLoadBalancerNodePorts": False} if kind == "LoadBalancer" else {}),
        },
    }
