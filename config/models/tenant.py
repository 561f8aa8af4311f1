"""tenants/*.yaml: one research group and its corner."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from config.models.addresses import AddressRange, IPNetwork
from config.models.base import Account, Declared, Name, pattern
from config.models.quantity import Cpu, Memory

TenantName = Annotated[Name, StringConstraints(max_length=20)]
"""Shorter than other names: `tenant-<name>` and namespaces are made from it."""
Node = Annotated[
    str,
    pattern(r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", "a node's name as `kubectl get nodes` shows it", max_length=253),
    Field(examples=["node-7"]),
]
LabelValue = Annotated[
    str,
    pattern(
        r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$",
        "a label's value: letters, digits and . _ - inside",
        max_length=63,
    ),
]
Group = Annotated[str, StringConstraints(min_length=1, max_length=255), Field(examples=["physics-staff"])]
Title = Annotated[str, StringConstraints(max_length=80)]


class IdentityGroups(Declared):
    """Groups of the identity provider whose people belong to the tenant."""

    admins: tuple[Group, ...] = ()
    """Groups whose people administer the tenant."""
    members: tuple[Group, ...] = ()
    """Groups whose people are members."""


class Workers(Declared):
    """The nodes that the tenant's Pods run on (Kubernetes only)."""

    nodes: tuple[Node, ...] = ()
    """Names of the worker nodes; TenantHub labels them."""
    selector: dict[str, LabelValue] = Field(default_factory=dict, examples=[{"lab": "physics"}])
    """Labels that the site already keeps on them, instead of or besides `nodes`."""
    dedicated: bool = True
    """True: tainted, so that no other tenant's Pod lands there."""
    qos: Literal["Guaranteed", "Burstable"] = "Burstable"
    """Pod QoS class: Guaranteed sets requests equal to limits."""


class Network(Declared):
    """A lab network (VLAN) of the tenant with the addresses that are the tenant's own in it."""

    name: Name
    """Unique in the tenant, e.g. lab-a."""
    title: Title = ""
    """What people call it; default: the name."""
    vlan: Annotated[int, Field(ge=1, le=4094, examples=[101])] | None = None
    """VLAN id (IEEE 802.1Q); none on a laptop."""
    interface: (
        Annotated[str, pattern(r"^[A-Za-z0-9_.@-]{1,15}$", "a network interface of 1 to 15 characters, e.g. eth1.101")]
        | None
    ) = None
    """Network interface on the gateway nodes that is in the VLAN."""
    gateway_nodes: tuple[Node, ...] = ()
    """Nodes that are in the VLAN: they announce LoadBalancer addresses and carry egress."""
    subnets: Annotated[tuple[IPNetwork, ...], Field(min_length=1)]
    """IPv4 and IPv6 subnets of the VLAN; every address below lies in one of them."""
    loadbalancer: tuple[AddressRange, ...] = ()
    """Addresses for services: a single one, a range a-b, or a CIDR."""
    egress: tuple[AddressRange, ...] = ()
    """Addresses that traffic leaves from."""

    def loadbalancer_addresses(self) -> Iterator[IPv4Address | IPv6Address]:
        """Every LoadBalancer address, in the order declared (lazily: an IPv6 range can be huge)."""
        for addresses in self.loadbalancer:
            yield from addresses.each()


class Quota(Declared):
    """What all running workloads of the tenant may take together, counted as declared by their sizes."""

    workloads: Annotated[int, Field(ge=1, le=10000)] = 20
    """How many may run at once."""
    cpu: Annotated[Cpu, Field(json_schema_extra={"default": 16})] = 16.0
    """CPUs of all of them together."""
    memory: Annotated[Memory, Field(json_schema_extra={"default": "64Gi"})] = 64 * 2**30
    """Memory of all of them together."""


_SECRET_WORDS = ("secret", "pass", "token", "key", "credential")


def _no_secrets(options: dict[str, str]) -> dict[str, str]:
    for option in options:
        if any(word in option.lower() for word in _SECRET_WORDS):
            raise ValueError(f"{option!r} looks like a credential; keep it in the secret that `credentials` names")
    return options


class Remote(Declared):
    """Object storage of the tenant. Credentials only by reference."""

    name: Name
    """Unique in the tenant, e.g. data."""
    title: Title = ""
    """What people call it; default: the name."""
    type: Literal["builtin", "s3", "swift", "azureblob", "google cloud storage", "b2", "webdav", "sftp"]
    """rclone's backend; builtin: the object store that comes with the embedded hub."""
    bucket: Annotated[
        str,
        pattern(
            r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$",
            "a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens",
        ),
    ]
    """Bucket (or container, or top folder) that is the tenant's."""
    options: Annotated[
        dict[
            Annotated[str, pattern(r"^[a-z][a-z0-9_]*$", "the name of an option: lower-case letters, digits and _")],
            Annotated[str, pattern(r"^[^\r\n]*$", "text of one line", max_length=1000)],
        ],
        AfterValidator(_no_secrets),
    ] = Field(default_factory=dict, examples=[{"provider": "Ceph", "endpoint": "https://s3.example.org"}])
    """rclone options of the backend, e.g. provider, endpoint, region (see rclone's page on the backend)."""
    credentials: Annotated[Name, Field(examples=["physics-s3"])] | None = None
    """Name of the secret that holds the access key and the like; not needed for builtin."""


class Tenant(Declared):
    """The whole of one tenant file."""

    name: TenantName
    """Unique in the site, and the name of its file: physics is declared in tenants/physics.yaml."""
    title: Title = ""
    """What people call it; default: the name."""
    admins: tuple[Account, ...] = ()
    """Accounts that administer the tenant; they may do all that members may."""
    members: tuple[Account, ...] = ()
    """Accounts that work in it."""
    groups: IdentityGroups = IdentityGroups()
    """Groups of the identity provider whose people belong to it too."""
    workers: Workers = Workers()
    """The nodes that its Pods run on."""
    networks: tuple[Network, ...] = ()
    """Its lab networks; the first is the one that is used unless a profile names another."""
    quota: Quota = Quota()
    """What its running workloads may take together."""
    profiles: tuple[Annotated[Name, Field(examples=["notebook"])], ...] = ()
    """Profiles that the tenant may use."""
    remotes: tuple[Remote, ...] = ()
    """Its object storage."""

    @property
    def account(self) -> str:
        """The account that owns what the tenant runs unattended; nobody signs in as it."""
        return f"tenant-{self.name}"

    @property
    def people(self) -> frozenset[str]:
        """Accounts of admins and members."""
        return frozenset(self.admins) | frozenset(self.members)

    def network(self, name: str | None) -> Network | None:
        """The network called *name*, the first one for None; None where there is none."""
        return next((network for network in self.networks if name in (None, network.name)), None)

    def remote(self, name: str) -> Remote | None:
        """The remote called *name*, or None."""
        return next((remote for remote in self.remotes if remote.name == name), None)
