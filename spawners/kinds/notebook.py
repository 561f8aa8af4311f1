"""JupyterLab (jupyterhub-singleuser) behind the hub's proxy."""

from __future__ import annotations

from config.models import Site, Tenant
from spawners.kinds.base import Kind, Options
from spawners.plan import LocalPlace, LocalPlan
from spawners.workload import Workload


class NotebookOptions(Options):
    """Nothing beyond the size: what a notebook needs is in its image."""


class NotebookKind(Kind):
    """JupyterLab; the home folder is kept over launches."""

    name = "notebook"
    title = "Notebook"
    icon = "📓"
    options = NotebookOptions
    owners = frozenset({"person"})
    interactive = True
    panels = ("open", "progress", "log", "options")

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """jupyterhub-singleuser of this environment; -P keeps a file of the home folder from shadowing a module."""
        del workload, tenant, site
        return LocalPlan(
            mode="direct",
            argv=(str(place.tools.python), "-P", "-m", "images.notebook"),
            grace_s=10,
        )
