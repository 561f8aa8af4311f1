"""All that is known of one launch on a cluster: what every builder and every check of this package is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from config.models import Site, Tenant
from config.names import keys, namespace
from spawners.kinds.base import Kind
from spawners.kube.names import object_name
from spawners.kube.plan import KubePlace, KubePlan
from spawners.refusal import Refusal
from spawners.workload import Workload


@dataclass(frozen=True)
class Launch:
    """A workload with its plan, its tenant and the site, as they were when it was decided."""

    plan: KubePlan
    workload: Workload
    tenant: Tenant
    site: Site

    def __post_init__(self) -> None:
        """ValueError for a tenant that is not the workload's: nothing here may mix two tenants up."""
        if self.tenant.name != self.workload.tenant:
            raise ValueError(f"{self.workload.id} is not of tenant {self.tenant.name}")

    @property
    def name(self) -> str:
        """Name of its objects."""
        return object_name(self.workload)

    @property
    def namespace(self) -> str:
        """The tenant's namespace."""
        return namespace(self.tenant)

    @property
    def service_account(self) -> str:
        """Its own one where the program uses the API server, else the namespace's default one, which may do nothing."""
        return self.name if self.plan.rules else "default"

    @property
    def guaranteed(self) -> bool:
        """Whether its Pods have to be of QoS class Guaranteed."""
        return self.tenant.workers.qos == "Guaranteed"

    @property
    def domain(self) -> str:
        """Everything below it in labels and annotations is ours."""
        return keys(self.site).domain


def launch_of(
    kind: Kind,
    workload: Workload,
    tenant: Tenant,
    site: Site,
    addresses: tuple[str, ...] = (),
    images: Mapping[str, str] | None = None,
) -> Launch:
    """The Launch of *workload*; *images* are the site's images by kind, for profiles that name none.

    Refusal (reason place): no image, or something that the kind cannot do on a cluster.
    """
    image = workload.image or (images or {}).get(workload.kind)
    if not image:
        why = f"the profile {workload.profile} names no image, and this installation has none for {workload.kind}"
        raise Refusal.of("place", why, "profile")
    plan = kind.kube(workload, tenant, site, KubePlace(image=image, addresses=addresses))
    return Launch(plan, workload, tenant, site)
