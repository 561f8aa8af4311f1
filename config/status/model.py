"""The report: frozen values, as `tenanthub status -o json` prints them field by field (docs/status.md).

Whoever changes a name here changes a documented format: add fields, do not rename.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How bad a finding is. Alarm and wrong make the exit code 2."""

    ALARM = "alarm"
    """A wall between tenants does not hold."""
    WRONG = "wrong"
    """Something is not as it was declared."""
    NOTE = "note"
    """Worth knowing; often the tenant's own doing."""


class State(StrEnum):
    """What became of a check."""

    UP = "up"
    DOWN = "down"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Finding:
    """One thing to know. `concern`: namespace, objects, workers, quota, network, egress, walls, addons, site."""

    level: Level
    concern: str
    text: str


@dataclass(frozen=True)
class Drift:
    """An object that is not as declared, and the fields that differ."""

    object: str
    fields: tuple[str, ...]


@dataclass(frozen=True)
class Objects:
    """Declared objects against those in the cluster; `object` is "Kind name" or "Kind namespace/name"."""

    declared: int
    as_declared: int
    drifted: tuple[Drift, ...] = ()
    missing: tuple[str, ...] = ()
    surplus: tuple[str, ...] = ()
    """Carry our owner label and are declared no more: the next apply deletes them."""


@dataclass(frozen=True)
class WorkerNode:
    """One node that the tenant's Pods may run on."""

    name: str
    exists: bool | None
    """None where nodes cannot be read: then the next four say nothing."""
    ready: bool
    cordoned: bool
    labelled: bool
    tainted: bool | None
    """None where the tenant's workers are shared, and no taint is due."""
    pods: int
    """The tenant's Pods on it that have not ended."""


@dataclass(frozen=True)
class PodPlace:
    """A Pod and the node that it is on."""

    pod: str
    node: str


@dataclass(frozen=True)
class PodWaiting:
    """A Pod that does not run, and why in the scheduler's or kubelet's words (empty where nobody said)."""

    pod: str
    why: str


@dataclass(frozen=True)
class Workers:
    """Where the tenant's Pods may run, and where they do."""

    anywhere: bool
    """The tenant declares no workers: its Pods go where the scheduler likes."""
    nodes: tuple[WorkerNode, ...]
    pods: int
    elsewhere: tuple[PodPlace, ...]
    """Pods that run where they must not: always empty, or an alarm."""
    waiting: tuple[PodWaiting, ...]


@dataclass(frozen=True)
class QuotaUse:
    """One resource of the tenant's ResourceQuota, in Kubernetes' quantities."""

    resource: str
    used: str
    hard: str
    full: bool


@dataclass(frozen=True)
class Announcer:
    """A node that answers for an address, or says so though it cannot any more."""

    node: str
    interfaces: tuple[str, ...]
    since: str
    """RFC 3339: when it last said so."""
    source: str
    """Where it said so: ServiceL2Status, or event (nodeAssigned)."""
    node_ready: bool
    """Whether Kubernetes counts the node as ready. One that is not may still announce, if only its kubelet is gone."""
    current: bool
    """The word to believe; False: an older one, of a node that another has taken over from."""


@dataclass(frozen=True)
class ServiceUse:
    """A Service with addresses of this network."""

    service: str
    addresses: tuple[str, ...]
    announced_by: tuple[Announcer, ...]
    why: str
    """Why nobody announces it, where nobody does."""


@dataclass(frozen=True)
class Gateway:
    """A declared gateway node of a network."""

    name: str
    exists: bool | None
    """None where nodes cannot be read: then the next two say nothing."""
    ready: bool
    lacks: tuple[str, ...]
    """Labels that it should carry and does not."""


@dataclass(frozen=True)
class LoadBalancer:
    """The LoadBalancer addresses of a network."""

    pool: str
    """Name of the IPAddressPool."""
    addresses: tuple[str, ...]
    """As declared: single ones and ranges."""
    total: int
    """At most 2**53 - 1, what JSON numbers carry everywhere: an IPv6 range can be larger."""
    used: int
    free: int
    services: tuple[ServiceUse, ...]


@dataclass(frozen=True)
class EgressNode:
    """A node of the EgressGateway as egressgateway reports it."""

    name: str
    status: str
    """Ready, or HeartbeatTimeout, NodeNotReady, Pending, Init, Failed."""
    node_ready: bool
    """Whether the node itself is: egressgateway learns of a death later."""
    addresses: tuple[str, ...]
    """Egress addresses that it carries now."""


@dataclass(frozen=True)
class Egress:
    """The egress addresses of a network."""

    gateway: str
    addresses: tuple[str, ...]
    nodes: tuple[EgressNode, ...]
    policy: str
    policy_addresses: tuple[str, ...]
    """What traffic really leaves from, by the policy's status."""
    policy_node: str
    pods: int
    """Pods with the network's egress label that have not ended."""
    why: str
    """Why it does not work, where it does not."""


@dataclass(frozen=True)
class Network:
    """One lab network of a tenant."""

    name: str
    vlan: int | None
    interface: str | None
    gateways: tuple[Gateway, ...]
    loadbalancer: LoadBalancer | None
    egress: Egress | None


@dataclass(frozen=True)
class ServiceWaiting:
    """A Service that has no address (yet), and why."""

    service: str
    wanted: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Tenant:
    """One tenant's block."""

    name: str
    title: str
    namespace: str
    phase: str
    """Active, Terminating, or missing."""
    objects: Objects
    workers: Workers
    quota: tuple[QuotaUse, ...]
    networks: tuple[Network, ...]
    waiting: tuple[ServiceWaiting, ...]
    findings: tuple[Finding, ...]

    @property
    def as_declared(self) -> bool:
        """Whether nothing is worse than a note."""
        return all(finding.level is Level.NOTE for finding in self.findings)


@dataclass(frozen=True)
class Wall:
    """One thing that the API server must do for a tenant's Pods and Services, tried with a dry run."""

    name: str
    state: State
    text: str


@dataclass(frozen=True)
class Walls:
    """All that was tried, in one tenant's namespace."""

    namespace: str
    state: State
    checks: tuple[Wall, ...]


@dataclass(frozen=True)
class Addon:
    """An add-on: whether site.yaml says that it is there, and whether the API server knows its kinds."""

    name: str
    declared: bool
    installed: bool
    missing: tuple[str, ...]
    """Kinds that the API server does not know."""


@dataclass(frozen=True)
class Report:
    """Everything, at one time."""

    at: str
    """RFC 3339, UTC."""
    site: str
    server: str
    version: str
    addons: tuple[Addon, ...]
    walls: Walls
    shared: Objects
    """Declared objects that belong to no tenant: the admission policies; and what no tenant declares any more."""
    tenants: tuple[Tenant, ...]
    findings: tuple[Finding, ...]
    """Those that belong to no tenant."""

    @property
    def as_declared(self) -> bool:
        """Whether nothing is worse than a note anywhere."""
        return all(tenant.as_declared for tenant in self.tenants) and all(
            finding.level is Level.NOTE for finding in self.findings
        )


class Findings(list[Finding]):
    """What one concern finds, as it is found."""

    def __init__(self, concern: str) -> None:
        super().__init__()
        self.concern = concern

    def alarm(self, text: str) -> None:
        """A wall that does not hold."""
        self.append(Finding(Level.ALARM, self.concern, text))

    def wrong(self, text: str) -> None:
        """Not as declared."""
        self.append(Finding(Level.WRONG, self.concern, text))

    def note(self, text: str) -> None:
        """Worth knowing."""
        self.append(Finding(Level.NOTE, self.concern, text))
