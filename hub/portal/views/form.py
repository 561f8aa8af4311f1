"""The page of a launch: the form of a profile with name, owner, quota and what is wrong at which field. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from config.models import Profile, Site, Tenant
from hub.portal.launch import fit, lacking, usage_of
from hub.portal.views.text import cores_text, picture, size_text
from spawners.form import Field, Form, make_form
from spawners.kinds.base import Kind
from spawners.plan import Tools
from spawners.refusal import Violation
from spawners.runtime import Seen

PRESETS = (
    ("0 * * * *", "Hourly"),
    ("0 2 * * *", "Daily at 02:00"),
    ("0 2 * * 0", "Weekly, Sunday at 02:00"),
    ("0 2 1 * *", "Monthly, on the 1st at 02:00"),
)
DISPLAY_NAME_LENGTH = 80


@dataclass(frozen=True)
class Group:
    """Fields that stand together; a folded group opens by itself when something in it is wrong."""

    title: str
    fields: tuple[Field, ...]
    folded: bool

    @property
    def opened(self) -> bool:
        """Whether a folded group is shown open."""
        return any(field.errors for field in self.fields)


@dataclass(frozen=True)
class Fit:
    """What the quota says to one more of this size."""

    ok: bool
    lines: tuple[str, ...]


@dataclass(frozen=True)
class OwnerChoice:
    """An account that may own it."""

    account: str
    label: str
    help: str


@dataclass(frozen=True)
class FormPage:
    """All of the page."""

    tenant: str
    tenant_title: str
    profile: str
    title: str
    icon: str
    description: str
    name: str
    display_name: str
    owner: str
    owners: tuple[OwnerChoice, ...]
    groups: tuple[Group, ...]
    size: Field | None
    fit: Fit
    missing: str | None
    errors: tuple[tuple[str, str], ...]
    """(id of the field to go to or "", text), in the order of the page."""
    display_name_errors: tuple[str, ...]
    owner_errors: tuple[str, ...]


def form_page(
    kind: Kind,
    profile: Profile,
    tenant: Tenant,
    account: str,
    seen: Sequence[Seen],
    tools: Tools | None,
    *,
    name: str,
    display_name: str | None = None,
    owner: str | None = None,
    values: Mapping[str, Any] | None = None,
    violations: Iterable[Violation] = (),
    site: Site | None = None,
) -> FormPage:
    """The page, empty or with what was typed and why it was refused. *tools*: of this machine; None on a cluster."""
    wrong = list(violations)
    ours = {"display_name", "owner", "quota"}
    told = [v for v in wrong if v.field not in ours]
    form = make_form(kind, profile, tenant, values, told, site=site, on_cluster=tools is None)
    size = _size_field(form, profile)
    owners = owner_choices(kind, tenant, account)
    page_owner = owner if owner in {choice.account for choice in owners} else owners[0].account
    return FormPage(
        tenant=tenant.name,
        tenant_title=tenant.title or tenant.name,
        profile=profile.name,
        title=profile.title,
        icon=picture(profile.icon, kind.name, kind.icon),
        description=profile.description,
        name=name,
        display_name=free_title(profile.title, seen) if display_name is None else display_name,
        owner=page_owner,
        owners=owners,
        groups=groups(form, without=("size",)),
        size=size,
        fit=fit_of(tenant, profile, seen, str(size.value) if size else None, f"{tenant.name}/{page_owner}/{name}"),
        missing=lacking(kind, tools),
        errors=summary(form, wrong),
        display_name_errors=_of("display_name", wrong),
        owner_errors=_of("owner", wrong),
    )


def free_title(title: str, seen: Sequence[Seen]) -> str:
    """*title*, with a number where the list has it already: two lines called the same help nobody."""
    taken = {one.workload.display_name for one in seen}
    numbered = (f"{title} {number}" for number in range(2, len(taken) + 3))
    return title if title not in taken else next(name for name in numbered if name not in taken)


def _size_field(form: Form, profile: Profile) -> Field | None:
    """The size field, with its sizes in people's units."""
    found = next((field for field in form.fields if field.name == "size"), None)
    if found is None:
        return None
    labels = {
        size.name: size.title or f"{size.name}: {cores_text(size.cpu)} CPU, {size_text(size.memory)} memory"
        for size in profile.sizes
    }
    return replace(found, choices=tuple((value, labels.get(value, label)) for value, label in found.choices))


def _of(field: str, violations: Iterable[Violation]) -> tuple[str, ...]:
    return tuple(v.message for v in violations if v.field == field)


def summary(form: Form, violations: Sequence[Violation]) -> tuple[tuple[str, str], ...]:
    """Every violation once, with the id of the field it belongs to."""
    own = {"display_name": "Name", "owner": "Owner"}
    rows = [(f"f-{name}", f"{title}: {text}") for name, title in own.items() for text in _of(name, violations)]
    rows += [(f"f-{field.name}", f"{field.title}: {text}") for field in form.fields for text in field.errors]
    rows += [("f-size", text) for text in _of("quota", violations)]
    return tuple(rows + [("", text) for text in form.errors])


def groups(form: Form, without: tuple[str, ...] = ()) -> tuple[Group, ...]:
    """Fields by group, in the order of the options model; "More" is last and folded away."""
    found: dict[str, list[Field]] = {}
    for field in form.fields:
        if field.name not in without:
            found.setdefault(field.group, []).append(field)
    ordered = sorted(found, key=lambda title: (title == "More", title != ""))
    return tuple(Group(title, tuple(found[title]), title == "More") for title in ordered)


def owner_choices(kind: Kind, tenant: Tenant, account: str) -> tuple[OwnerChoice, ...]:
    """Who may own it, the person first."""
    choices = {
        "person": OwnerChoice(account, "Me", "Only you open and stop it; it ends when you leave the tenant."),
        "tenant": OwnerChoice(
            tenant.account,
            f"The tenant {tenant.title or tenant.name}",
            "Every member may open and stop it; it goes on when you leave.",
        ),
    }
    return tuple(choices[owner] for owner in sorted(kind.owners))


def fit_of(tenant: Tenant, profile: Profile, seen: Sequence[Seen], size_name: str | None, leave_out: str) -> Fit:
    """Whether a workload of that size fits now, in words."""
    size = profile.size(size_name)
    if size is None:
        return Fit(False, (f"There is no size {size_name!r}.",))
    wrong = fit(tenant, seen, size, leave_out)
    if wrong:
        return Fit(
            False, (*(f"Does not fit: {v.message}." for v in wrong), "Stop a workload or choose a smaller size.")
        )
    after, quota = usage_of(seen, leave_out).plus(size), tenant.quota
    text = (
        f"Fits: with it, {after.workloads} of {quota.workloads} workloads, {cores_text(after.cpu)} of"
        f" {cores_text(quota.cpu)} CPU and {size_text(after.memory)} of {size_text(quota.memory)} memory are taken."
    )
    return Fit(True, (text,))


def display_name_violations(text: str) -> list[Violation]:
    """What is wrong with a name that people read. The hub refuses control characters and double spaces (slugs.py)."""
    if not text:
        return [Violation("display_name", "is needed: a name that you find it by")]
    if len(text) > DISPLAY_NAME_LENGTH:
        return [Violation("display_name", f"is longer than {DISPLAY_NAME_LENGTH} characters")]
    if not text.isprintable():
        return [Violation("display_name", "holds characters that cannot be shown")]
    return []


def tidy_name(text: str) -> str:
    """A display name without the spaces that the hub refuses: at the ends, and two in a row."""
    return " ".join(part for part in text.split(" ") if part)
