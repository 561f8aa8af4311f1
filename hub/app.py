"""JupyterHub, with the declared world kept in it: `python -m hub.app --config hub/jupyterhub_config.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jupyterhub.app import JupyterHub
from tornado.ioloop import PeriodicCallback

from hub import rights
from hub.auth.local import LocalAccounts
from spawners.local.site import LocalSite, site_of

_EVERY_MS = 2000


class TenantHub(JupyterHub):  # type: ignore[misc]  # jupyterhub has no types
    """JupyterHub whose accounts, groups and roles are what the world's files say, at start and whenever they change."""

    _world_version = -1
    _follow: PeriodicCallback | None = None

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
