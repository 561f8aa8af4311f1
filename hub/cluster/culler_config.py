"""Configuration file of jupyterhub-idle-culler on a cluster; all of it is in hub/culling.py."""

import os

from hub.cluster.culling import end_on_sigterm, worlds_of
from hub.cluster.settings import read
from hub.culling import configure

end_on_sigterm()
configure(c, *worlds_of(read("culler", os.environ)))  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
