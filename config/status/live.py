"""What the cluster is like, as small frozen values: all that the report needs of each object, and no more.

A site has ten thousand Pods; each is turned into one of these as its page is read, so that memory stays small.
The shapes are those of Kubernetes 1.36, MetalLB 0.14.9 to 0.16.1 and egressgateway 0.6.0 to 0.6.9 (their CRDs).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from config.emit.common import Manifest
from config.order import Key

METALLB_NODE = "metallb.io/node"
METALLB_SERVICE = "metallb.io/service-name"
METALLB_SERVICE_NAMESPACE = "metallb.io/service-namespace"
"""Labels that MetalLB's speaker puts on a ServiceL2Status as it makes it; `status` follows in a second write."""


@dataclass(frozen=True)
class Taint:
    """One taint of a node."""

    key: str
    value: str
    effect: str


@dataclass(frozen=True)
class Node:
    """A node: its labels and taints, and what its Ready condition says."""

    name: str
    ready: bool
    why: str
    """Why it is not ready, in the condition's words; empty where it is."""
    cordoned: bool
    labels: Mapping[str, str]
    taints: tuple[Taint, ...]


@dataclass(frozen=True)
class Pod:
    """A Pod that has not ended."""

    namespace: str
    name: str
    node: str | None
    phase: str
    ready: bool
    why: str
    """Why it does not run, in the words of the scheduler or the kubelet; empty where nobody says."""
    labels: Mapping[str, str]


@dataclass(frozen=True)
class Service:
    """A Service of type LoadBalancer; `addresses` are those it has, `wanted` those it asks for."""

    namespace: str
    name: str
    addresses: tuple[str, ...]
    wanted: tuple[str, ...]
    selector: Mapping[str, str]
    local: bool
    """externalTrafficPolicy: Local, where only nodes with a ready endpoint of their own announce."""
    load_balancer_class: str | None
    fenced: bool
    """loadBalancerSourceRanges says who may reach it."""


@dataclass(frozen=True)
class Announcement:
    """A ServiceL2Status: *node* says that it answers for the Service's addresses (ARP, NDP) on these interfaces."""

    namespace: str
    service: str
    node: str
    interfaces: tuple[str, ...]
    """Empty: all of the node's."""
    since: str
    """RFC 3339; when the node began, for of two statuses the newer one is true."""


@dataclass(frozen=True)
class Event:
    """An Event about a Service. `last` is RFC 3339, when it was seen last."""

    namespace: str
    name: str
    type: str
    reason: str
    message: str
    last: str


@dataclass(frozen=True)
class Answer:
    """What the API server said to a probe: the object as it would have been created, or the refusal."""

    probe: str
    status: int
    message: str
    made: Manifest | None = None


@dataclass(frozen=True)
class Live:
    """Everything that was read, at one time (not one transaction: each list is true for its own moment)."""

    at: datetime
    server: str
    version: str
    objects: Mapping[Key, Manifest]
    """Objects of the kinds that TenantHub makes, those that it wants and those that carry its label."""
    nodes: Mapping[str, Node]
    pods: tuple[Pod, ...] = ()
    services: tuple[Service, ...] = ()
    announcements: tuple[Announcement, ...] = ()
    events: tuple[Event, ...] = ()
    speakers: Mapping[str, bool] | None = None
    """Node -> whether MetalLB's speaker Pod there is ready; None where no Pod is known as a speaker."""
    tunnels: Mapping[str, str] = field(default_factory=dict)
    """Node -> phase of its EgressTunnel, as egressgateway's agent there says."""
    served: frozenset[tuple[str, str]] = frozenset()
    """(apiVersion, plural) of the add-ons' kinds that the API server knows."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What could not be read (plural of the kind) and why; the report says so instead of guessing."""
    previews: Mapping[Key, Manifest] = field(default_factory=dict)
    """What the API server says that an object which may have drifted would become."""
    answers: tuple[Answer, ...] = ()
    tested: str = ""
    """The tenant in whose namespace the answers were given."""

    @property
    def knows_nodes(self) -> bool:
        """Whether nodes could be read; if not, nothing is said about them."""
        return "nodes" not in self.unread

    def ready(self, name: str) -> bool:
        """Whether the node is there and ready, as far as it can be known."""
        return not self.knows_nodes or (name in self.nodes and self.nodes[name].ready)


def node(raw: Mapping[str, Any]) -> Node:
    """From a Node object; a kubelet that is silent makes the Ready condition Unknown, which is not ready."""
    spec, status = raw.get("spec") or {}, raw.get("status") or {}
    ready: Mapping[str, Any] = next(
        (item for item in status.get("conditions") or () if item.get("type") == "Ready"), {}
    )
    good = ready.get("status") == "True"
    return Node(
        name=raw["metadata"]["name"],
        ready=good,
        why="" if good else ready.get("message") or ready.get("reason") or "its kubelet has not reported",
        cordoned=bool(spec.get("unschedulable")),
        labels=raw["metadata"].get("labels") or {},
        taints=tuple(
            Taint(item["key"], item.get("value") or "", item["effect"])
            for item in spec.get("taints") or ()
        ),
    )  # fmt: skip


def pod(raw: Mapping[str, Any]) -> Pod | None:
    """From a Pod object; None for one that has ended, for it holds no node any more."""
    status = raw.get("status") or {}
    phase = status.get("phase") or "Pending"
    if phase in ("Succeeded", "Failed"):
        return None
    conditions = {item["type"]: item for item in status.get("conditions") or ()}
    return Pod(
        namespace=raw["metadata"]["namespace"],
        name=raw["metadata"]["name"],
        node=(raw.get("spec") or {}).get("nodeName") or None,
        phase=phase,
        ready=conditions.get("Ready", {}).get("status") == "True",
        why=_why_not_running(status, conditions),
        labels=raw["metadata"].get("labels") or {},
    )


def service(raw: Mapping[str, Any]) -> Service:
    """From a Service of type LoadBalancer; what it asks for, by each annotation and field that MetalLB reads."""
    spec, metadata = raw.get("spec") or {}, raw["metadata"]
    annotations = metadata.get("annotations") or {}
    ingress = ((raw.get("status") or {}).get("loadBalancer") or {}).get("ingress") or ()
    asked = ",".join(
        [
            annotations.get("metallb.io/loadBalancerIPs", ""),
            annotations.get("metallb.universe.tf/loadBalancerIPs", ""),
            spec.get("loadBalancerIP") or "",
        ]
    )
    return Service(
        namespace=metadata["namespace"],
        name=metadata["name"],
        addresses=tuple(item["ip"] for item in ingress if item.get("ip")),
        wanted=tuple(part.strip() for part in asked.split(",") if part.strip()),
        selector=spec.get("selector") or {},
        local=spec.get("externalTrafficPolicy") == "Local",
        load_balancer_class=spec.get("loadBalancerClass"),
        fenced=bool(spec.get("loadBalancerSourceRanges")),
    )


def announcement(raw: Mapping[str, Any]) -> Announcement:
    """From a ServiceL2Status; the labels serve in the moment before the speaker has written `status`."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    labels = metadata.get("labels") or {}
    return Announcement(
        namespace=status.get("serviceNamespace") or labels.get(METALLB_SERVICE_NAMESPACE, ""),
        service=status.get("serviceName") or labels.get(METALLB_SERVICE, ""),
        node=status.get("node") or labels.get(METALLB_NODE, ""),
        interfaces=tuple(item["name"] for item in status.get("interfaces") or () if item.get("name")),
        since=metadata.get("creationTimestamp") or "",
    )


def event(raw: Mapping[str, Any]) -> Event:
    """From a core Event; which of its times is set depends on who wrote it."""
    about = raw["involvedObject"]
    series = raw.get("series") or {}
    times = (series.get("lastObservedTime"), raw.get("lastTimestamp"), raw.get("eventTime"), raw.get("firstTimestamp"))
    return Event(
        namespace=about.get("namespace") or "",
        name=about.get("name") or "",
        type=raw.get("type") or "Normal",
        reason=raw.get("reason") or "",
        message=raw.get("message") or "",
        last=next((time for time in times if time), ""),
    )


def speaker(raw: Mapping[str, Any]) -> tuple[str, bool] | None:
    """Node of a MetalLB speaker's Pod and whether it is ready; None for any other Pod.

    Labels: MetalLB's own manifest (config/manifests) and its Helm chart.
    """
    labels = raw["metadata"].get("labels") or {}
    found = pod(raw)
    if found is None or found.node is None:
        return None
    if "speaker" not in (labels.get("component"), labels.get("app.kubernetes.io/component")):
        return None
    return found.node, found.ready


def tunnel(raw: Mapping[str, Any]) -> tuple[str, str]:
    """Node and phase of an EgressTunnel, which is called like its node."""
    return raw["metadata"]["name"], (raw.get("status") or {}).get("phase") or "Pending"


def _why_not_running(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    scheduled = conditions.get("PodScheduled", {})
    if scheduled.get("status") == "False":
        return str(scheduled.get("message") or scheduled.get("reason") or "")
    for container in status.get("containerStatuses") or ():
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") not in (None, "ContainerCreating", "PodInitializing"):
            return ": ".join(filter(None, (waiting["reason"], waiting.get("message"))))
    return ""
