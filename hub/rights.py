"""What the world means in JupyterHub: accounts, groups and roles. Made inside the hub, because roles cannot be made
over REST and a tenant that comes while the hub runs must not need a restart.

    tenanthub:<tenant>          group of members and admins; role: use the servers of tenant-<tenant>
    tenanthub:<tenant>:admin    group of admins
    tenant-<tenant>             the account that owns what runs unattended; nobody signs in as it
"""

from __future__ import annotations

from typing import Any

from jupyterhub import orm, roles

from config.models import Tenant, World
from config.names import admin_group, member_group, tenant_account

SERVICE_ROLES: tuple[dict[str, Any], ...] = (
    # Ends idle servers: sees activity, stops servers, nothing else.
    {
        "name": "tenanthub-culler",
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        "services": ["culler"],
    },
    # `tenanthub token` and `tenanthub stop`, run by whoever owns the state folder.
    {
        "name": "tenanthub-cli",
        "scopes": ["tokens", "list:users", "read:users", "servers", "shutdown"],
        "services": ["cli"],
    },
    # Starts again what a tenant wants running when the hub has forgotten it (an empty database).
    {"name": "tenanthub-reviver", "scopes": ["servers", "list:users", "read:users"], "services": ["reviver"]},
)
"""Roles of our services, loaded from the configuration at start; the portal needs none: it acts as its user."""

PORTAL_SCOPES = ["servers"]
"""What the portal may do with a user's token at most; always cut to what that user may do. To see who the user is comes
with every token; it can open no server and, without `self`, make no further token."""


def tenant_role(tenant: Tenant) -> dict[str, Any]:
    """The role of a tenant's people: start, see, stop and open what the tenant owns."""
    owner = f"!user={tenant.account}"
    return {
        "name": f"tenanthub-{tenant.name}",
        "description": f"Start, see and stop what {tenant.name} runs",
        "scopes": [f"servers{owner}", f"access:servers{owner}", f"read:users{owner}", f"list:users{owner}"],
    }


def sync(db: Any, world: World) -> None:
    """Make accounts, groups and roles what *world* says; idempotent. Groups of gone tenants are emptied."""
    wanted: dict[str, frozenset[str]] = {}
    for tenant in world.tenants.values():
        _user(db, tenant.account)
        wanted[member_group(tenant.name)] = tenant.people
        wanted[admin_group(tenant.name)] = frozenset(tenant.admins)
        role = roles.create_role(db, tenant_role(tenant))
        group, _ = (_group(db, name) for name in (member_group(tenant.name), admin_group(tenant.name)))
        if role not in group.roles:
            roles.grant_role(db, group, role)
    for group in db.query(orm.Group).filter(orm.Group.name.startswith("tenanthub:")):
        _members(db, group, wanted.get(group.name, frozenset()))
    _operators(db, frozenset(world.site.operators))
    db.commit()


def _operators(db: Any, wanted: frozenset[str]) -> None:
    """JupyterHub grants admin rights by its configuration and never takes them back; the world does both."""
    for name in wanted:
        _user(db, name)
    for user in db.query(orm.User):
        if user.admin != (user.name in wanted):
            user.admin = user.name in wanted
            roles.assign_default_roles(db, user)


def _user(db: Any, name: str) -> Any:
    user = orm.User.find(db, name)
    if user is None:
        user = orm.User(name=name)
        db.add(user)
        db.commit()
        roles.assign_default_roles(db, user)
    return user


def _group(db: Any, name: str) -> Any:
    group = orm.Group.find(db, name)
    if group is None:
        group = orm.Group(name=name)
        db.add(group)
        db.commit()
    return group


def _members(db: Any, group: Any, wanted: frozenset[str]) -> None:
    have = {user.name: user for user in group.users}
    for name in wanted - have.keys():
        user = _user(db, name)
        group.users.append(user)
        _sign_in_anew(db, user, "service-portal")
    tenants_servers = f"jupyterhub-user-{tenant_account(group.name.split(':')[1])}-"
    for name in have.keys() - wanted:
        group.users.remove(have[name])
        _sign_in_anew(db, have[name], "service-portal", tenants_servers)


def _sign_in_anew(db: Any, user: Any, *clients: str) -> None:
    """Take back the tokens of *user* that these OAuth clients (beginnings of their ids) hold: they get others.

    Such a token keeps the scopes of its sign-in. With an old one the portal could do nothing for somebody who has
    joined a tenant since, and an app of the tenant would go on to let in somebody who has left. Tokens that people
    have made themselves hold what their owner holds at the time.
    """
    for token in db.query(orm.APIToken).filter_by(user_id=user.id):
        if token.client_id.startswith(clients):
            db.delete(token)
