"""The hub's own API of orphans: what lives without a server of the hub. People decide on it, in the portal.

    GET    /hub/api/tenanthub/{tenant}/orphans                  those that the asker may see
    POST   /hub/api/tenanthub/{tenant}/orphans/{owner}/{name}   take it back, as it is
    DELETE /hub/api/tenanthub/{tenant}/orphans/{owner}/{name}   end it

In the hub, because only it knows which servers there are, the others' and those that start just now included.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.services.auth import check_scopes
from tornado.web import HTTPError

from config.models import Tenant
from hub.revive import take_back
from spawners.runtime import Unreached
from spawners.workload import Workload

REMOVED = "it was removed: the hub no longer knew it"
_ANSWER_S = 10.0


def may_see(tenant: Tenant, account: str, workload: Workload) -> bool:
    """What is theirs, what their tenant owns; an admin of the tenant sees all of it, for somebody has to remove it."""
    if account not in tenant.people:
        return False
    return workload.tenant_owned or workload.owner == account or account in tenant.admins


class OrphansHandler(APIHandler):  # type: ignore[misc]  # jupyterhub has no types
    """The list, and what can be done with one."""

    async def get(self, tenant_name: str) -> None:
        """Those that the asker may see, as a list of owner and name."""
        tenant = self._tenant(tenant_name)
        found = [one for one in await self._orphans(tenant) if may_see(tenant, self._account, one)]
        self.write(json.dumps([{"owner": one.owner, "name": one.name} for one in found]))

    async def post(self, tenant_name: str, owner: str, name: str) -> None:
        """Take it back. 409 with the reason where that cannot be."""
        one = await self._one(tenant_name, owner, name)
        if not one.tenant_owned:
            raise HTTPError(409, "only what the tenant owns can be taken back: a person's server lost its sign-in")
        app = self._app
        why = await take_back(one, app.own_api_url, app.reviver_token, self.log)
        if why:
            raise HTTPError(409, why)
        self.log.info("%s: taken back, asked by %s", one.id, self._account)
        self.set_status(204)

    async def delete(self, tenant_name: str, owner: str, name: str) -> None:
        """End it, and note that it was removed."""
        one = await self._one(tenant_name, owner, name)
        try:
            await self._app.place.end(one, REMOVED, self.log)
        except Unreached as error:
            raise HTTPError(503, str(error)) from None
        self.log.info("%s: removed as an orphan, asked by %s", one.id, self._account)
        self.set_status(204)

    # -- who and what --------------------------------------------------------------------------------------------

    @property
    def _app(self) -> Any:
        return self.settings["tenanthub"]

    @property
    def _account(self) -> str:
        return str(self.current_user.name)

    def _tenant(self, name: str) -> Tenant:
        """The asker's tenant. 403 without one; the token must be able to act for the tenant."""
        if self.current_user is None:
            raise HTTPError(403, "sign in first")
        tenant: Tenant | None = self._app.place.world().tenants.get(name)
        if tenant is None or self._account not in tenant.people:
            raise HTTPError(404, f"you do not belong to a tenant called {name!r}")
        if not check_scopes({f"start:servers!user={tenant.account}"}, self.expanded_scopes):
            raise HTTPError(403, f"your token may not act for {tenant.account}")
        return tenant

    async def _orphans(self, tenant: Tenant) -> list[Workload]:
        known, checking = self._app.known()
        if checking:
            return []  # what is being checked counts as known; until that is over nobody is to decide on anything
        try:
            async with asyncio.timeout(_ANSWER_S):
                return list(await self._app.place.orphans(tenant.name, known))
        except (Unreached, TimeoutError) as error:
            raise HTTPError(503, str(error) or "the cluster does not answer") from None

    async def _one(self, tenant_name: str, owner: str, name: str) -> Workload:
        """One that the asker may see, and that is an orphan now."""
        tenant = self._tenant(tenant_name)
        for one in await self._orphans(tenant):
            if (one.owner, one.name) == (owner, name) and may_see(tenant, self._account, one):
                return one
        raise HTTPError(404, "it is no orphan: the hub knows it, or it has ended")


_TENANT = r"api/tenanthub/([a-z0-9-]+)/orphans"
HANDLERS: tuple[tuple[str, type], ...] = (
    (_TENANT, OrphansHandler),
    (_TENANT + r"/([^/]+)/([^/]+)", OrphansHandler),
)
