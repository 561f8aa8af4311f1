"""What jupyterhub_config.py sets on a cluster: ours, then the site's own file, then again what tenants stand on."""

from __future__ import annotations

import logging
import os
import traceback
from pathlib import Path
from typing import Any

from hub.auth.local import LocalAccounts
from hub.cluster.place import KubePlace
from hub.cluster.settings import HUB_SERVICES, Cluster, SettingsError
from hub.wiring import Wiring, accounts, enforce, pages
from spawners.kube.site import site_of
from spawners.kube.spawner import TenantKubeSpawner


def configure(c: Any, settings: Cluster) -> None:
    """Set all of it in *c*, a traitlets Config. WorldError; SettingsError for a site's own file that fails."""
    site = site_of(settings.config, settings.kubeconfig)
    world, of = site.world(), wiring(settings)
    c.Application.log_level = settings.log_level
    c.JupyterHub.authenticator_class = LocalAccounts
    c.Authenticator.allow_all = True  # hub/auth/declared.py: of those whom the world names
    pages(c, world, of)
    accounts(c, world, settings.passwords)
    c.LocalAccounts.allow_all = False
    c.LocalAccounts.accounts_file = str(settings.accounts or "")
    c.TenantKubeSpawner.start_timeout = settings.start_timeout_s
    c.TenantKubeSpawner.http_timeout = 60
    c.TenantKubeSpawner.poll_interval = 5
    enforce(c, of)
    _enforce(c, settings)
    if settings.extra_config is not None:
        load_extra(c, settings.extra_config)
        enforce(c, of)
        _enforce(c, settings)
    c.TenantHub.make_place = lambda: KubePlace(site, logging.getLogger("JupyterHub"))


def wiring(settings: Cluster) -> Wiring:
    """What is shared with the embedded hub, as it is here."""
    return Wiring(
        cookie_secret=bytes.fromhex(settings.secrets["cookie-secret"]),
        proxy_api=settings.proxy_api,
        proxy_token=settings.secrets["proxy-token"],
        portal_url=settings.portal_url,
        tokens={name: settings.secrets[f"{name}-token"] for name in HUB_SERVICES},
        passwords=settings.passwords,
        base_url=settings.base_url,
    )


def _enforce(c: Any, settings: Cluster) -> None:
    """What only a cluster has, and no other file may undo."""
    c.JupyterHub.bind_url = f"http://:8000{settings.base_url}"  # nothing of ours listens there: the proxy does
    c.JupyterHub.hub_bind_url = settings.hub_bind
    c.JupyterHub.hub_connect_url = settings.hub_connect
    c.JupyterHub.db_url = settings.database
    c.JupyterHub.upgrade_db = True
    # Launches wait in the spawner's own line, with their place shown; JupyterHub would refuse them with 429.
    c.JupyterHub.concurrent_spawn_limit = 0
    c.JupyterHub.active_server_limit = 0
    c.CryptKeeper.keys = [bytes.fromhex(settings.secrets["crypt-key"])]
    if settings.https:
        c.JupyterHub.tornado_settings = {
            **(c.JupyterHub.get("tornado_settings") or {}),
            "cookie_options": {"secure": True},
        }
    c.JupyterHub.spawner_class = TenantKubeSpawner
    c.TenantKubeSpawner.config_folder = str(settings.config)
    c.TenantKubeSpawner.kubeconfig = str(settings.kubeconfig or "")
    c.TenantKubeSpawner.portal_url = settings.portal_url
    c.TenantKubeSpawner.kind_images = dict(settings.kind_images or {})


def load_extra(c: Any, path: Path) -> None:
    """Run the site's own file as JupyterHub runs its configuration. SettingsError names the file and the line."""
    try:
        source = path.read_text(encoding="utf-8")
        exec(compile(source, str(path), "exec"), {"__file__": str(path), "c": c, "get_config": lambda: c})  # noqa: S102
    except SyntaxError as error:
        raise SettingsError([f"TENANTHUB_EXTRA_CONFIG: {path}, line {error.lineno}: {error.msg}"]) from None
    except OSError as error:
        if error.filename == str(path):
            raise SettingsError([f"TENANTHUB_EXTRA_CONFIG: {path} cannot be read: {error.strerror}"]) from None
        raise SettingsError([_failed(path, error)]) from None
    except Exception as error:
        raise SettingsError([_failed(path, error)]) from None


def _failed(path: Path, error: Exception) -> str:
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    where = f", line {lines[-1]}" if lines else ""
    return (
        f"TENANTHUB_EXTRA_CONFIG: {path}{where}: {type(error).__name__}: {os.linesep.join(str(error).splitlines()[:1])}"
    )
