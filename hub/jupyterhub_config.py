"""JupyterHub's configuration: wiring only. Everything decided is in config/, spawners/ and hub/'s modules."""

from hub.embedded.place import LocalPlace
from hub.embedded.settings import open_settings
from hub.wiring import Wiring, wire
from spawners.local.site import site_of
from spawners.local.spawner import TenantLocalSpawner

c = get_config()  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
settings = open_settings(create=False)
site = site_of(settings.config, settings.state.root)
world = site.world()

c.JupyterHub.bind_url = settings.url
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{settings.ports['hub']}"
c.JupyterHub.db_url = f"sqlite:///{settings.state.database}"
c.TenantHub.make_place = lambda: LocalPlace(site)
wire(
    c,
    world,
    Wiring(
        cookie_secret=bytes.fromhex(settings.tokens["cookie"]),
        proxy_api=f"http://127.0.0.1:{settings.ports['proxy_api']}",
        proxy_token=settings.tokens["proxy"],
        portal_url=settings.portal_url,
        tokens=settings.tokens,
        passwords=settings.state.passwords,
    ),
)

c.JupyterHub.spawner_class = TenantLocalSpawner
c.TenantLocalSpawner.config_folder = str(settings.config)
c.TenantLocalSpawner.state_folder = str(settings.state.root)
c.TenantLocalSpawner.portal_url = settings.portal_url
c.TenantLocalSpawner.objectstore_url = settings.objectstore_url
c.TenantLocalSpawner.poll_interval = 5
c.TenantLocalSpawner.start_timeout = 120
c.TenantLocalSpawner.http_timeout = 60
