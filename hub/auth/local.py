"""Local accounts with hashed, changeable passwords: jupyterhub-nativeauthenticator, without sign-up.

The accounts are the people that the world names. Each gets the first password that the operator gave in a file, else a
generated one, kept in a file of mode 0600 for whoever runs the hub; the database holds bcrypt hashes only.
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import bcrypt
from jupyterhub.handlers.login import LoginHandler
from nativeauthenticator import NativeAuthenticator
from nativeauthenticator.orm import UserInfo
from traitlets import Unicode

from config.models import World
from config.names import is_reserved
from spawners.local.secrets import generate_password

_USED = (r"/change-password",)
_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")


class LocalAccounts(NativeAuthenticator):  # type: ignore[misc]  # nativeauthenticator has no types
    """NativeAuthenticator for declared accounts only."""

    passwords_file = Unicode(help="File of mode 0600 that generated passwords are appended to").tag(config=True)
    accounts_file = Unicode(
        help="File of first passwords, read only: lines of account and password, or account and bcrypt hash"
    ).tag(config=True)
    _declared: frozenset[str] = frozenset()

    def check_allowed(self, username: str, authentication: Any = None) -> bool:
        """Only whom the world names now: who has left keeps a password, should they come back, but does not get in.

        Nobody signs in as a tenant's own account. (Not refused by validate_username: JupyterHub asks that of every
        account at each start, and takes one that fails for a broken one.)
        """
        del authentication
        return username in self._declared

    def get_handlers(self, app: Any) -> list[tuple[str, Any]]:
        """Sign in and change password; accounts come from the world's files, so there is no sign-up.

        The sign-in page is JupyterHub's own: that of nativeauthenticator 1.3 calls what JupyterHub 6 no longer has.
        """
        kept = [(path, handler) for path, handler in super().get_handlers(app) if path.startswith(_USED)]
        return [("/login", LoginHandler), *kept]

    async def add_accounts(self, world: World) -> list[str]:
        """Give a password to everybody in *world* who has none yet; the names of the new accounts."""
        people = set(world.site.operators).union(*(tenant.people for tenant in world.tenants.values()))
        self._declared = frozenset(name for name in people if self.validate_username(name) and not is_reserved(name))
        self.admin_users = set(world.site.operators)  # else a former operator would become one again at the sign-in
        known = {info.username for info in self.db.query(UserInfo)}
        new = sorted(self._declared - known)
        kept = {**_pairs(self.passwords_file), **_pairs(self.accounts_file)}
        for name in new:
            # A lost database makes the account again with the password that its owner was told.
            if name not in kept:
                kept[name] = generate_password()
                self._keep(name, kept[name])
        hashes = await asyncio.gather(*(asyncio.to_thread(_hashed, kept[name]) for name in new))
        for name, hashed in zip(new, hashes, strict=True):
            self.db.add(UserInfo(username=name, password=hashed, is_authorized=True))
        self.db.commit()
        return new

    def _keep(self, name: str, password: str) -> None:
        path = Path(self.passwords_file)
        new = not path.exists()
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8") as stream:
            if new:
                stream.write(
                    "# First passwords of the accounts of this hub. Change yours on the page Change password.\n"
                )
            stream.write(f"{name:<30} {password}\n")


def _pairs(path: str) -> dict[str, str]:
    """Account and password by lines; none where there is no such file."""
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines() if path else []
    except OSError:
        return {}
    pairs = (line.split() for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}


def _hashed(password: str) -> bytes:
    """bcrypt, slow on purpose (a quarter of a second): for a thread, many at once. A hash stays as it is."""
    if _HASH.fullmatch(password):
        return password.encode()
    return bcrypt.hashpw(password.encode(), bcrypt.gensalt())
