"""JupyterHub's configuration: wiring only. Everything decided is in config/, spawners/ and hub/'s modules."""

from pathlib import Path

from hub.auth.local import LocalAccounts
from hub.embedded.settings import open_settings
from hub.rights import PORTAL_SCOPES, SERVICE_ROLES
from spawners.local.site import site_of
from spawners.local.spawner import TenantLocalSpawner

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
settings = open_settings(create=False)
world = site_of(settings.config, settings.state.root).world()

c.JupyterHub.bind_url = settings.url
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.ports['hub']}"
c.JupyterHub.db_url = f"sqlite:///{settings.state.database}"
c.JupyterHub.cookie_secret = bytes.fromhex(settings.tokens["cookie"])
c.JupyterHub.default_url = "/services/portal/"
c.JupyterHub.template_paths = [str(Path(__file__).parent / "templates")]
c.JupyterHub.template_vars = {"tenanthub_title": world.site.title}
c.JupyterHub.allow_named_servers = True
# The proxy is a process of its own: it goes on routing while the hub is away (hub/embedded/run.py starts it).
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{settings.ports['proxy_api']}"
c.ConfigurableHTTPProxy.auth_token = settings.tokens["proxy"]
# Workloads outlive the hub; a hub that stops must not stop them.
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False
c.JupyterHub.init_spawners_timeout = 1
# Only what servers tell of themselves counts as activity: to the proxy, an open browser tab looks busy for ever.
c.JupyterHub.last_activity_interval = 0

c.JupyterHub.authenticator_class = LocalAccounts
c.LocalAccounts.passwords_file = str(settings.state.passwords)
c.LocalAccounts.enable_signup = False
c.LocalAccounts.any_allow_config = True  # there is a rule who may come in: LocalAccounts.check_allowed
c.LocalAccounts.allowed_failed_logins = 5
c.LocalAccounts.seconds_before_next_try = 30
c.LocalAccounts.check_common_password = True
c.LocalAccounts.minimum_password_length = 10
c.LocalAccounts.admin_users = set(world.site.operators)

c.JupyterHub.spawner_class = TenantLocalSpawner
c.TenantLocalSpawner.config_folder = str(settings.config)
c.TenantLocalSpawner.state_folder = str(settings.state.root)
c.TenantLocalSpawner.portal_url = settings.portal_url
c.TenantLocalSpawner.objectstore_url = settings.objectstore_url
c.TenantLocalSpawner.poll_interval = 5
c.TenantLocalSpawner.start_timeout = 120
c.TenantLocalSpawner.http_timeout = 60
c.Spawner.consecutive_failure_limit = 0  # a workload that cannot start is its owner's matter, never the hub's end

c.JupyterHub.services = [
    {
        "name": "portal",
        "url": settings.portal_url,
        "api_token": settings.tokens["portal"],
        "oauth_client_id": "service-portal",
        "oauth_redirect_uri": "/services/portal/oauth_callback",
        "oauth_no_confirm": True,
        "oauth_client_allowed_scopes": PORTAL_SCOPES,
        "display": False,
    },
    *({"name": name, "api_token": settings.tokens[name]} for name in ("culler", "cli", "reviver")),
]
c.JupyterHub.load_roles = [
    *SERVICE_ROLES,
    {"name": "user", "scopes": ["self", "access:services!service=portal"]},
]
