"""JupyterLab (jupyterhub-singleuser) behind the hub's proxy."""

from __future__ import annotations

from config.models import Site, Tenant
from spawners.kinds.base import Kind, Options
from spawners.kube.plan import KubePlace, KubePlan, with_home
from spawners.plan import LocalPlace, LocalPlan
from spawners.workload import Workload

HOME = "/home/jovyan"
"""In the image (images/notebook/Containerfile)."""
UID = 1000


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

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """The same in a Pod. Its home is as lasting as the Pod, unless the site keeps it elsewhere."""
        del workload, tenant, site
        return KubePlan(
            mode="pod",
            image=place.image,
            argv=("python", "-P", "-m", "images.notebook"),
            uid=UID,
            home=HOME,
            scratch=with_home(HOME),
            grace_s=10,
        )
