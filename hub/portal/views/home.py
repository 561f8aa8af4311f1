"""The home page: my tenants, what they run, what may be started. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from config.models import Profile, Tenant, World
from hub.portal.launch import lacking, usage_of
from hub.portal.settings import Settings
from hub.portal.views.rights import Access, access
from hub.portal.views.text import FORGOTTEN, ORPHAN, STATES, Badge, cores_text, picture, size_text
from spawners import reached
from spawners.kinds.base import Kind
from spawners.plan import Tools
from spawners.quota import Usage
from spawners.runtime import Seen


@dataclass(frozen=True)
class Meter:
    """One limit of the quota; *value* and *limit* in the same unit."""

    label: str
    text: str
    value: float
    limit: float

    @property
    def percent(self) -> int:
        """Length of the bar, 0-100; a little that is taken is seen."""
        return min(100, max(round(100 * self.value / self.limit), 1 if self.value > 0 else 0))

    @property
    def full(self) -> bool:
        """Whether nothing is left."""
        return self.value >= self.limit


@dataclass(frozen=True)
class Step:
    """What to do next: a link."""

    label: str
    href: str
    icon: str
    tone: str = "outline-secondary"


@dataclass(frozen=True)
class Row:
    """One workload in a list."""

    id: str
    title: str
    icon: str
    kind: str
    url: str | None
    badge: Badge
    message: str
    address: str | None
    next_run: datetime | None
    owner: str
    since: datetime
    steps: tuple[Step, ...]


@dataclass(frozen=True)
class Card:
    """One profile; *missing* says what this machine lacks, *none_left* why the quota holds no more."""

    name: str
    title: str
    icon: str
    description: str
    kind: str
    url: str
    missing: str | None


@dataclass(frozen=True)
class TenantView:
    """One tenant of mine. *ended* are the rows of what stopped or finished; failures stay among *rows*."""

    name: str
    title: str
    role: str
    meters: tuple[Meter, ...]
    rows: tuple[Row, ...]
    ended: tuple[Row, ...]
    cards: tuple[Card, ...]


def meters(tenant: Tenant, usage: Usage) -> tuple[Meter, ...]:
    """The three limits of a tenant, with what is taken."""
    quota = tenant.quota
    return (
        Meter(
            "Running workloads", f"{usage.workloads} of {quota.workloads} workloads", usage.workloads, quota.workloads
        ),
        Meter("CPU", f"{cores_text(usage.cpu)} of {cores_text(quota.cpu)} CPU", usage.cpu, quota.cpu),
        Meter(
            "Memory",
            f"{size_text(usage.memory) if usage.memory else 0} of {size_text(quota.memory)} memory",
            usage.memory,
            quota.memory,
        ),
    )


def tenant_view(
    settings: Settings,
    world: World,
    kinds: Mapping[str, Kind],
    tools: Tools | None,
    tenant: Tenant,
    account: str,
    seen: Sequence[Seen],
    orphans: frozenset[tuple[str, str]] = frozenset(),
) -> TenantView:
    """All that the home page shows of one tenant to *account*. *orphans*: owners and names that the hub forgot."""
    rows = [
        (one.state, row(settings, kinds, tenant, account, one, (one.workload.owner, one.workload.name) in orphans))
        for one in seen
    ]
    over = ("stopped", "finished")
    return TenantView(
        name=tenant.name,
        title=tenant.title or tenant.name,
        role="admin" if account in tenant.admins else "member",
        meters=meters(tenant, usage_of(seen)),
        rows=tuple(row for state, row in rows if state not in over),
        ended=tuple(row for state, row in rows if state in over),
        cards=tuple(
            card(settings, kinds[profile.kind], tools, tenant, profile)
            for profile in world.profiles_of(tenant)
            if profile.kind in kinds
        ),
    )


def card(settings: Settings, kind: Kind, tools: Tools | None, tenant: Tenant, profile: Profile) -> Card:
    """The card of one profile."""
    return Card(
        name=profile.name,
        title=profile.title,
        icon=picture(profile.icon, kind.name, kind.icon),
        description=profile.description,
        kind=kind.title,
        url=f"{settings.prefix}new/{tenant.name}/{profile.name}",
        missing=lacking(kind, tools),
    )


def page_url(settings: Settings, seen: Seen) -> str:
    """The page of a workload."""
    return f"{settings.prefix}w/{seen.workload.id}"


def owner_text(account: str, tenant: Tenant, owner: str) -> str:
    """Whose it is, from the reader's side."""
    if owner == tenant.account:
        return "the tenant"
    return "you" if owner == account else owner


def row(
    settings: Settings, kinds: Mapping[str, Kind], tenant: Tenant, account: str, seen: Seen, orphan: bool = False
) -> Row:
    """One line of the list; without links where the reader may not open it."""
    work = seen.workload
    kind = kinds.get(work.kind)
    allowed = access(account, tenant, work)
    return Row(
        id=f"w-{work.owner}-{work.name}",
        title=work.display_name,
        icon=picture("", work.kind, kind.icon if kind else ""),
        kind=kind.title if kind else work.kind,
        url=page_url(settings, seen) if allowed != "none" else None,
        badge=FORGOTTEN if orphan and seen.live else STATES[seen.state],
        message=(ORPHAN if orphan and seen.live else seen.message) if allowed != "none" else "",
        address=address_text(seen) if allowed != "none" else None,
        next_run=seen.next_run,
        owner=owner_text(account, tenant, work.owner),
        since=seen.changed,
        steps=steps(settings, kind, seen, allowed, orphan),
    )


def address_text(seen: Seen) -> str | None:
    """Where instruments reach it: each address with the port of its endpoints; None while there is none."""
    port = dict(seen.endpoints).get("Port", "")
    behind = f":{port}" if port.isdigit() else ""
    return ", ".join(f"{reached.host(one)}{behind}" for one in reached.each(seen.address)) or None


def steps(settings: Settings, kind: Kind | None, seen: Seen, allowed: Access, orphan: bool = False) -> tuple[Step, ...]:
    """What the reader can do next with it, the likeliest first."""
    if allowed == "none":
        return ()
    page, work = page_url(settings, seen), seen.workload
    if orphan and seen.live:
        return (Step("Take back or remove", page, "link-slash", "primary"),)
    see = Step("See page", page, "eye")
    if allowed == "look":
        return (see,)
    if seen.state == "starting":
        return (Step("See progress", page, "spinner"),)
    if seen.live:
        if kind is not None and kind.interactive:
            opening = settings.server_url(work.owner, work.name)
            return (Step("Open", opening, "arrow-up-right-from-square", "primary"), see)
        return (see,)
    again = Step(
        "Start again",
        again_url(settings, seen),
        "rotate-right",
        "primary" if seen.state == "failed" else "outline-secondary",
    )
    forget = Step("Remove from the list", f"{page}/forget", "trash-can")
    return (again, see, forget)


def again_url(settings: Settings, seen: Seen) -> str:
    """The form, filled with what it was started with."""
    work = seen.workload
    return f"{settings.prefix}new/{work.tenant}/{work.profile}?from={work.owner}/{work.name}"
