"""The portal on a cluster: the same pages over the cluster's own records; any number of replicas."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

from config.models import World
from hub.cluster.settings import Cluster
from hub.portal.settings import Settings
from images.lib.quick import defer_hub_database
from spawners.kube.client import KubeError
from spawners.kube.runtime import KubeRuntime
from spawners.kube.site import KubeSite

LOOPBACK = ("127.0.0.1", "::1")


def portal_settings(settings: Cluster) -> Settings:
    """What the portal's own code is told."""
    return Settings(
        api_url=settings.hub_api,
        api_token=settings.secrets["portal-token"],
        client_id="service-portal",
        prefix=f"{settings.base_url}services/portal/",
        base_url=settings.base_url,
        access_scopes=frozenset({"access:services!service=portal"}),
        host=settings.portal_bind.host,
        port=settings.portal_bind.port,
        config=settings.config,
        htmx=settings.htmx if settings.htmx.exists() else None,
        https=settings.https,
        orphans=True,
    )


def trusted(settings: Cluster, world: World) -> list[str]:
    """Whose X-Forwarded-* are believed: the proxy is one of the cluster's Pods, and only it reaches us (the chart)."""
    if settings.trusted:
        return list(settings.trusted)
    pods = world.site.cluster.pods if world.site.cluster else ()
    return [*LOOPBACK, *(str(network) for network in pods)]


def behind_words(since: float | None, now: float) -> str:
    """What pages say while the cluster is not followed; *since* and *now* in seconds of one clock."""
    if since is None:
        return ""
    return f"what you see may be {max(1, round(now - since))} seconds old: the cluster does not answer"


class ClusterRuntime(KubeRuntime):
    """KubeRuntime, which says in people's words that it may be behind."""

    @property
    def problem(self) -> str:
        """See Runtime. Why, the log says."""
        health = self._cluster.watch.health.values()
        return behind_words(min((one.since for one in health if one.problem), default=None), time.time())


def serve(settings: Cluster) -> int:
    """Serve until told to stop; the exit code."""
    defer_hub_database()  # jupyterhub.services.auth would bring SQLAlchemy and alembic, which the portal never uses
    level = getattr(logging, settings.log_level)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return asyncio.run(_serve(settings))


async def _serve(settings: Cluster) -> int:
    import uvicorn
    from jupyterhub.httpclient import JupyterHubHTTPClient

    from hub.cluster.draining import GRACE_S, DrainingServer
    from hub.portal.app import create_app
    from hub.portal.hub_client import HubClient

    log = logging.getLogger("portal")
    site = KubeSite(settings.config, settings.kubeconfig)
    try:
        cluster = await site.cluster(log)
        runtime = await ClusterRuntime.begin(site, settings.kubeconfig, log)
    except KubeError as error:
        print(f"tenanthub portal: {error}", file=sys.stderr)
        return 1
    watch = cluster.watch
    told = portal_settings(settings)
    app = create_app(
        told,
        site.worlds,
        site.kinds,
        runtime,
        HubClient(told),
        None,
        key=bytes.fromhex(settings.secrets["portal-cookie-key"]),
        ready=lambda: all(one.synced for one in watch.health.values()),
    )
    server = DrainingServer(
        uvicorn.Config(
            app,
            host=told.host,
            port=told.port,
            log_level=settings.log_level.lower(),
            access_log=False,
            server_header=False,
            proxy_headers=True,
            forwarded_allow_ips=trusted(settings, site.world()),
            # See hub/portal/__main__.py.
            timeout_keep_alive=3600,
            timeout_graceful_shutdown=GRACE_S,
        )
    )
    await server.serve()
    await watch.stop()
    await watch.client.close()
    await runtime.close()
    await cluster.client.close()
    await JupyterHubHTTPClient.loop_instance().close()  # HubOAuth's, which nobody else closes
    return 0 if server.started else 1
