"""What the JSON API takes and gives."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from config.models import Profile, Tenant
from hub.portal.launch import lacking, usage_of
from hub.portal.settings import Settings
from hub.portal.views.rights import Access
from spawners.kinds.base import Kind
from spawners.plan import Tools
from spawners.runtime import Seen


class Api(BaseModel):
    """Base: unknown fields are refused, docstrings are descriptions."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class ViolationOut(Api):
    """One thing that is wrong."""

    field: str = Field(examples=["size"])
    """The option it belongs to; empty for the whole request; "quota" for the tenant's limits."""
    message: str = Field(examples=["there is no size 'huge'; choose one of small, medium"])


class Problem(Api):
    """Every error."""

    message: str
    violations: list[ViolationOut] = []


class Amount(Api):
    """Workloads, CPU and memory."""

    workloads: int = Field(examples=[3])
    cpu: float = Field(examples=[2.5])
    """Cores."""
    memory: int = Field(examples=[4 * 2**30])
    """Bytes."""


class TenantOut(Api):
    """A tenant of the caller."""

    name: str = Field(examples=["physics"])
    title: str = Field(examples=["Physics"])
    role: str = Field(examples=["member"])
    """admin or member."""
    account: str = Field(examples=["tenant-physics"])
    """Owner of what the tenant runs itself."""
    quota: Amount
    usage: Amount


class ProfileOut(Api):
    """Something that may be started."""

    name: str = Field(examples=["instrument-upload"])
    title: str
    description: str
    kind: str = Field(examples=["collector"])
    sizes: list[str]
    owners: list[str]
    """Accounts that may own it."""
    missing: str | None
    """What this machine lacks for it; null when it can be started."""


class FormOut(Api):
    """What a start takes."""

    options: dict[str, Any]
    """JSON Schema of the options."""
    defaults: dict[str, Any]
    """Values that the profile presets."""
    locked: list[str]
    """Options that cannot be given."""
    choices: dict[str, list[Any]]
    """The only values that an option takes here."""
    owners: list[str]


class StartIn(Api):
    """What to start."""

    profile: str = Field(examples=["instrument-upload"])
    options: dict[str, Any] = Field(default={}, examples=[{"remote": "data", "folder": "microscope"}])
    owner: str | None = Field(default=None, examples=["tenant-physics"])
    """Default: the caller, or the tenant for a kind that only tenants own."""
    name: str | None = Field(default=None, examples=["camera"], pattern=r"^[a-z](-?[a-z0-9])*$", max_length=30)
    """Name of the server; give one, so that a repeated request starts nothing twice. Default: a new one."""
    display_name: str | None = Field(default=None, examples=["Camera in room 12"], max_length=80)
    """Default: the profile's title."""


class CheckOut(Api):
    """What a start would be told."""

    ok: bool
    violations: list[ViolationOut]
    quota: Amount
    usage: Amount
    """Without the new one."""


class WorkloadOut(Api):
    """One workload. Of another member's only state, size and owner are told."""

    id: str = Field(examples=["physics/tenant-physics/camera"])
    tenant: str
    owner: str
    name: str
    display_name: str
    kind: str
    profile: str
    size: Amount
    state: str = Field(examples=["running"])
    """starting, running, scheduled, backoff, stopped, failed or finished."""
    message: str
    """Why it failed or waits."""
    since: datetime
    started_by: str
    asked: datetime
    address: str | None = None
    endpoints: dict[str, str] = {}
    """How it is reached; no password."""
    has_password: bool = False
    restarts: int = 0
    next_run: datetime | None = None
    current_run: str | None = None
    orphan: bool = False
    """Whether it runs unknown to the hub, which has lost its memory of it: it cannot be stopped, but be removed, and
    what the tenant owns can be taken back."""
    options: dict[str, Any] = {}
    url: str
    """Where the hub's proxy answers for it."""
    page: str
    """Its page in the portal."""


class RunOut(Api):
    """One run."""

    id: str = Field(examples=["20261121T101500Z"])
    trigger: str
    outcome: str
    scheduled: datetime | None = None
    started: datetime | None = None
    ended: datetime | None = None
    message: str = ""
    counts: dict[str, Any] = {}


class ProgressOut(Api):
    """What it does just now."""

    state: str
    message: str
    run: dict[str, Any]
    """The current run's own account (bytes, files, speed …); empty when nothing runs."""


class PasswordOut(Api):
    """The generated password."""

    password: str


class PreviewOut(Api):
    """What a schedule means."""

    ok: bool
    description: str = Field(examples=["at 02:30 every day, Asia/Tokyo"])
    next_runs: list[datetime]
    errors: list[str]


def tenant_out(tenant: Tenant, account: str, seen: list[Seen]) -> TenantOut:
    """A tenant as *account* sees it."""
    return TenantOut(
        name=tenant.name,
        title=tenant.title or tenant.name,
        role="admin" if account in tenant.admins else "member",
        account=tenant.account,
        quota=quota_out(tenant),
        usage=usage_out(seen),
    )


def quota_out(tenant: Tenant) -> Amount:
    """The limits."""
    return Amount(workloads=tenant.quota.workloads, cpu=tenant.quota.cpu, memory=tenant.quota.memory)


def usage_out(seen: list[Seen], leave_out: str = "") -> Amount:
    """What is taken."""
    usage = usage_of(seen, leave_out)
    return Amount(workloads=usage.workloads, cpu=usage.cpu, memory=usage.memory)


def owners_of(kind: Kind, tenant: Tenant, account: str) -> list[str]:
    """The accounts that may own a workload of *kind*, the likeliest first."""
    return [account if owner == "person" else tenant.account for owner in sorted(kind.owners)]


def profile_out(profile: Profile, kind: Kind, tenant: Tenant, account: str, tools: Tools | None) -> ProfileOut:
    """A profile as *account* sees it."""
    return ProfileOut(
        name=profile.name,
        title=profile.title,
        description=profile.description,
        kind=kind.name,
        sizes=[size.name for size in profile.sizes],
        owners=owners_of(kind, tenant, account),
        missing=lacking(kind, tools),
    )


def form_out(profile: Profile, kind: Kind, tenant: Tenant, account: str) -> FormOut:
    """The options of a profile: the kind's JSON Schema with the profile's defaults, locks and choices."""
    return FormOut(
        options=kind.options.model_json_schema(),
        defaults=dict(profile.defaults),
        locked=list(profile.locked),
        choices={
            **{name: list(values) for name, values in profile.choices.items()},
            "size": [size.name for size in profile.sizes],
        },
        owners=owners_of(kind, tenant, account),
    )


def workload_out(settings: Settings, seen: Seen, allowed: Access, orphan: bool = False) -> WorkloadOut:
    """A workload, whole or the little that is told of another member's. *orphan*: the hub forgot it."""
    work = seen.workload
    little: dict[str, Any] = {
        "id": work.id,
        "tenant": work.tenant,
        "owner": work.owner,
        "name": work.name,
        "display_name": work.display_name,
        "kind": work.kind,
        "profile": work.profile,
        "size": Amount(workloads=1, cpu=work.size.cpu, memory=work.size.memory),
        "state": seen.state,
        "message": "",
        "since": seen.changed,
        "started_by": work.started_by,
        "asked": work.asked,
        "orphan": orphan,
        "url": settings.server_url(work.owner, work.name),
        "page": f"{settings.prefix}w/{work.id}",
    }
    if allowed == "none":
        return WorkloadOut(**little)
    return WorkloadOut(
        **{**little, "message": seen.message},
        address=seen.address,
        endpoints=dict(seen.endpoints),
        has_password=seen.has_password,
        restarts=seen.restarts,
        next_run=seen.next_run,
        current_run=seen.current_run,
        options=dict(work.options),
    )
