"""JupyterHub's configuration on a cluster: wiring only. What is read is in settings.py, what is set in configure.py."""

import os

from hub.cluster.configure import configure
from hub.cluster.settings import read

configure(get_config(), read("hub", os.environ))  # type: ignore[name-defined]  # noqa: F821  (traitlets gives it)
