"""What the embedded hub and that on a cluster set alike in JupyterHub's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.models import World
from hub.auth.local import LocalAccounts
from hub.rights import PORTAL_SCOPES, SERVICE_ROLES

TEMPLATES = Path(__file__).parent / "templates"
OTHER_SERVICES = ("culler", "cli", "reviver")
"""Services beside the portal; tokens and rights only."""


@dataclass(frozen=True)
class Wiring:
    """What differs."""

    cookie_secret: bytes
    proxy_api: str
    """URL of configurable-http-proxy's API."""
    proxy_token: str
    portal_url: str
    """The portal, as the proxy reaches it."""
    tokens: Mapping[str, str]
    """Of the services, by name."""
    passwords: Path
    """Generated first passwords."""
    base_url: str = "/"


def wire(c: Any, world: World, of: Wiring) -> None:
    """Set all of it in *c*, a traitlets Config."""
    pages(c, world, of)
    accounts(c, world, of.passwords)
    enforce(c, of)


def pages(c: Any, world: World, of: Wiring) -> None:
    """How the hub looks."""
    c.JupyterHub.default_url = f"{of.base_url}services/portal/"
    c.JupyterHub.template_paths = [str(TEMPLATES)]
    c.JupyterHub.template_vars = {"tenanthub_title": world.site.title}


def accounts(c: Any, world: World, passwords: Path) -> None:
    """Accounts of this hub with hashed passwords."""
    c.JupyterHub.authenticator_class = LocalAccounts
    c.LocalAccounts.passwords_file = str(passwords)
    c.LocalAccounts.enable_signup = False
    c.LocalAccounts.any_allow_config = True  # there is a rule who may come in: LocalAccounts.check_allowed
    c.LocalAccounts.allowed_failed_logins = 5
    c.LocalAccounts.seconds_before_next_try = 30
    c.LocalAccounts.check_common_password = True
    c.LocalAccounts.minimum_password_length = 10
    c.LocalAccounts.admin_users = set(world.site.operators)


def enforce(c: Any, of: Wiring) -> None:
    """What tenants stand on. Services and roles of others' making are kept, where they are not called as ours."""
    c.JupyterHub.cookie_secret = of.cookie_secret
    c.JupyterHub.base_url = of.base_url
    c.JupyterHub.allow_named_servers = True
    # The proxy is a process of its own: it goes on routing while the hub is away.
    c.JupyterHub.proxy_class = "jupyterhub.proxy.ConfigurableHTTPProxy"
    c.ConfigurableHTTPProxy.should_start = False
    c.ConfigurableHTTPProxy.api_url = of.proxy_api
    c.ConfigurableHTTPProxy.auth_token = of.proxy_token
    # Workloads outlive the hub; a hub that stops must not stop them.
    c.JupyterHub.cleanup_servers = False
    c.JupyterHub.cleanup_proxy = False
    c.JupyterHub.init_spawners_timeout = 1
    # Only what servers tell of themselves counts as activity: to the proxy, an open browser tab looks busy for ever.
    c.JupyterHub.last_activity_interval = 0
    # A workload that cannot start is its owner's matter, never the hub's end.
    c.Spawner.consecutive_failure_limit = 0
    c.JupyterHub.services = services(of) + [one for one in _given(c, "services") if one.get("name") not in _OURS]
    c.JupyterHub.load_roles = [
        *SERVICE_ROLES,
        {"name": "user", "scopes": ["self", "access:services!service=portal"]},
        *(one for one in _given(c, "load_roles") if one.get("name") not in _ROLES),
    ]


_OURS = ("portal", *OTHER_SERVICES)
_ROLES = ("user", *(str(role["name"]) for role in SERVICE_ROLES))


def _given(c: Any, name: str) -> list[dict[str, Any]]:
    found = c.JupyterHub.get(name)
    return list(found) if isinstance(found, list | tuple) else []


def services(of: Wiring) -> list[dict[str, Any]]:
    """JupyterHub's services: the portal, with a way to sign in, and those that only have a token."""
    return [
        {
            "name": "portal",
            "url": of.portal_url,
            "api_token": of.tokens["portal"],
            "oauth_client_id": "service-portal",
            "oauth_redirect_uri": f"{of.base_url}services/portal/oauth_callback",
            "oauth_no_confirm": True,
            "oauth_client_allowed_scopes": PORTAL_SCOPES,
            "display": False,
        },
        *({"name": name, "api_token": of.tokens[name]} for name in OTHER_SERVICES),
    ]
