"""`python -m hub.portal`: the portal as JupyterHub's service."""

from __future__ import annotations

import logging
import os
import sys

from images.lib.quick import defer_hub_database


def main() -> int:
    """Serve until told to stop; 1 with one clear line where it cannot."""
    defer_hub_database()  # jupyterhub.services.auth would bring SQLAlchemy and alembic, which the portal never uses
    import uvicorn

    from hub.portal.app import create_app
    from hub.portal.hub_client import HubClient
    from hub.portal.settings import SettingsError, from_environment
    from spawners.local.runtime import LocalRuntime
    from spawners.local.site import LocalSite

    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = from_environment(os.environ)
        site = LocalSite(settings.config, settings.state)
        app = create_app(settings, site.worlds, site.kinds, LocalRuntime(site), HubClient(settings), site.tools)
    except (SettingsError, OSError, RuntimeError) as error:
        print(f"portal: {error}", file=sys.stderr)
        return 1
    # The proxy in front is on this machine: its X-Forwarded-* headers are believed, nobody else's.
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="info",
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips="127.0.0.1",
        # The proxy keeps connections and uses them again. uvicorn's own 5 s is when the home page asks again: closed in
        # the moment of use, a connection becomes a 503. An hour is what the hub (tornado) and notebooks have.
        timeout_keep_alive=3600,
        timeout_graceful_shutdown=3,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
