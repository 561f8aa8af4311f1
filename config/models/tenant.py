"""tenants/*.yaml: one research group and its corner."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from config.models.addresses import AddressRange
from config.models.base import Account, Declared, Name
from config.models.quantity import Cpu, Memory
from config.models.site import IPNetwork

TenantName = Annotated[Name, StringConstraints(max_length=20)]
"""Shorter than other names: `tenant-<name>` and namespaces are made from it."""
Node = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]
LabelValue = Annotated[str, StringConstraints(pattern=r"^([A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?)?$", max_length=63)]


class IdentityGroups(Declared):
    """Groups of the identity provider whose people belong to the tenant."""

    admins: tuple[str, ...] = ()
    members: tuple[str, ...] = ()


class Workers(Declared):
    """The nodes that the tenant's Pods run on (Kubernetes only)."""

    nodes: tuple[Node, ...] = ()
    """Names of the worker nodes; TenantHub labels them."""
    selector: dict[str, LabelValue] = Field(default_factory=dict)
    """Labels that the site already keeps on them, instead of or besides `nodes`."""
    dedicated: bool = True
    """True: tainted, so that no other tenant's Pod lands there."""
    qos: Literal["Guaranteed", "Burstable"] = "Burstable"
    """Pod QoS class: Guaranteed sets requests equal to limits."""


class Network(Declared):
    """A lab network (VLAN) of the tenant with the addresses that are the tenant's own in it."""

    name: Name
    title: Annotated[str, StringConstraints(max_length=80)] = ""
    vlan: Annotated[int, Field(ge=1, le=4094)] | None = None
    """VLAN id (IEEE 802.1Q); none on a laptop."""
    interface: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.@-]{1,15}$")] | None = None
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
    cpu: Cpu = 16.0
    memory: Memory = 64 * 2**30


_SECRET_WORDS = ("secret", "pass", "token", "key", "credential")


def _no_secrets(options: dict[str, str]) -> dict[str, str]:
    for option in options:
        if any(word in option.lower() for word in _SECRET_WORDS):
            raise ValueError(f"{option!r} looks like a credential; keep it in the secret that `credentials` names")
    return options


class Remote(Declared):
    """Object storage of the tenant. Credentials only by reference."""

    name: Name
    title: Annotated[str, StringConstraints(max_length=80)] = ""
    type: Literal["builtin", "s3", "swift", "azureblob", "google cloud storage", "b2", "webdav", "sftp"]
    """rclone's backend; builtin: the object store that comes with the embedded hub."""
    bucket: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]
    """Bucket (or container, or top folder) that is the tenant's."""
    options: Annotated[
        dict[Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")], str], AfterValidator(_no_secrets)
    ] = Field(default_factory=dict)
    """rclone options of the backend, e.g. provider, endpoint, region (see rclone's page on the backend)."""
    credentials: Name | None = None
    """Name of the secret that holds the access key and the like; not needed for builtin."""


class Tenant(Declared):
    """The whole of one tenant file."""

    name: TenantName
    title: Annotated[str, StringConstraints(max_length=80)] = ""
    admins: tuple[Account, ...] = ()
    members: tuple[Account, ...] = ()
    groups: IdentityGroups = IdentityGroups()
    workers: Workers = Workers()
    networks: tuple[Network, ...] = ()
    quota: Quota = Quota()
    profiles: tuple[Name, ...] = ()
    """Profiles that the tenant may use."""
    remotes: tuple[Remote, ...] = ()

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
