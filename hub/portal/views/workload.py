"""The page of one workload, panel by panel as its kind has them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.models import Tenant, World
from hub.portal.settings import Settings
from hub.portal.views.clients import ClientHelp, client_help
from hub.portal.views.home import address_text, again_url, owner_text, page_url
from hub.portal.views.kept import home_text, stop_text
from hub.portal.views.rights import Access
from hub.portal.views.text import (
    FORGOTTEN,
    ORPHAN,
    STATES,
    Badge,
    amount_text,
    cores_text,
    label_of,
    picture,
    size_text,
)
from spawners.kinds.base import Kind
from spawners.runtime import Seen
from spawners.schedule import ScheduleError, describe, next_runs


@dataclass(frozen=True)
class ScheduleView:
    """When it runs. *next_run* is the keeper's word; *following* are computed."""

    words: str
    timezone: str
    next_run: datetime | None
    following: tuple[datetime, ...]


@dataclass(frozen=True)
class OptionRow:
    """What it was started with."""

    title: str
    value: str
    more: bool


@dataclass(frozen=True)
class Acts:
    """What the reader may do now."""

    open_url: str | None
    stop: bool
    again_url: str | None
    forget: bool
    run_now: bool
    password: bool
    take_back: bool = False
    remove: bool = False


@dataclass(frozen=True)
class WorkloadPage:
    """All of the page that does not change by the second."""

    id: str
    url: str
    title: str
    icon: str
    kind: str
    profile: str
    tenant: str
    tenant_title: str
    owner: str
    started_by: str
    asked: datetime
    badge: Badge
    state: str
    message: str
    changed: datetime
    restarts: int
    live: bool
    interactive: bool
    panels: tuple[str, ...]
    address: str | None
    endpoints: tuple[tuple[str, str], ...]
    clients: tuple[ClientHelp, ...]
    schedule: ScheduleView | None
    options: tuple[OptionRow, ...]
    notes: tuple[str, ...]
    acts: Acts
    stop_words: tuple[str, ...]


def workload_page(
    settings: Settings,
    world: World,
    tenant: Tenant,
    kind: Kind | None,
    account: str,
    allowed: Access,
    seen: Seen,
    now: datetime,
    orphan: bool = False,
    on_cluster: bool = False,
) -> WorkloadPage:
    """What *account* sees of it. *kind* is None where it is no longer installed here; *orphan*: the hub forgot it."""
    work = seen.workload
    home = home_text(work, tenant, world.site, on_cluster=on_cluster)
    panels: tuple[str, ...] = kind.panels if kind else ("log", "options")
    return WorkloadPage(
        id=work.id,
        url=page_url(settings, seen),
        title=work.display_name,
        icon=picture("", work.kind, kind.icon if kind else ""),
        kind=kind.title if kind else work.kind,
        profile=work.profile,
        tenant=tenant.name,
        tenant_title=tenant.title or tenant.name,
        owner=owner_text(account, tenant, work.owner),
        started_by="you" if work.started_by == account else work.started_by,
        asked=work.asked,
        badge=FORGOTTEN if orphan else STATES[seen.state],
        state=seen.state,
        message=seen.message,
        changed=seen.changed,
        restarts=seen.restarts,
        live=seen.live,
        interactive=bool(kind and kind.interactive),
        panels=panels,
        address=address_text(seen),
        endpoints=seen.endpoints,
        clients=client_help(seen.endpoints) if seen.live else (),
        schedule=schedule_view(seen, now) if "schedule" in panels else None,
        options=option_rows(kind, seen, {"home": home} if home else {}),
        notes=((ORPHAN, orphan_words(kind, seen)) if orphan else ()) + notes(world, tenant, kind, seen),
        acts=orphan_acts(kind, seen) if orphan else acts(settings, world, tenant, kind, allowed, seen),
        stop_words=(
            stop_words(panels, True, seen, stop_text(work, tenant, world.site, on_cluster=on_cluster))
            if kind and kind.interactive
            else stop_words(panels, False, seen)
        ),
    )


def acts(settings: Settings, world: World, tenant: Tenant, kind: Kind | None, allowed: Access, seen: Seen) -> Acts:
    """Only what is the reader's to do; starting again needs the profile to be there still."""
    mine = allowed == "own"
    work = seen.workload
    can_start = kind is not None and work.profile in tenant.profiles and work.profile in world.profiles
    running = seen.state in ("running", "backoff")
    return Acts(
        open_url=settings.server_url(work.owner, work.name) if mine and kind and kind.interactive and running else None,
        stop=mine and seen.live,
        again_url=again_url(settings, seen) if mine and not seen.live and can_start else None,
        forget=mine and not seen.live,
        run_now=mine and seen.live and bool(kind and "schedule" in kind.panels and work.options.get("cron")),
        password=mine and seen.has_password,
    )


def can_take_back(kind: Kind | None, seen: Seen) -> bool:
    """Only what runs unattended: a server that people open lost its sign-in with the hub's memory."""
    return seen.workload.tenant_owned and kind is not None and not kind.interactive


def orphan_words(kind: Kind | None, seen: Seen) -> str:
    """What can be done with one that the hub forgot."""
    if can_take_back(kind, seen):
        return "Take it back, and it goes on as it is; or remove it, which ends it."
    return (
        "It cannot be opened any more, since its sign-in went with the hub's memory."
        " Remove it, which ends it, and start it again."
    )


def orphan_acts(kind: Kind | None, seen: Seen) -> Acts:
    """For whoever sees it: that it is there is everybody's matter who may look at it, and the hub decides again."""
    return Acts(
        open_url=None, stop=False, again_url=None, forget=False, run_now=False, password=False,
        take_back=can_take_back(kind, seen), remove=True,
    )  # fmt: skip


def notes(world: World, tenant: Tenant, kind: Kind | None, seen: Seen) -> tuple[str, ...]:
    """What has changed in the declared world since it was started. It goes on as it was."""
    work = seen.workload
    goes_on = "This one goes on as it was started." if seen.live else "It cannot be started again."
    if kind is None:
        return (f"The kind {work.kind!r} is no longer installed here. {goes_on}",)
    profile = world.profiles.get(work.profile)
    if profile is None:
        return (f"The profile {work.profile!r} was removed. {goes_on}",)
    if work.profile not in tenant.profiles:
        return (f"{tenant.title or tenant.name} may no longer use the profile {work.profile!r}. {goes_on}",)
    if profile.kind != work.kind:
        return (f"The profile {work.profile!r} is of another kind now ({profile.kind}). {goes_on}",)
    size = profile.size(work.size.name)
    if not seen.live or size == work.size:
        return ()
    had = f"{cores_text(work.size.cpu)} CPU and {size_text(work.size.memory)} memory"
    return (f"The size {work.size.name!r} has changed since; this one goes on with {had}.",)


def schedule_view(seen: Seen, now: datetime) -> ScheduleView | None:
    """Its schedule in words, with the runs after the next one; None where the options hold none."""
    options = seen.workload.options
    cron, timezone = options.get("cron"), options.get("timezone", "UTC")
    if not isinstance(cron, str) or not cron:
        return None
    try:
        words = describe(cron, timezone)
        following = next_runs(cron, timezone, seen.next_run or now, 4 if seen.next_run else 5) if seen.live else []
    except ScheduleError as error:
        return ScheduleView(f"{cron}: {error}", timezone, seen.next_run, ())
    return ScheduleView(words, timezone, seen.next_run, tuple(following))


def option_rows(kind: Kind | None, seen: Seen, texts: Mapping[str, str]) -> tuple[OptionRow, ...]:
    """The options in the words of the form, in its order; what the model no longer knows comes last. *texts*: what to
    say of some of them, by name."""
    schema = kind.options.model_json_schema()["properties"] if kind else {}
    options = seen.workload.options
    size = seen.workload.size
    rows = []
    for name in [name for name in schema if name in options] + [name for name in options if name not in schema]:
        item = schema.get(name, {})
        if name == "size":
            value = f"{size.name}: {cores_text(size.cpu)} CPU, {size_text(size.memory)} memory"
        else:
            value = texts.get(name) or option_text(item, options[name])
        rows.append(OptionRow(item.get("title", label_of(name)), value, item.get("group") == "More"))
    return tuple(rows)


def option_text(item: Mapping[str, Any], value: Any) -> str:
    """One option's value for people: its label, its unit, lists one a line."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, list):
        return "\n".join(str(part) for part in value)
    label = item.get("labels", {}).get(str(value))
    text = str(label) if label else amount_text("", value) if isinstance(value, bool) else str(value)
    return f"{text} {item['unit']}" if item.get("unit") else text


def stop_words(panels: Sequence[str], interactive: bool, seen: Seen, of_home: str = "") -> tuple[str, ...]:
    """What a stop means, before it is confirmed. *of_home*: for the home of an interactive one."""
    if interactive:
        return (
            "Everything that runs in it ends: running cells, terminals, unsaved changes.",
            of_home or "Saved files stay in its home folder.",
        )
    if "uploads" in panels:
        where = address_text(seen)
        return (
            f"Instruments can no longer upload to {where}." if where else "Instruments can no longer upload.",
            "An upload that is under way breaks off.",
            "Uploaded files, the address and the password are kept for when it is started again.",
        )
    if "schedule" in panels:
        return (
            "No run begins any more until it is started again.",
            "A run that is under way is stopped; what it has so far is kept.",
            "Archives, past runs and their logs stay.",
        )
    return ("The run that is under way is stopped.", "What it has done so far stays done, and its log is kept.")


# -- what changes by the second ----------------------------------------------------------------------------------------

_UPLOADS = {
    "stored": Badge("Complete", "success", "circle-check"),
    "late": Badge("Complete, stored late", "success", "circle-check"),
    "recovered": Badge("Complete, stored after a restart", "success", "circle-check"),
    "incomplete": Badge("Incomplete", "danger", "triangle-exclamation"),
    "waiting": Badge("Received, waits for the object store", "warning", "hourglass-half"),
    "superseded": Badge("Replaced by a newer upload", "secondary", "layer-group"),
    "renamed": Badge("Renamed", "secondary", "pen"),
}


@dataclass(frozen=True)
class UploadRow:
    """One upload."""

    path: str
    size: str
    time: str
    source: str
    badge: Badge
    reason: str


def upload_row(row: Mapping[str, Any]) -> UploadRow:
    """A row of the collector's ledger (images.collector), whatever may be missing in it."""
    name = str(row.get("outcome", ""))
    amount = row.get("bytes")
    return UploadRow(
        path=str(row.get("path", "?")),
        size=size_text(amount) if isinstance(amount, int | float) else "-",
        time=str(row.get("time", "")),
        source=str(row.get("source") or "-"),
        badge=_UPLOADS.get(name, Badge(label_of(name) or "Unknown", "secondary", "circle-question")),
        reason=str(row.get("reason") or ""),
    )


@dataclass(frozen=True)
class Progress:
    """The run that is under way. *fraction* is 0-1, None where the end is not known."""

    phase: str
    fraction: float | None
    summary: str
    rows: tuple[tuple[str, str], ...]
    current: tuple[str, ...]


_SHOWN = {"phase", "bytes", "total_bytes", "files", "total_files", "speed_bps", "eta_s", "current", "run_id", "started"}
_SHOWN |= {"updated", "message", "current_url"}


def progress_view(progress: Mapping[str, Any]) -> Progress | None:
    """A program's progress.json: known numbers first, whatever else it tells after them; None when nothing runs."""
    if not progress:
        return None
    rows = []
    for key, total in (("bytes", "total_bytes"), ("files", "total_files")):
        if isinstance(progress.get(key), int | float):
            of = f" of {amount_text(key, progress[total])}" if progress.get(total) else ""
            rows.append((label_of(key) if key == "files" else "Data", f"{amount_text(key, progress[key])}{of}"))
    for key, title in (("speed_bps", "Speed"), ("eta_s", "Time left")):
        if isinstance(progress.get(key), int | float):
            rows.append((title, amount_text(key, progress[key])))
    rows += [
        (label_of(key), amount_text(key, value))
        for key, value in progress.items()
        if key not in _SHOWN and isinstance(value, str | int | float) and value != ""
    ]
    current = progress.get("current") or progress.get("current_url") or ()
    return Progress(
        phase=label_of(str(progress.get("phase", ""))),
        fraction=_fraction(progress),
        summary=str(progress.get("message") or ""),
        rows=tuple(rows),
        current=tuple(str(name) for name in (current if isinstance(current, list | tuple) else [current]))[:5],
    )


def _fraction(progress: Mapping[str, Any]) -> float | None:
    for key, total in (("bytes", "total_bytes"), ("files", "total_files")):
        done, whole = progress.get(key), progress.get(total)
        if isinstance(done, int | float) and isinstance(whole, int | float) and whole > 0:
            return min(1.0, max(0.0, done / whole))
    return None
