"""Whatever authenticator a site chooses: only people whom the world names get in, with the rights that it gives them.

An identity provider may know a thousand people, may call one of them tenant-physics, may send groups and say who is an
administrator. None of that decides anything here: accounts, groups and roles are the world's (hub/rights.py).
"""

from __future__ import annotations

from inspect import isawaitable
from typing import Any

from config.models import World
from config.names import is_reserved

_NOT_THEIRS = ("admin", "groups", "roles")
"""What an authenticator may say and JupyterHub would bring into its database."""


class DeclaredOnly:
    """A mixin in front of a JupyterHub Authenticator. Until `declare` was called nobody gets in."""

    _people: frozenset[str] = frozenset()
    _operators: frozenset[str] = frozenset()

    def declare(self, world: World) -> None:
        """From now on these people, and no others."""
        people = set(world.site.operators).union(*(tenant.people for tenant in world.tenants.values()))
        self._people = frozenset(name for name in people if not is_reserved(name))
        self._operators = frozenset(world.site.operators)

    async def check_blocked_users(self, username: str, authentication: Any = None) -> bool:
        """False: JupyterHub asks this of everybody, also where `allow_all` makes it ask nothing else."""
        if username not in self._people:
            return False
        found = super().check_blocked_users(username, authentication)  # type: ignore[misc]
        return bool(await found if isawaitable(found) else found)

    async def get_authenticated_user(self, handler: Any, data: Any) -> Any:
        """As the authenticator says who it is, and as the world says what they are."""
        found = super().get_authenticated_user(handler, data)  # type: ignore[misc]
        return self._as_declared(await found if isawaitable(found) else found)

    async def refresh_user(self, user: Any, handler: Any = None, **more: Any) -> Any:
        """Likewise, where the authenticator looks again. Asked of tokens too, those of tenants' accounts included; who
        has left the world has no rights left (hub/rights.py), so nobody is sent away here."""
        if is_reserved(user.name):
            return True  # nobody that an identity provider could know
        found = super().refresh_user(user, handler, **more)  # type: ignore[misc]
        return self._as_declared(await found if isawaitable(found) else found)

    def _as_declared(self, found: Any) -> Any:
        if not isinstance(found, dict):
            return found
        kept = {key: value for key, value in found.items() if key not in _NOT_THEIRS}
        return {**kept, "admin": kept["name"] in self._operators} if "name" in kept else kept


def declared_only(authenticator: type) -> type:
    """*authenticator* with DeclaredOnly in front; its configuration is found under its own name as before."""
    if issubclass(authenticator, DeclaredOnly):
        return authenticator
    return type(authenticator.__name__, (DeclaredOnly, authenticator), {"__module__": authenticator.__module__})
