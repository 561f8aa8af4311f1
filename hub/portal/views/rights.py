"""What a member of a tenant may see and do of one workload. The hub decides again whatever is asked of it."""

from __future__ import annotations

from typing import Literal

from config.models import Tenant, World
from spawners.workload import Workload

Access = Literal["own", "look", "none"]
"""own: theirs, or the tenant's; look: an admin at a member's; none: only that it is there and what it takes."""


def tenant_of(world: World, account: str, name: str) -> Tenant | None:
    """The tenant called *name* that *account* belongs to; None alike for one that is not there."""
    tenant = world.tenants.get(name)
    return tenant if tenant is not None and account in tenant.people else None


def access(account: str, tenant: Tenant, workload: Workload) -> Access:
    """A member's notebook is not the other members' business: its log may hold anything."""
    if workload.tenant_owned or workload.owner == account:
        return "own"
    return "look" if account in tenant.admins else "none"
