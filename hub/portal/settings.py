"""What the portal is told by its environment: JupyterHub's own variables for services, and ours."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class SettingsError(Exception):
    """A variable is missing or wrong; the text is one line for people."""


@dataclass(frozen=True)
class Settings:
    """Paths end with a slash. Made by `from_environment`, or by hand in tests."""

    api_url: str
    """The hub's REST API, e.g. http://127.0.0.1:8081/hub/api."""
    api_token: str
    """The service's own token. It is the OAuth client's secret; it needs no scope over users or servers."""
    client_id: str
    """OAuth client id, which names the cookie too."""
    prefix: str = "/services/portal/"
    base_url: str = "/"
    hub_host: str = ""
    """Scheme and host of the hub where it is another one than the portal's; usually empty."""
    access_scopes: frozenset[str] = frozenset()
    """A person or token needs one of them to be let in; empty: any signed-in person."""
    host: str = "127.0.0.1"
    port: int = 0
    config: Path = Path()
    """Folder of the declared world."""
    state: Path = Path()
    https: bool = False
    """Whether people come by TLS only, so that cookies are for TLS whatever a proxy says."""
    orphans: bool = False
    """Whether the hub may have forgotten what runs, and people decide on it; on one machine the hub does."""
    htmx: Path | None = None
    """htmx.min.js; without it the pages work, but do not refresh by themselves."""

    @property
    def hub_url(self) -> str:
        """Where the hub's pages are, for a browser."""
        return f"{self.hub_host}{self.base_url}hub/"

    @property
    def cookie(self) -> str:
        """Name of the cookie that holds the sealed OAuth token."""
        return self.client_id

    def server_url(self, owner: str, name: str) -> str:
        """Where the hub's proxy answers for a named server, for a browser."""
        return f"{self.base_url}user/{owner}/{name}/"


def from_environment(env: Mapping[str, str]) -> Settings:
    """Read the settings; SettingsError names every variable that is missing or wrong."""
    needed = (
        "JUPYTERHUB_API_URL",
        "JUPYTERHUB_API_TOKEN",
        "TENANTHUB_PORTAL_PORT",
        "TENANTHUB_CONFIG",
        "TENANTHUB_STATE",
    )
    missing = [name for name in needed if not env.get(name)]
    if missing:
        raise SettingsError(f"not set: {', '.join(missing)}; the hub starts the portal as a service and sets them")
    try:
        port = int(env["TENANTHUB_PORTAL_PORT"])
        scopes = json.loads(env.get("JUPYTERHUB_OAUTH_ACCESS_SCOPES") or "[]")
    except ValueError as error:
        raise SettingsError(f"TENANTHUB_PORTAL_PORT or JUPYTERHUB_OAUTH_ACCESS_SCOPES: {error}") from None
    service = env.get("JUPYTERHUB_SERVICE_NAME") or "portal"
    return Settings(
        api_url=env["JUPYTERHUB_API_URL"].rstrip("/"),
        api_token=env["JUPYTERHUB_API_TOKEN"],
        client_id=env.get("JUPYTERHUB_CLIENT_ID") or "service-portal",
        prefix=_slashed(env.get("JUPYTERHUB_SERVICE_PREFIX") or "/services/portal/"),
        base_url=_slashed(env.get("JUPYTERHUB_BASE_URL") or "/"),
        hub_host=(env.get("JUPYTERHUB_HOST") or "").rstrip("/"),
        access_scopes=frozenset(scopes or [f"access:services!service={service}"]),
        port=port,
        config=Path(env["TENANTHUB_CONFIG"]),
        state=Path(env["TENANTHUB_STATE"]),
        htmx=Path(env["TENANTHUB_HTMX"]) if env.get("TENANTHUB_HTMX") else None,
    )


def _slashed(path: str) -> str:
    return "/" + "".join(f"{part}/" for part in path.split("/") if part)
