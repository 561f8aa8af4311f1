"""Configuration file of jupyterhub-idle-culler for the embedded hub; all of it is in hub/culling.py."""

import os
from pathlib import Path

from hub.culling import configure
from spawners.local.site import LocalSite

site = LocalSite(Path(os.environ["TENANTHUB_CONFIG"]), Path(os.environ["TENANTHUB_STATE"]))
configure(c, site.worlds, site.kinds)  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
