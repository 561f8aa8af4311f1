"""The contract between a kind and the rest. A kind decides; it does no I/O and knows no other kind."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from config.models import Site, Tenant
from spawners.kube.plan import KubePlace, KubePlan
from spawners.plan import LocalPlace, LocalPlan, Tools
from spawners.refusal import Refusal, Violation
from spawners.workload import Workload

Panel = Literal["open", "home", "address", "uploads", "schedule", "runs", "progress", "log", "options"]
"""Parts that a workload's page can show."""
Owner = Literal["person", "tenant"]


class Options(BaseModel):
    """Base of every kind's options: frozen, unknown options refused.

    The form is made from the JSON schema of the subclass: title and description of each field, and
    `json_schema_extra` with: "widget" (text, textarea, lines, number, select, checkbox, cron, timezone, folder),
    "group" (heading; fields of group "More" are folded away), "placeholder", "unit", "labels" (texts of an enum's
    values), "source" ("remotes", "networks": the tenant's own ones are the choices).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, str_strip_whitespace=True)

    size: str | None = Field(default=None, title="Size")
    """How much of a worker it gets; counts against the tenant's quota."""


class Kind(ABC):
    """One sort of workload."""

    name: ClassVar[str]
    title: ClassVar[str]
    icon: ClassVar[str]
    options: ClassVar[type[Options]]
    owners: ClassVar[frozenset[Owner]]
    """Who may own it. Kinds that run unattended belong to the tenant."""
    interactive: ClassVar[bool] = False
    """Whether the hub's proxy leads to the workload's own process (and the idle rule applies)."""
    needs_address: ClassVar[bool] = False
    """Whether it is reached at a LoadBalancer address of the tenant's network."""
    panels: ClassVar[tuple[Panel, ...]] = ("log", "options")
    logs: ClassVar[tuple[str, ...]] = ("log.txt",)
    """Files in the workload's folder that its log is made of, in this order."""

    def check(self, options: Mapping[str, Any], tenant: Tenant, site: Site) -> list[Violation]:
        """What is wrong with valid *options* for this tenant (a remote it has not, ...). Default: nothing."""
        del options, tenant, site
        return []

    def missing(self, tools: Tools) -> str | None:
        """What this machine lacks for the kind, in words that say how to get it; None when it can run."""
        del tools
        return None

    @abstractmethod
    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """The workload's processes on this machine. Pure: same input, same plan."""

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """The workload's Pod on a cluster. Pure. Refusal (reason place) for what cannot be had there.

        Default: refused, so that a kind of the site's own that was written for one machine still loads.
        """
        del workload, tenant, site, place
        raise Refusal.of("place", f"{self.title} runs on one machine only, not on a cluster", "profile")

    def at_address(self, workload: Workload) -> bool:
        """Whether *workload* is to be given LoadBalancer addresses; a kind may leave it to its options."""
        del workload
        return self.needs_address

    def endpoints(self, workload: Workload, tenant: Tenant, address: str | None) -> tuple[tuple[str, str], ...]:
        """Rows (label, value) of how it is reached, for its page: protocol, address, port, user. No passwords."""
        del workload, tenant, address
        return ()
