"""Every name that TenantHub makes out of another: one place, so that two parts never differ and nothing collides."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Container
from dataclasses import dataclass

from config.models import Site, Tenant

ACCOUNT_PREFIX = "tenant-"
"""Accounts that begin so belong to tenants; no person may be called so."""
MAX_SERVER_NAME = 30
"""JupyterHub 6: 1-30 characters, a-z, 0-9 and single hyphens, first a letter."""

_SLUG = re.compile(r"[a-z0-9](-?[a-z0-9])*")
_HASH = 12


def tenant_account(tenant: Tenant | str) -> str:
    """The account that owns what the tenant runs unattended; nobody signs in as it."""
    return ACCOUNT_PREFIX + _name(tenant)


def namespace(tenant: Tenant | str) -> str:
    """The tenant's namespace: never one that Kubernetes or the site uses (default, kube-…)."""
    return ACCOUNT_PREFIX + _name(tenant)


def is_reserved(account: str) -> bool:
    """Whether *account* is one that only a tenant can be."""
    return account.startswith(ACCOUNT_PREFIX)


def member_group(tenant: Tenant | str) -> str:
    """The group of all who belong to the tenant, admins included."""
    return f"tenanthub:{_name(tenant)}"


def admin_group(tenant: Tenant | str) -> str:
    """The group of the tenant's admins."""
    return f"tenanthub:{_name(tenant)}:admin"


@dataclass(frozen=True)
class Keys:
    """Label and annotation keys below a site's label domain. The first five mark whatever a workload consists of.

    An owner's value is `slug(account, 63)`: accounts may hold @. A hub with an empty database adopts by these labels.
    """

    domain: str

    @property
    def tenant(self) -> str:
        """On namespaces, on everything in them that we make, and the key of the taint on dedicated workers."""
        return f"{self.domain}/tenant"

    @property
    def owner(self) -> str:
        """Whose workload it is."""
        return f"{self.domain}/owner"

    @property
    def workload(self) -> str:
        """The workload's name."""
        return f"{self.domain}/workload"

    @property
    def kind(self) -> str:
        """The workload's kind."""
        return f"{self.domain}/kind"

    @property
    def profile(self) -> str:
        """The profile that it was launched from."""
        return f"{self.domain}/profile"

    @property
    def declared_by(self) -> str:
        """The owner label, on each object that `tenanthub apply` made: only these are pruned. Never on workloads."""
        return f"{self.domain}/declared-by"

    @property
    def egress_policy(self) -> str:
        """On Pods: the network whose egress address they leave from (table 2 of the Kyoto paper)."""
        return f"{self.domain}/egress-policy"

    @property
    def egress_networks(self) -> str:
        """Annotation on namespaces: the networks that the label egress-policy may name, separated by blanks."""
        return f"{self.domain}/egress-networks"

    @property
    def loadbalancer_addresses(self) -> str:
        """Annotation on namespaces: the CIDRs that Services of type LoadBalancer may ask for, separated by blanks."""
        return f"{self.domain}/loadbalancer-addresses"

    def node(self, tenant: Tenant | str) -> str:
        """On nodes, value "true": the tenant's Pods run here."""
        return f"{self.domain}/node_{_name(tenant)}"

    def lb(self, tenant: Tenant | str, network: str | None = None) -> str:
        """On nodes, value "true": LoadBalancer addresses of the tenant (of one *network*) are announced from here."""
        return f"{self.domain}/lb_{_name(tenant)}" + (f"_{network}" if network else "")

    def eg(self, tenant: Tenant | str, network: str | None = None) -> str:
        """On nodes, value "true": egress traffic of the tenant (of one *network*) leaves from here."""
        return f"{self.domain}/eg_{_name(tenant)}" + (f"_{network}" if network else "")


FIELD_MANAGER = "tenanthub"
"""The field manager of every server-side apply, and the value of the owner label."""
CAPSULE_TENANT = "capsule.clastix.io/tenant"
"""The label that Capsule sets on its tenants' namespaces."""


def keys(site: Site) -> Keys:
    """The keys of *site*."""
    return Keys(site.label_domain)


def network_object(tenant: Tenant | str, network: str) -> str:
    """Name of a cluster-scoped (or MetalLB) object of one network: `tenant-physics.lab-a`.

    Unique in the cluster: egressgateway up to 0.6.6 mixes up policies that share a name. The dot can be in neither
    name, so that tenant a-b's network c and tenant a's network b-c stay apart.
    """
    return f"{namespace(tenant)}.{network}"


def slug(text: str, max_length: int = 63) -> str:
    """A DNS label (RFC 1123) and label value for any *text*; two texts do not get the same one.

    A text that is one already and has no `--` stays as it is. Everything else becomes what is left of it, `--`, and
    twelve hexadecimal digits of its SHA-256: the `--` keeps the two sorts apart (as kubespawner's safe_slug does with
    `---` and eight digits, which a person could still make collide on purpose). ValueError for a *max_length* below 16.
    """
    if max_length < _HASH + 4:  # a letter, the hyphens, the digits, and one to spare
        raise ValueError(f"max_length {max_length} leaves no room for the hash; at least {_HASH + 4}")
    if len(text) <= max_length and _SLUG.fullmatch(text):
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:_HASH]
    return f"{_plain(text)[: max_length - _HASH - 2].rstrip('-') or 'x'}--{digest}"


def server_name(title: str, taken: Container[str] = (), fallback: str = "workload") -> str:
    """A JupyterHub server name for what a person called *title*, not among *taken*: "My crawl" -> my-crawl, my-crawl-2.

    *fallback* (such as the profile's name) serves where nothing of the title is left, as with Japanese.
    """
    base = _plain(title).lstrip("-0123456789")[:MAX_SERVER_NAME].rstrip("-") or fallback
    name, number = base, 1
    while name in taken:
        number += 1
        ending = f"-{number}"
        name = base[: MAX_SERVER_NAME - len(ending)].rstrip("-") + ending
    return name


def same_reading(text: str) -> str:
    """Equal for two titles that people cannot tell apart: case, spaces and width do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _plain(text: str) -> str:
    """What is left of *text* in a-z, 0-9 and single hyphens inside."""
    ascii_only = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")


def _name(tenant: Tenant | str) -> str:
    return tenant if isinstance(tenant, str) else tenant.name
