"""Accounts, groups and roles that follow the world, in a real JupyterHub database."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from jupyterhub import orm, roles, scopes

from config.models import Site
from hub import rights
from tests.unit.spawners.worlds import tenant, world


@pytest.fixture
def db() -> Iterator[Any]:
    session = orm.new_session_factory(url="sqlite:///:memory:")()
    for role in roles.get_default_roles():
        roles.create_role(session, role)
    yield session
    session.close()


def held(db: Any, name: str) -> set[str]:
    """The expanded scopes of an account."""
    user = orm.User.find(db, name)
    return set(scopes.get_scopes_for(user))


def members(db: Any, group: str) -> set[str]:
    return {user.name for user in orm.Group.find(db, group).users}


def test_members_and_admins_are_in_their_groups_and_tenants_have_accounts(db: Any) -> None:
    rights.sync(db, world())
    assert members(db, "tenanthub:physics") == {"physics-admin", "physics-member", "both-member"}
    assert members(db, "tenanthub:physics:admin") == {"physics-admin"}
    assert orm.User.find(db, "tenant-physics") is not None


def test_a_member_holds_the_tenants_servers_and_nothing_of_another_tenant(db: Any) -> None:
    rights.sync(db, world())
    mine = held(db, "physics-member")
    assert {"start:servers!user=tenant-physics", "access:servers!user=tenant-physics"} <= mine
    assert not [scope for scope in mine if "history" in scope or "!" not in scope]
    assert not [scope for scope in mine if scope.startswith(("tokens", "shares")) and "tenant-" in scope]
    assert "start:servers!user=tenant-history" in held(db, "both-member")


def test_nobody_may_share_a_server(db: Any) -> None:
    rights.sync(db, world())
    for name in ("physics-admin", "physics-member", "tenant-physics"):
        assert not [scope for scope in held(db, name) if scope.split("!")[0] in ("shares", "groups:shares")], name


def test_who_leaves_loses_the_rights_at_the_next_sync(db: Any) -> None:
    rights.sync(db, world())
    rights.sync(db, world(tenants=[tenant("physics", members=[]), tenant("history")]))
    assert members(db, "tenanthub:physics") == {"physics-admin"}
    assert not [scope for scope in held(db, "physics-member") if "tenant-physics" in scope]


def test_who_joins_or_leaves_gets_new_tokens_from_the_portal_and_keeps_their_own(db: Any) -> None:
    """The portal's token holds the scopes of its sign-in; without this a new tenant would need a new browser."""
    rights.sync(db, world())
    held = ["jupyterhub", "service-portal", "jupyterhub-user-tenant-physics-page", "jupyterhub-user-physics-member-lab"]
    for client in held:
        db.add(orm.OAuthClient(identifier=client, secret="x", redirect_uri="/"))
    db.commit()
    for name in ("physics-member", "history-member"):
        for client in held:
            orm.APIToken.new(user=orm.User.find(db, name), client_id=client, scopes=["inherit"])

    def clients(name: str) -> list[str]:
        db.expire_all()
        return sorted(token.client_id for token in orm.User.find(db, name).api_tokens)

    rights.sync(db, world())
    assert clients("physics-member") == sorted(held)
    both = tenant("history", members=["physics-member", "history-member", "both-member"])
    rights.sync(db, world(tenants=[tenant("physics"), both]))
    assert clients("physics-member") == sorted(set(held) - {"service-portal"})
    rights.sync(db, world(tenants=[tenant("physics", members=["both-member"]), both]))
    assert clients("physics-member") == ["jupyterhub", "jupyterhub-user-physics-member-lab"]
    assert clients("history-member") == sorted(held)


def test_a_tenant_that_is_gone_gives_rights_to_nobody(db: Any) -> None:
    rights.sync(db, world())
    rights.sync(db, world(tenants=[tenant("history")]))
    assert members(db, "tenanthub:physics") == set()
    assert members(db, "tenanthub:physics:admin") == set()
    assert not [scope for scope in held(db, "physics-admin") if "tenant-" in scope]


def test_syncing_twice_is_syncing_once(db: Any) -> None:
    rights.sync(db, world())
    before = (db.query(orm.User).count(), db.query(orm.Group).count(), db.query(orm.Role).count())
    rights.sync(db, world())
    assert (db.query(orm.User).count(), db.query(orm.Group).count(), db.query(orm.Role).count()) == before


def test_an_operator_is_an_admin_as_long_as_the_world_says_so(db: Any) -> None:
    rights.sync(db, world(site=Site(operators=("root-of-all", "physics-member"))))
    assert orm.User.find(db, "root-of-all").admin
    assert "admin:users" in held(db, "physics-member")
    rights.sync(db, world())
    assert not orm.User.find(db, "root-of-all").admin
    assert not [scope for scope in held(db, "physics-member") if scope.startswith("admin:")]


def test_the_services_hold_scopes_that_exist_and_no_admin_rights(db: Any) -> None:
    for role in rights.SERVICE_ROLES:
        made = roles.create_role(db, {"name": role["name"], "scopes": role["scopes"]})
        assert not [scope for scope in made.scopes if scope.startswith("admin:")]
    assert set(rights.PORTAL_SCOPES) <= set(scopes.scope_definitions)
    assert not {"self", "inherit", "tokens"} & set(rights.PORTAL_SCOPES)
