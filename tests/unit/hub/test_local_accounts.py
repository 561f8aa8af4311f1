"""Local accounts: declared people only, passwords that survive a lost database."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jupyterhub import orm
from nativeauthenticator.orm import UserInfo

from config.models import Site
from hub.auth.local import LocalAccounts
from tests.unit.spawners.worlds import tenant, world


@pytest.fixture
def accounts(tmp_path: Path) -> Callable[[], LocalAccounts]:
    """Makes authenticators with an empty database each, and one file of passwords."""

    def make() -> LocalAccounts:
        db = orm.new_session_factory(url="sqlite:///:memory:")()
        return LocalAccounts(db=db, passwords_file=str(tmp_path / "passwords.txt"), any_allow_config=True)

    return make


def sign_in(authenticator: LocalAccounts, name: str, password: str) -> Any:
    data = {"username": name, "password": password}
    return asyncio.run(authenticator.get_authenticated_user(None, data))


def passwords(authenticator: LocalAccounts) -> dict[str, str]:
    lines = Path(authenticator.passwords_file).read_text().splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def test_everybody_declared_gets_a_password_that_works_in_a_file_of_ones_own(accounts: Any) -> None:
    authenticator = accounts()
    new = asyncio.run(authenticator.add_accounts(world(tenants=[tenant("physics")])))
    assert new == ["both-member", "physics-admin", "physics-member"]
    assert stat.S_IMODE(Path(authenticator.passwords_file).stat().st_mode) == 0o600
    kept = passwords(authenticator)
    assert sign_in(authenticator, "physics-member", kept["physics-member"])["name"] == "physics-member"
    assert sign_in(authenticator, "Physics-Member", kept["physics-member"])["name"] == "physics-member"
    assert sign_in(authenticator, "physics-member", kept["physics-admin"]) is None
    stored = {info.password for info in authenticator.db.query(UserInfo)}
    assert all(word.startswith(b"$2b$") for word in stored)


def test_nobody_new_means_nothing_new(accounts: Any) -> None:
    authenticator = accounts()
    asyncio.run(authenticator.add_accounts(world()))
    before = Path(authenticator.passwords_file).read_text()
    assert asyncio.run(authenticator.add_accounts(world())) == []
    assert Path(authenticator.passwords_file).read_text() == before


def test_a_lost_database_keeps_the_passwords_that_people_were_told(accounts: Any) -> None:
    first = accounts()
    asyncio.run(first.add_accounts(world()))
    kept = passwords(first)
    second = accounts()
    asyncio.run(second.add_accounts(world()))
    assert passwords(second) == kept
    assert sign_in(second, "history-admin", kept["history-admin"])["name"] == "history-admin"


def test_nobody_signs_in_as_a_tenant_even_with_a_password(accounts: Any) -> None:
    authenticator = accounts()
    asyncio.run(authenticator.add_accounts(world()))
    assert not any(name.startswith("tenant-") for name in passwords(authenticator))
    other = authenticator.db.query(UserInfo).filter_by(username="physics-member").one()
    authenticator.db.add(UserInfo(username="tenant-physics", password=other.password, is_authorized=True))
    authenticator.db.commit()
    assert sign_in(authenticator, "tenant-physics", passwords(authenticator)["physics-member"]) is None
    assert authenticator.validate_username("tenant-physics"), "JupyterHub asks this of every account at each start"


def test_who_has_left_cannot_sign_in_and_can_again_after_coming_back(accounts: Any) -> None:
    authenticator = accounts()
    asyncio.run(authenticator.add_accounts(world()))
    password = passwords(authenticator)["physics-member"]
    asyncio.run(authenticator.add_accounts(world(tenants=[tenant("physics", members=[])])))
    assert sign_in(authenticator, "physics-member", password) is None
    asyncio.run(authenticator.add_accounts(world()))
    assert sign_in(authenticator, "physics-member", password)["name"] == "physics-member"


def test_a_former_operator_signs_in_without_admin_rights(accounts: Any) -> None:
    authenticator = accounts()
    asyncio.run(authenticator.add_accounts(world(site=Site(operators=("physics-member",)))))
    password = passwords(authenticator)["physics-member"]
    assert sign_in(authenticator, "physics-member", password)["admin"] is True
    asyncio.run(authenticator.add_accounts(world()))
    assert not sign_in(authenticator, "physics-member", password)["admin"]


def test_there_is_no_way_to_sign_up(accounts: Any) -> None:
    paths = [path for path, _ in accounts().get_handlers(None)]
    assert paths == ["/login", "/change-password", "/change-password/([^/]+)"]
