"""Accounts: each once, none that only a tenant can be, and somebody who decides."""

from __future__ import annotations

from collections.abc import Iterator

from config.check.common import repeated
from config.errors import Problem
from config.models import World
from config.names import ACCOUNT_PREFIX, is_reserved
from config.sources import Sources


def reserved_accounts(world: World, sources: Sources) -> Iterator[Problem]:
    """`tenant-…` is what owns unattended work: a person called so would be a tenant."""
    fix = "give the person another account"
    for index, account in enumerate(world.site.operators):
        if is_reserved(account):
            yield sources.problem("site", "", ("operators", index), _reserved(account), fix)
    for tenant in world.tenants.values():
        for field in ("admins", "members"):
            for index, account in enumerate(getattr(tenant, field)):
                if is_reserved(account):
                    yield sources.problem("tenants", tenant.name, (field, index), _reserved(account), fix)


def _reserved(account: str) -> str:
    return f"`{account}`: accounts that begin with {ACCOUNT_PREFIX} belong to tenants, not to people"


def accounts_twice(world: World, sources: Sources) -> Iterator[Problem]:
    """Once among the admins or once among the members."""
    for index, _ in repeated(world.site.operators):
        said = f"`{world.site.operators[index]}` is listed twice"
        yield sources.problem("site", "", ("operators", index), said, "remove one")
    for tenant in world.tenants.values():
        for field in ("admins", "members"):
            for index, _ in repeated(getattr(tenant, field)):
                said = f"`{getattr(tenant, field)[index]}` is listed twice"
                yield sources.problem("tenants", tenant.name, (field, index), said, "remove one")
        for index, account in enumerate(tenant.members):
            if account in tenant.admins:
                where = sources.place("tenants", tenant.name, ("admins", tenant.admins.index(account)))
                said = f"`{account}` is an admin already ({where})"
                fix = "remove it here: admins may do all that members may"
                yield sources.problem("tenants", tenant.name, ("members", index), said, fix)


def no_admin(world: World, sources: Sources) -> Iterator[Problem]:
    """Somebody has to decide who belongs to it."""
    for tenant in world.tenants.values():
        if not tenant.admins and not tenant.groups.admins:
            fix = "write admins: [account], or a group of the identity provider in groups.admins"
            yield sources.problem("tenants", tenant.name, ("admins",), "the tenant has no admin", fix)
