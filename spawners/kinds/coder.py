"""A tenant's own Coder control plane (coder.com), which makes its workspaces as Pods in the tenant's namespace.

What it needs was read in Coder's own Helm chart (helm/coder of coder/coder): the command, the health page, the user
1000, and the Role of its service account. Workspaces are held by the same walls, quota and admission rules as all Pods
of the tenant.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.models import Site, Tenant
from config.models.base import pattern
from spawners import reached
from spawners.kinds.base import Kind, Options
from spawners.kube.plan import GIB, TMP, KubePlace, KubePlan, KubePort, Ready, Rule, Scratch, SecretEnv
from spawners.plan import LocalPlace, LocalPlan, Tools
from spawners.refusal import Refusal
from spawners.workload import Workload

PORT = 8080
HOME = "/home/coder"
_ONLY_CLUSTER = "Coder makes its workspaces as Pods: it runs on a Kubernetes cluster, not on this machine"
_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_SECRET = pattern(
    r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", "the name of a Secret: a-z, 0-9, - and ., e.g. coder-db", max_length=253
)
_URL = pattern(r"^https?://[^\s/@]+$", "a URL without a path, e.g. https://coder.example.org", max_length=200)


class CoderOptions(Options):
    """Where its database is, and under which address people see it."""

    database_secret: Annotated[str, _SECRET] = Field(
        title="Secret of the database", json_schema_extra={"placeholder": "coder-db"}
    )
    """Name of a Secret in the tenant's namespace whose key `url` holds the PostgreSQL URL
    (postgres://user:password@host/coder). The URL itself is never an option: it holds a password."""
    reach: Literal["address", "ingress"] = Field(
        default="address",
        title="Reached by",
        json_schema_extra={
            "labels": {"address": "An address of the tenant's network", "ingress": "A host name of the site's Ingress"}
        },
    )
    """Coder cannot be served below a path, so the hub's proxy does not lead to it."""
    open_to: Literal["network", "everybody"] = Field(
        default="network",
        title="Who may connect",
        json_schema_extra={
            "labels": {"network": "The tenant's network", "everybody": "Whoever reaches the address"},
            "group": "More",
        },
    )
    """Coder has its own sign-in either way."""
    access_url: Annotated[str, _URL] | None = Field(
        default=None, title="Access URL", json_schema_extra={"placeholder": "https://coder.example.org"}
    )
    """What people type, and what workspaces call home by; empty: the address. Needed with an Ingress."""


class CoderKind(Kind):
    """Coder's server; it keeps everything in its database."""

    name = "coder"
    title = "Coder"
    icon = "🏗️"
    options = CoderOptions
    owners = frozenset({"tenant"})
    needs_address = True
    panels = ("address", "log", "options")

    def missing(self, tools: Tools) -> str | None:
        """One machine has nowhere to put workspaces."""
        del tools
        return _ONLY_CLUSTER

    def local(self, workload: Workload, tenant: Tenant, site: Site, place: LocalPlace) -> LocalPlan:
        """Refusal: see `missing`."""
        raise Refusal.of("place", _ONLY_CLUSTER, "profile")

    def at_address(self, workload: Workload) -> bool:
        """Not behind an Ingress."""
        return bool(workload.options["reach"] == "address")

    def endpoints(self, workload: Workload, tenant: Tenant, address: str | None) -> tuple[tuple[str, str], ...]:
        """Where people sign in, and whose database it is."""
        del tenant
        options = workload.options
        rows = [("Address", options["access_url"])] if options["access_url"] else reached.rows(address, "http")
        return (*rows, ("Database", f"Secret {options['database_secret']}, key url"))

    def kube(self, workload: Workload, tenant: Tenant, site: Site, place: KubePlace) -> KubePlan:
        """Its server in a Deployment of one, with rights to make workspaces. Refusal without a way to reach it."""
        del tenant
        options = workload.options
        addresses = place.addresses if self.at_address(workload) else ()
        url = options["access_url"] or (f"http://{reached.host(addresses[0])}" if addresses else None)
        if url is None:
            raise Refusal.of("place", "with an Ingress Coder has to know the URL that people use", "access_url")
        # An Ingress reaches the Pod by whatever family the cluster's Pods have.
        six = ":" in place.listen or any(network.version == 6 for network in site.cluster.pods)
        return KubePlan(
            mode="keep",
            image=place.image,
            argv=("/opt/coder", "server"),
            env={
                "CODER_ACCESS_URL": url,
                "CODER_HTTP_ADDRESS": f"{'[::]' if six else '0.0.0.0'}:{PORT}",  # noqa: S104  the Pod's own
                "CODER_CACHE_DIRECTORY": f"{HOME}/.cache/coder",
                # Nothing is told to, or asked of, the world outside the tenant: no telemetry, no look for updates,
                # no STUN servers (it offers a public one by default).
                "CODER_TELEMETRY_ENABLE": "false",
                "CODER_UPDATE_CHECK": "false",
                "CODER_DERP_SERVER_STUN_ADDRESSES": "disable",
                # Go would else collect its garbage by a rule that knows no limit; Coder's chart sets it too.
                "GOMEMLIMIT": f"{workload.size.memory * 9 // 10}B",
            },
            secret_env=(SecretEnv(variable="CODER_PG_CONNECTION_URL", secret=options["database_secret"], key="url"),),
            uid=1000,
            home=HOME,
            scratch=(
                Scratch(name="home", path=HOME, size=5 * GIB),
                Scratch(name="tmp", path=TMP, size=5 * GIB),
            ),
            ports=(KubePort(name="http", port=80, target=PORT),),
            addresses=addresses,
            sources=options["open_to"],
            # The agents in its workspaces call it by the access URL.
            pods_connect=True,
            ready=Ready(http="/healthz", within_s=300),
            grace_s=60,
            rules=(
                Rule(group="", resources=("persistentvolumeclaims", "pods"), verbs=_VERBS),
                Rule(group="apps", resources=("deployments",), verbs=_VERBS),
            ),
        )
