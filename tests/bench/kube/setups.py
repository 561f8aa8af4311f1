"""The hubs that meet: ours, and stock KubeSpawner in the ways that it can be set up for tenants."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path
from typing import Any

import yaml

from config.names import namespace
from tests.bench.kube.crowd import Ask
from tests.bench.kube.hubs import Command, Place, Setup
from tests.cluster.bed import Bed, certs, images
from tests.embedded.harness import TENANTHUB

PROFILE = "tool"
DOMAIN = "bench.example.org"
CPU, MEMORY_MIB = 0.05, 64
START_TIMEOUT_S = 120
"""For both: KubeSpawner's default is 60, that of ours and of Zero to JupyterHub 300."""
STOCK_NAMESPACE = "stock"
_PORT = 8888

# What both are told alike: who asks, and who may ask for what.
_SERVICE = """
import os
c.JupyterHub.services = [{{"name": "bench", "api_token": {token!r}}}]
c.JupyterHub.load_roles = [
    {{"name": "bench", "services": ["bench"], "scopes": ["admin:users", "admin:servers", "access:servers"]}}
]
c.JupyterHub.authenticator_class = "dummy"
"""
_OURS = """
from pathlib import Path
from tests.cluster.kubehub import site_with_tools
site_with_tools(Path({world!r}), Path({kubeconfig!r}))
"""
# Defaults but for what a hub outside of a cluster needs, the limits that ours has too (START_TIMEOUT_S), and the limit
# of launches at a time: stock refuses what is beyond it, where ours lets it wait.
_STOCK = """
c = get_config()
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_bind_url = {hub_url!r}
c.JupyterHub.db_url = "sqlite:///jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = "cookie-secret"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.cleanup_servers = False
c.JupyterHub.concurrent_spawn_limit = 0
c.Authenticator.allow_all = True
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = {proxy_api!r}
c.Spawner.consecutive_failure_limit = 0
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.start_timeout = {start_timeout}
c.KubeSpawner.namespace = {namespace!r}
c.KubeSpawner.image = {image!r}
c.KubeSpawner.cmd = ["http", "{port}"]
c.KubeSpawner.cpu_guarantee = c.KubeSpawner.cpu_limit = {cpu}
c.KubeSpawner.mem_guarantee = c.KubeSpawner.mem_limit = "{memory}M"
"""
_BY_TENANT = """
def _namespace(spawner):
    spawner.namespace = "stock-" + spawner.user.name.partition("-m")[0]

c.KubeSpawner.pre_spawn_hook = _namespace
"""
_ONE_WATCH = """
c.KubeSpawner.enable_user_namespaces = True
"""


def ours(world: Path, image: str) -> Setup:
    """`tenanthub hub` over the declared *world*, where the kind `app` runs the test image's program."""

    def prepare(place: Place) -> Command:
        state, kept = place.folder / "state", place.folder / "secrets"
        state.mkdir()
        tokens = ("portal-token", "culler-token", "cli-token", "reviver-token", "cookie-secret", "crypt-key")
        for name in (*tokens, "portal-cookie-key"):
            certs.private_file(kept / name, secrets.token_hex(32))
        certs.private_file(kept / "proxy-token", place.proxy_token)
        extra = _SERVICE.format(token=place.token) + _OURS.format(world=str(world), kubeconfig=str(place.kubeconfig))
        environment = {
            "TENANTHUB_CONFIG": str(world),
            "TENANTHUB_STATE": str(state),
            "TENANTHUB_SECRETS": str(kept),
            "TENANTHUB_PUBLIC_URL": f"{place.url}/",
            "TENANTHUB_HUB_CONNECT": place.hub_url,
            "TENANTHUB_HUB_BIND": place.hub_url,
            "TENANTHUB_PORTAL_URL": place.hub_url,
            "TENANTHUB_PROXY_API": place.proxy_api,
            "TENANTHUB_KIND_IMAGES": json.dumps({"app": image}),
            "TENANTHUB_START_TIMEOUT_S": str(START_TIMEOUT_S),
            "TENANTHUB_KUBECONFIG": str(place.kubeconfig),
            "TENANTHUB_EXTRA_CONFIG": str(certs.private_file(place.folder / "extra.py", extra)),
        }
        return Command((str(TENANTHUB), "hub"), environment)

    return Setup("ours", prepare)


def stock(image: str) -> Setup:
    """KubeSpawner with one namespace for all, as Zero to JupyterHub sets it up."""
    return _stock("stock", image, "")


def stock_by_tenant(image: str) -> Setup:
    """KubeSpawner with a namespace a tenant, chosen in its hook; everything else is its default."""
    return _stock("stock-tenants", image, _BY_TENANT)


def stock_one_watch(image: str) -> Setup:
    """The same with enable_user_namespaces, which makes its two watches (Pods, Events) cluster-wide."""
    return _stock("stock-one-watch", image, _BY_TENANT + _ONE_WATCH)


def _stock(name: str, image: str, more: str) -> Setup:
    def prepare(place: Place) -> Command:
        text = _STOCK.format(
            url=place.url,
            hub_url=place.hub_url,
            proxy_api=place.proxy_api,
            start_timeout=START_TIMEOUT_S,
            namespace=STOCK_NAMESPACE,
            image=image,
            port=_PORT,
            cpu=CPU,
            memory=MEMORY_MIB,
        )
        text += _SERVICE.format(token=place.token) + more
        config = certs.private_file(place.folder / "jupyterhub_config.py", text)
        environment = {"KUBECONFIG": str(place.kubeconfig), "CONFIGPROXY_AUTH_TOKEN": place.proxy_token}
        return Command((sys.executable, "-m", "jupyterhub", "--config", str(config)), environment)

    return Setup(name, prepare)


def tenant_name(index: int) -> str:
    """Name of tenant number *index*."""
    return f"g{index:04}"


def account_name(tenant: int, member: int) -> str:
    """Account number *member* of a tenant. Stock's hook reads the tenant from it; short enough to stand in every name
    unshortened (copies.py)."""
    return f"{tenant_name(tenant)}-m{member:04}"


def stock_namespace(tenant: int) -> str:
    """Where the hook puts a tenant's servers."""
    return f"stock-{tenant_name(tenant)}"


def our_namespace(tenant: int) -> str:
    """Where ours are."""
    return namespace(tenant_name(tenant))


def write_world(folder: Path, bed: Bed, tenants: int, members: int, image: str = images.TOOL) -> Path:
    """The declared world of a cluster with so many *tenants* of so many *members*, and the profile all of them use.

    No add-on: what they would do is not the launch's. Workers are shared, so that stock's Pods find the same room.
    """
    for part in ("tenants", "profiles"):
        (folder / part).mkdir(parents=True)
    _write(folder / "site.yaml", {"label_domain": DOMAIN, "cluster": _networks(bed)})
    size = {"name": "small", "cpu": CPU, "memory": f"{MEMORY_MIB}Mi"}
    profile = {"name": PROFILE, "kind": "app", "title": "Tool", "image": image, "sizes": [size]}
    _write(folder / "profiles" / f"{PROFILE}.yaml", profile)
    for index in range(tenants):
        described = {
            "name": tenant_name(index),
            "admins": ["ada"],
            "members": [account_name(index, member) for member in range(members)],
            "workers": {"dedicated": False},
            "quota": {"workloads": members + 5, "cpu": members + 5, "memory": f"{members + 5}Gi"},
            "profiles": [PROFILE],
        }
        _write(folder / "tenants" / f"{tenant_name(index)}.yaml", described)
    return folder


def _networks(bed: Bed) -> dict[str, list[str]]:
    return {
        "pods": [str(network) for network in bed.pods],
        "services": [str(network) for network in bed.services],
        "nodes": [str(network) for network in bed.room],
    }


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(yaml.safe_dump(content), encoding="utf-8")


def our_asks(tenants: int, members: int) -> list[Ask]:
    """A launch for each member of each tenant of write_world."""
    return [
        Ask(account_name(index, member), {"tenant": tenant_name(index), "profile": PROFILE, "options": {}})
        for index in range(tenants)
        for member in range(members)
    ]


def stock_asks(tenants: int, members: int) -> list[Ask]:
    """The same people's, of a hub that knows no options."""
    return [Ask(one.owner) for one in our_asks(tenants, members)]
