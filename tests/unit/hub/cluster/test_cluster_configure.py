"""JupyterHub's configuration on a cluster: a site's own file may add to it, and undo nothing that tenants stand on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from traitlets.config import Config

from hub.auth.local import LocalAccounts
from hub.cluster.configure import configure
from hub.cluster.settings import HUB_SERVICES, SettingsError, read
from spawners.kube.spawner import TenantKubeSpawner

HOSTILE = """
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.cleanup_servers = True
c.JupyterHub.cleanup_proxy = True
c.JupyterHub.allow_named_servers = False
c.JupyterHub.concurrent_spawn_limit = 3
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.services.append({"name": "mine", "api_token": "x"})
c.JupyterHub.services.append({"name": "portal", "admin": True})
c.JupyterHub.load_roles.append({"name": "mine", "services": ["mine"], "scopes": ["list:users"]})
c.JupyterHub.load_roles.append({"name": "user", "scopes": ["self", "admin:users"]})
c.TenantKubeSpawner.config_folder = "/elsewhere"
c.TenantKubeSpawner.start_timeout = 77
get_config().JupyterHub.tornado_settings = {"slow_spawn_timeout": 1}
"""


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "state").mkdir()
    (tmp_path / "secrets").mkdir()
    (tmp_path / "world" / "tenants").mkdir(parents=True)
    (tmp_path / "world" / "site.yaml").write_text("title: Lab\n")
    names = ("proxy-token", "cookie-secret", "crypt-key", *(f"{name}-token" for name in HUB_SERVICES))
    for number, name in enumerate(names):
        (tmp_path / "secrets" / name).write_text(f"{number:064x}")
    return {
        "TENANTHUB_CONFIG": str(tmp_path / "world"),
        "TENANTHUB_STATE": str(tmp_path / "state"),
        "TENANTHUB_SECRETS": str(tmp_path / "secrets"),
        "TENANTHUB_PUBLIC_URL": "https://hub.example.org/lab/",
        "TENANTHUB_HUB_CONNECT": "http://hub.tenanthub.svc:8081",
        "TENANTHUB_PORTAL_URL": "http://portal.tenanthub.svc:8080",
        "TENANTHUB_PROXY_API": "http://proxy-api.tenanthub.svc:8001",
    }


def made(env: dict[str, str], extra: str = "", folder: Path | None = None) -> Any:
    c = Config()
    if folder is not None:
        (folder / "extra.py").write_text(extra)
        env = {**env, "TENANTHUB_EXTRA_CONFIG": str(folder / "extra.py")}
    configure(c, read("hub", env))
    return c


def test_workloads_outlive_the_hub_and_launches_are_not_refused_with_429(env: dict[str, str]) -> None:
    c = made(env)
    assert c.JupyterHub.spawner_class is TenantKubeSpawner
    assert c.JupyterHub.authenticator_class is LocalAccounts
    assert (c.JupyterHub.cleanup_servers, c.JupyterHub.cleanup_proxy) == (False, False)
    assert (c.JupyterHub.concurrent_spawn_limit, c.JupyterHub.upgrade_db) == (0, True)
    assert c.ConfigurableHTTPProxy.should_start is False
    assert c.ConfigurableHTTPProxy.api_url == env["TENANTHUB_PROXY_API"]
    assert c.JupyterHub.hub_connect_url == env["TENANTHUB_HUB_CONNECT"]
    assert c.JupyterHub.base_url == "/lab/"
    assert c.JupyterHub.tornado_settings["cookie_options"] == {"secure": True}
    assert c.CryptKeeper["keys"] == [bytes.fromhex(f"{2:064x}")]
    portal = c.JupyterHub.services[0]
    assert portal["oauth_redirect_uri"] == "/lab/services/portal/oauth_callback"
    assert {one["name"] for one in c.JupyterHub.services} == set(HUB_SERVICES)


def test_a_sites_own_file_adds_and_undoes_nothing(env: dict[str, str], tmp_path: Path) -> None:
    plain, c = made(env), made(env, HOSTILE, tmp_path)
    for name in ("spawner_class", "cleanup_servers", "cleanup_proxy", "allow_named_servers", "concurrent_spawn_limit",
                 "db_url"):  # fmt: skip
        assert c.JupyterHub[name] == plain.JupyterHub[name], name
    assert c.TenantKubeSpawner.config_folder == env["TENANTHUB_CONFIG"]
    assert c.JupyterHub.services == [*plain.JupyterHub.services, {"name": "mine", "api_token": "x"}]
    assert [one["name"] for one in c.JupyterHub.load_roles].count("user") == 1
    assert c.JupyterHub.load_roles[:-1] == plain.JupyterHub.load_roles
    # what is a site's to choose
    assert c.JupyterHub.authenticator_class == "dummy"
    assert c.TenantKubeSpawner.start_timeout == 77
    assert c.JupyterHub.tornado_settings == {"slow_spawn_timeout": 1, "cookie_options": {"secure": True}}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("c.JupyterHub.admin_access = (\n", "line 1"),
        ("x = 1\nc.X.y = open('/nowhere/at/all').read()\n", "line 2: FileNotFoundError"),
        ("\n\nraise ValueError('first\\nsecond')\n", "line 3: ValueError: first"),
    ],
)
def test_a_sites_own_file_that_fails_is_named_with_its_line(
    env: dict[str, str], tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(SettingsError) as caught:
        made(env, text, tmp_path)
    (line,) = caught.value.lines
    assert line.startswith(f"TENANTHUB_EXTRA_CONFIG: {tmp_path / 'extra.py'}, ")
    assert said in line
    assert "second" not in line


def test_plain_http_needs_no_secure_cookies(env: dict[str, str]) -> None:
    c = made({**env, "TENANTHUB_PUBLIC_URL": "http://hub.example.org/"})
    assert "tornado_settings" not in c.JupyterHub
