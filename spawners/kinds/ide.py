"""VS Code in the browser (code-server) behind the hub's sign-in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.models import Site, Tenant
from spawners.kinds import home
from spawners.kinds.base import Kind
from spawners.kube.plan import STATE, KubePlace, KubePlan, with_home
from spawners.plan import LocalPlace, LocalPlan, Tools
from spawners.refusal import Violation
from spawners.workload import Workload

HOME = "/home/coder"
"""In the image (images/ide/Containerfile), as is the command code-server."""
UID = 1000


class IdeOptions(home.HomeOptions):
    """The size, and where the home is kept."""


class IdeKind(Kind):
    """code-server; terminals and the jobs in them count as activity."""

    name = "ide"
    title = "VS Code"
    icon = "🧑‍💻"
    options = IdeOptions
    owners = frozenset({"person"})
    interactive = True
    panels = ("open", "home", "progress", "log", "options")
    logs = ("log.txt", "app.log")

    def missing(self, tools: Tools) -> str | None:
        """code-server is not among the Python packages; it is installed apart."""
        if tools.code_server is None:
            return "code-server is not installed on this machine: run `make code-server`, or put it on the PATH"
        return None

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """The home's place must be there."""
        return home.violations(options, tenant, site)

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """The launcher of images.ide around code-server."""
        folder = home.local_home(workload, tenant, site, place)
        plan = LocalPlan(
            mode="direct",
            argv=(str(place.tools.python), "-P", "-m", "images.ide", "{settings}"),
            settings={
                "run_dir": str(place.folder),
                "code_server": list(place.tools.code_server or ()),
                "folder": str(folder),
                "data_folder": str(folder / ".local" / "share" / "code-server"),
            },
            grace_s=10,
        )
        return home.keep_local(plan, workload, tenant, site, place)

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """The same in a Pod. Its home is as lasting as the Pod, unless it is kept elsewhere."""
        plan = KubePlan(
            mode="pod",
            image=place.image,
            argv=("python", "-P", "-m", "images.ide", "{settings}"),
            settings={
                "run_dir": f"{STATE}/run",
                "code_server": ["code-server"],
                "folder": HOME,
                "data_folder": f"{HOME}/.local/share/code-server",
            },
            uid=UID,
            home=HOME,
            scratch=with_home(HOME),
            grace_s=10,
        )
        return home.keep_kube(plan, workload, tenant, site)
