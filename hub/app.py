"""JupyterHub, with the declared world kept in it: `python -m hub.app --config hub/jupyterhub_config.py`."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

from images.lib.quick import defer_iri_grammar, pause_garbage_collection, resume_garbage_collection

pause_garbage_collection()  # until it is started: a sixth of the time of the imports would go into it
defer_iri_grammar()  # before JupyterHub imports jsonschema: a third of the hub's start would go into a grammar

import httpx  # noqa: E402
from jupyterhub.apihandlers.users import UserServerAPIHandler  # noqa: E402
from jupyterhub.app import JupyterHub  # noqa: E402
from jupyterhub.utils import url_path_join  # noqa: E402
from tornado.ioloop import PeriodicCallback  # noqa: E402
from traitlets import Any as AnyTrait  # noqa: E402
from traitlets import Callable, default  # noqa: E402

from config.models import World  # noqa: E402
from hub import leaving, orphans, revive, rights  # noqa: E402
from hub.auth.declared import declared_only  # noqa: E402
from hub.auth.local import LocalAccounts  # noqa: E402
from hub.place import Known, Place  # noqa: E402
from hub.servers import ServerHandler  # noqa: E402
from spawners.runtime import Unreached  # noqa: E402
from spawners.workload import Workload  # noqa: E402

_EVERY_MS = 1000
"""The site itself looks at its files no more often than every 2 s; with the same pace every other look would be one."""

_ROUTES_EVERY_MS = 3000


class TenantHub(JupyterHub):  # type: ignore[misc]  # jupyterhub has no types
    """JupyterHub whose accounts, groups and roles are what the world's files say, at start and whenever they change."""

    handlers: list[Any]
    _world_version = -1
    _looks_left = 0
    """How often to look for servers of people who have left: once more after a change, for launches under way then."""
    _follow: PeriodicCallback | None = None
    _routes: PeriodicCallback | None = None
    _tasks: tuple[asyncio.Task[None], ...] = ()

    make_place = Callable(help="Makes the Place that workloads live in; the spawners' own site is in it").tag(
        config=True
    )
    place: Any = AnyTrait(help="See hub.place.Place")

    @default("place")
    def _make_place(self) -> Place:
        made: Place = self.make_place()
        return made

    @default("authenticator")
    def _declared_only(self) -> Any:
        """Whatever authenticator is configured lets in only whom the world names."""
        made = declared_only(self.authenticator_class)(parent=self, _deprecated_db_session=self.db)
        # Whatever a section of the configuration says: whose groups and roles somebody has, the world says.
        made.manage_groups = made.manage_roles = False
        return made

    def init_tornado_settings(self) -> None:
        """JupyterHub's own, and ourselves for the handlers of orphans."""
        super().init_tornado_settings()
        self.tornado_settings["tenanthub"] = self

    def init_handlers(self) -> None:
        """JupyterHub's own, with ours in the place of the one for named servers, and those of orphans."""
        super().init_handlers()
        ours = [(url_path_join(self.hub_prefix, path), handler) for path, handler in orphans.HANDLERS]
        self.handlers = ours + [
            (path, ServerHandler if handler is UserServerAPIHandler else handler, *rest)
            for path, handler, *rest in self.handlers
        ]

    async def start(self) -> Any:
        """Sync before the first request is answered, then follow the files."""
        await self.sync_world()
        await super().start()
        resume_garbage_collection()
        self._tasks = (
            revive.later(self._revive_and_follow(), self.log),
            revive.later(self.place.beside(self.log), self.log),
        )

    async def _revive_and_follow(self) -> None:
        """Take back what an empty database has forgotten; the hub answers meanwhile."""
        # Followed from the beginning: what is taken back may take a while.
        self._follow = PeriodicCallback(self.follow_world, _EVERY_MS)
        self._follow.start()
        self._routes = PeriodicCallback(self.check_routes, _ROUTES_EVERY_MS)
        self._routes.start()
        await revive.revive(self.place, self.known, self.own_api_url, self.reviver_token, self.log)

    async def check_routes(self) -> None:
        """Give a proxy that was started anew its routes again.

        JupyterHub does this only together with reading activity off the proxy, which is switched off
        (jupyterhub_config.py). A proxy that is away is asked again the next time.
        """
        try:
            await self.proxy.check_routes(self.users, self._service_map)
        except Exception as error:
            self.log.warning("The proxy's routes could not be checked: %s", error)

    @property
    def reviver_token(self) -> str:
        """Of the service that asks for what the hub has forgotten."""
        return str(next(service["api_token"] for service in self.services if service["name"] == revive.SERVICE))

    @property
    def own_api_url(self) -> str:
        """The hub's API for itself. Not by the Service of a cluster: that leads here only once the hub is ready."""
        bound = urlsplit(self.hub.bind_url)
        host = bound.hostname if bound.hostname not in (None, "", "*", "0.0.0.0", "::") else "127.0.0.1"  # noqa: S104
        return f"{bound.scheme}://{f'[{host}]' if ':' in host else host}:{bound.port}{self.hub.base_url}api"

    def known(self) -> tuple[Known, bool]:
        """Active servers by account, and whether some are still being checked since the start."""
        spawners = [(user.name, spawner) for user in self.users.values() for spawner in user.spawners.values()]
        known: dict[str, set[str]] = {}
        for owner, spawner in spawners:
            if spawner.active:
                known.setdefault(owner, set()).add(spawner.name)
        checking = any(spawner._check_pending for _, spawner in spawners)
        return {owner: frozenset(names) for owner, names in known.items()}, checking

    # -- the world -----------------------------------------------------------------------------------------------

    async def follow_world(self) -> None:
        """One look at the files; what they say new is brought in. Never raises: it would not be called again."""
        try:
            world = await self.sync_world()
            if self._looks_left:
                await self._end_left(world)
                self._looks_left -= 1
        except Unreached as error:
            self.log.warning("Who has left is looked for again: %s", error)
        except Exception:
            self.log.exception("The world could not be followed; trying again")

    async def sync_world(self) -> World:
        """Accounts, groups and roles as the world says, if it has changed. A failure is logged and tried again."""
        # In a thread: to read many files takes longer than others should wait.
        world: World = await asyncio.to_thread(self.place.world)
        version = self.place.worlds.version
        if version == self._world_version:
            return world
        try:
            self.authenticator.declare(world)
            if isinstance(self.authenticator, LocalAccounts):
                new = await self.authenticator.add_accounts(world)
                if new:
                    self.log.info("New accounts: %s", ", ".join(new))
            rights.sync(self.db, world)
        except Exception:
            self.db.rollback()
            self.log.exception("The world could not be brought into the hub; trying again")
            return world
        self._world_version, self._looks_left = version, 2
        self.log.info("World version %s: %s tenants", version, len(world.tenants))
        return world

    async def _end_left(self, world: World) -> None:
        live = list(await self.place.live())
        for workload in leaving.undeclared(live, world):
            self.log.warning(
                "%s goes on, though its tenant is not declared any more; an operator may stop it", workload.id
            )
        await leaving.end_left(self.place, leaving.left(live, world), self._stop, self.log)

    async def _stop(self, workload: Workload, reason: str) -> bool:
        """Stop a server through the hub's own API; False where the hub does not know it. httpx.HTTPError."""
        known, _ = self.known()
        if workload.name not in known.get(workload.owner, frozenset()):
            return False
        self.users[workload.owner].spawners[workload.name].stop_reason = reason
        headers = {"Authorization": f"token {self.reviver_token}"}
        async with httpx.AsyncClient(headers=headers, timeout=60, trust_env=False) as client:
            answer = await client.delete(f"{self.own_api_url}/users/{workload.owner}/servers/{workload.name}")
            answer.raise_for_status()
        return True


main = TenantHub.launch_instance

if __name__ == "__main__":
    main()
