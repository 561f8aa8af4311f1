"""The portal as an ASGI application, put together from parts that are all injected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse
from jupyterhub._data import DATA_FILES_PATH
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from hub.portal import errors
from hub.portal.acts import NotFound
from hub.portal.api import DESCRIPTION, TAGS
from hub.portal.api.router import router as api
from hub.portal.context import Portal, Worlds, portal_of
from hub.portal.hub_client import Hub, HubClient
from hub.portal.launch import Locks
from hub.portal.pages import apidocs, form, home, workload
from hub.portal.render import make_templates
from hub.portal.sealing import Sealer, load_key
from hub.portal.security import SecurityHeaders
from hub.portal.settings import Settings
from spawners.kinds.base import Kind
from spawners.plan import Tools
from spawners.runtime import Runtime

STATIC = Path(__file__).parent / "static"
_LASTING = "public, max-age=31536000, immutable"
_AN_HOUR = "public, max-age=3600"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


def create_app(
    settings: Settings,
    worlds: Worlds,
    kinds: Mapping[str, Kind],
    runtime: Runtime,
    hub: Hub,
    tools: Tools | None,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    key: bytes | None = None,
    ready: Callable[[], bool] = lambda: True,
) -> FastAPI:
    """The application. *key*: of the cookies; None: in the state folder, made at the first start (OSError)."""
    prefix = settings.prefix.rstrip("/")

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        if isinstance(hub, HubClient):
            await hub.close()

    app = FastAPI(
        title="TenantHub portal",
        version="1",
        description=DESCRIPTION,
        openapi_tags=TAGS,
        openapi_url=f"{prefix}/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=life,
        redirect_slashes=False,
    )
    app.state.portal = Portal(
        settings=settings,
        worlds=worlds,
        kinds=kinds,
        runtime=runtime,
        hub=hub,
        tools=tools,
        sealer=Sealer(load_key(settings.state / "portal" / "cookie.key") if key is None else key),
        templates=make_templates(),
        clock=clock,
        locks=Locks(),
        ready=ready,
    )
    errors.install(app)
    app.add_api_route(f"{prefix}/static/{{name}}", static, include_in_schema=False)
    app.mount(f"{prefix}/hub-static", HubStatic(directory=Path(DATA_FILES_PATH) / "static"))
    app.include_router(api, prefix=f"{prefix}/api/v1")
    app.include_router(apidocs.router, prefix=f"{prefix}/api")
    for router in (form.router, workload.router, home.router):
        app.include_router(router, prefix=prefix)
    app.include_router(home.unattended, prefix=settings.base_url.rstrip("/"))
    app.add_middleware(SecurityHeaders, hub_host=settings.hub_host)
    return app


class HubStatic(StaticFiles):
    """The hub's own style sheet, icon font and dark mode script, from its package: the same bytes as under /hub/static,
    but they do not go away while the hub is being restarted, when an error page needs them most."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file; a browser may keep it."""
        response = await super().get_response(path, scope)
        lasting = b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = _LASTING if lasting else _AN_HOUR
        return response


async def static(request: Request, name: str) -> Response:
    """Our own files by their exact names, and htmx from where it is installed."""
    settings = portal_of(request).settings
    known = {path.name: path for path in STATIC.iterdir()}
    if settings.htmx is not None:
        known["htmx.min.js"] = settings.htmx
    path = known.get(name)
    if path is None or not path.is_file():
        raise NotFound("there is no such file")
    lasting = _LASTING if "v" in request.query_params else _AN_HOUR
    return FileResponse(path, media_type=_TYPES.get(path.suffix), headers={"Cache-Control": lasting})


def portal_in(app: FastAPI) -> Portal:
    """The parts of *app*."""
    portal: Portal = app.state.portal
    return portal
