"""JupyterLab (jupyterhub-singleuser) behind the hub's proxy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.models import Site, Tenant
from spawners.kinds import home
from spawners.kinds.base import Kind
from spawners.kube.plan import KubePlace, KubePlan, with_home
from spawners.plan import LocalPlace, LocalPlan
from spawners.refusal import Violation
from spawners.workload import Workload

HOME = "/home/jovyan"
"""In the image (images/notebook/Containerfile)."""
UID = 1000


class NotebookOptions(home.HomeOptions):
    """The size, and where the home is kept: what else a notebook needs is in its image."""


class NotebookKind(Kind):
    """JupyterLab; the home folder is kept over launches."""

    name = "notebook"
    title = "Notebook"
    icon = "📓"
    options = NotebookOptions
    owners = frozenset({"person"})
    interactive = True
    panels = ("open", "home", "progress", "log", "options")

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """The home's place must be there."""
        return home.violations(options, tenant, site)

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """jupyterhub-singleuser of this environment; -P keeps a file of the home folder from shadowing a module."""
        plan = LocalPlan(
            mode="direct",
            argv=(str(place.tools.python), "-P", "-m", "images.notebook"),
            grace_s=10,
        )
        return home.keep_local(plan, workload, tenant, site, place)

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """The same in a Pod. Its home is as lasting as the Pod, unless it is kept elsewhere."""
        plan = KubePlan(
            mode="pod",
            image=place.image,
            argv=("python", "-P", "-m", "images.notebook"),
            uid=UID,
            home=HOME,
            scratch=with_home(HOME),
            grace_s=10,
        )
        return home.keep_kube(plan, workload, tenant, site)
