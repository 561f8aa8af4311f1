"""After a start: what lives and the hub does not know of is taken back. What that is, the place says (hub/place.py).

A launch that the service `reviver` asks for goes on with what is there: the spawners know it by that name.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import Logger

import httpx

from hub.place import Known, Place
from spawners.deciding import REVIVER
from spawners.workload import Workload

SERVICE = REVIVER
"""The service of JupyterHub as which it asks; the spawner knows it by that."""
_LOOK_AGAIN_S = 1.0
_AWAY_S = 5.0
_START_S = 60.0


async def revive(place: Place, look: Callable[[], tuple[Known, bool]], api: str, token: str, log: Logger) -> None:
    """Take back what is forgotten, one after the other. Each failure is logged and leaves the others alone.

    *look* gives what the hub knows now, and whether it is still finding out: what it checks in the background may
    turn out to have ended, so it is looked at again until the hub is sure. A place that cannot be asked is asked again.
    """
    tried: set[str] = set()
    while True:
        known, checking = look()
        try:
            again = await place.after_start(known, log)
        except Exception as error:
            log.warning("What the hub may have forgotten is not known yet; trying again: %s", error)
            await asyncio.sleep(_AWAY_S)
            continue
        for workload in again:
            if workload.id not in tried:
                tried.add(workload.id)
                await take_back(workload, api, token, log)
        if not checking:
            return
        await asyncio.sleep(_LOOK_AGAIN_S)


async def take_back(workload: Workload, api: str, token: str, log: Logger) -> str:
    """Ask the hub to start it as it is; "" or why that could not be, in words for people."""
    body = {
        "display_name": workload.display_name,
        "user_options": {"tenant": workload.tenant, "profile": workload.profile, "options": workload.options},
    }
    headers = {"Authorization": f"token {token}"}
    try:
        async with httpx.AsyncClient(base_url=api, headers=headers, timeout=_START_S, trust_env=False) as client:
            answer = await client.post(f"/users/{workload.owner}/servers/{workload.name}", json=body)
    except httpx.HTTPError as error:
        log.warning("%s could not be taken back: %s", workload.id, error)
        return "the hub does not answer itself just now; try again"
    if answer.is_error:
        log.warning("%s could not be taken back: %s", workload.id, answer.text[:300])
        return _said(answer)
    log.info("%s is taken back", workload.id)
    return ""


def _said(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["message"])
    except (ValueError, KeyError, TypeError):
        return f"the hub answered {answer.status_code}"


def later(work: Awaitable[None], log: Logger) -> asyncio.Task[None]:
    """Do *work* beside the hub; what goes wrong in it is logged, never raised into the hub."""

    async def run() -> None:
        try:
            await work
        except Exception:
            log.exception("Work beside the hub failed")

    return asyncio.create_task(run())
