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
class LabelKeys:
    """Label keys on whatever a workload consists of; a hub with an empty database adopts by them."""

    tenant: str
    owner: str
    workload: str
    kind: str
    profile: str


def labels(site: Site) -> LabelKeys:
    """The keys below the site's label domain. An owner's value is `slug(account, 63)`: accounts may hold @."""
    return LabelKeys(*(f"{site.label_domain}/{key}" for key in ("tenant", "owner", "workload", "kind", "profile")))


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
