"""A workload: what was asked for, resolved and frozen. Both spawners make their objects from it alone."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from config.models import Declared, Size


class Workload(Declared):
    """Tenant + owner + name + profile + options, every choice made. Holds no secret."""

    tenant: str
    owner: str
    """Account that owns the named server: a person, or `tenant-<name>`."""
    name: str
    """Name of the named server."""
    display_name: str
    kind: str
    profile: str
    image: str | None = None
    size: Size
    network: str | None = None
    """Name of the tenant's network it uses, where it has one."""
    options: dict[str, Any]
    """The kind's options, validated, as JSON values, defaults and locks applied."""
    started_by: str
    """Account that asked for it (the owner may be the tenant)."""
    asked: datetime

    @property
    def id(self) -> str:
        """`tenant/owner/name`: unique, and the path of its folder and its page."""
        return f"{self.tenant}/{self.owner}/{self.name}"

    @property
    def tenant_owned(self) -> bool:
        """Whether the tenant itself owns it, so that it outlives people."""
        return self.owner == f"tenant-{self.tenant}"
