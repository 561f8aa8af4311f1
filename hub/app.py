"""JupyterHub, with the declared world kept in it: `python -m hub.app --config hub/jupyterhub_config.py`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from images.lib.quick import defer_iri_grammar

defer_iri_grammar()  # before JupyterHub imports jsonschema: a third of the hub's start would go into a grammar

from jupyterhub.app import JupyterHub  # noqa: E402
from tornado.ioloop import PeriodicCallback  # noqa: E402

from hub import rights  # noqa: E402
from hub.auth.local import LocalAccounts  # noqa: E402
from hub.revive import later, revive  # noqa: E402
from spawners.local.site import LocalSite, site_of  # noqa: E402

_EVERY_MS = 2000


class TenantHub(JupyterHub):  # type: ignore[misc]  # jupyterhub has no types
    """JupyterHub whose accounts, groups and roles are what the world's files say, at start and whenever they change."""

    _world_version = -1
    _follow: PeriodicCallback | None = None
    _revival: asyncio.Task[None] | None = None

    @property
    def site(self) -> LocalSite:
        """The same site that the spawners use."""
        spawner = self.config.TenantLocalSpawner
        return site_of(Path(spawner.config_folder), Path(spawner.state_folder))

    async def start(self) -> Any:
        """Sync before the first request is answered, then follow the files."""
        self.follow_world()
        await super().start()
        self._follow = PeriodicCallback(self.follow_world, _EVERY_MS)
        self._follow.start()
        self._revival = later(self._revive(), self.log)

    async def _revive(self) -> None:
        """Take back what an empty database has forgotten; the hub answers meanwhile."""
        known = {
            user.name: frozenset(name for name, spawner in user.spawners.items() if spawner.active)
            for user in self.users.values()
        }
        token = next(service["api_token"] for service in self.services if service["name"] == "reviver")
        await revive(self.site, known, self.hub.api_url, token, self.log)

    def follow_world(self) -> None:
        """Sync when the world has changed. A failure is logged and tried again; it never ends the hub."""
        world = self.site.world()
        if self.site.worlds.version == self._world_version:
            return
        try:
            if isinstance(self.authenticator, LocalAccounts):
                new = self.authenticator.add_accounts(world)
                if new:
                    self.log.info("New accounts: %s", ", ".join(new))
            rights.sync(self.db, world)
        except Exception:
            self.db.rollback()
            self.log.exception("The world could not be brought into the hub; trying again")
            return
        self._world_version = self.site.worlds.version
        self.log.info("World version %s: %s tenants", self._world_version, len(world.tenants))


main = TenantHub.launch_instance

if __name__ == "__main__":
    main()
