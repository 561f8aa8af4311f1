"""Whatever authenticator a site chooses, the world says who gets in and what they are."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from jupyterhub.auth import Authenticator
from traitlets import Unicode
from traitlets.config import Config

from config.models import Site
from hub.auth.declared import DeclaredOnly, declared_only
from hub.auth.local import LocalAccounts
from tests.unit.spawners.worlds import world


class Generous(Authenticator):  # type: ignore[misc]  # jupyterhub has no types
    """Lets in everybody as whom they say, as an administrator of everything."""

    realm = Unicode().tag(config=True)

    async def authenticate(self, handler: Any, data: Any) -> Any:
        del handler
        return {"name": data, "admin": True, "groups": ["tenanthub:physics:admin"], "roles": [{"name": "admin"}]}

    async def refresh_user(self, user: Any, handler: Any = None) -> Any:
        del handler
        return {"name": user.name, "admin": True, "groups": ["tenanthub:physics"]}


@pytest.fixture
def guarded() -> Any:
    found = declared_only(Generous)(allow_all=True)
    found.declare(world(site=Site(operators=("root-like",))))
    return found


def sign_in(guarded: Any, name: str) -> Any:
    return asyncio.run(guarded.get_authenticated_user(None, name))


def test_only_declared_people_get_in(guarded: Any) -> None:
    assert sign_in(guarded, "physics-member")["name"] == "physics-member"
    assert sign_in(guarded, "somebody") is None
    assert sign_in(guarded, "tenant-physics") is None


def test_rights_are_the_worlds(guarded: Any) -> None:
    found = sign_in(guarded, "physics-member")
    assert found["admin"] is False
    assert "groups" not in found
    assert "roles" not in found
    assert sign_in(guarded, "root-like")["admin"] is True


def test_who_has_left_cannot_sign_in_again(guarded: Any) -> None:
    guarded.declare(world(tenants=[]))
    assert sign_in(guarded, "physics-member") is None


def test_a_look_at_the_provider_changes_no_rights(guarded: Any) -> None:
    def looked(name: str) -> Any:
        return asyncio.run(guarded.refresh_user(type("Account", (), {"name": name})()))

    assert looked("physics-member") == {"name": "physics-member", "admin": False}
    assert looked("tenant-physics") is True, "the token of a tenant's account stays valid"


def test_before_the_world_is_known_nobody_gets_in() -> None:
    assert sign_in(declared_only(Generous)(allow_all=True), "physics-member") is None


def test_an_authenticator_is_configured_by_its_own_name() -> None:
    made = declared_only(Generous)(config=Config(Generous={"realm": "lab"}))
    assert made.realm == "lab"
    assert isinstance(made, DeclaredOnly)
    assert issubclass(declared_only(LocalAccounts), LocalAccounts)
