"""The home of a notebook or VS Code on its page: where it is kept, what of it is unsaved, what a stop means for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from config.models import Site, Tenant
from hub.portal.views.text import Badge, size_text
from spawners.kinds import home
from spawners.workload import Workload

_STATES: dict[str, Badge] = {
    "restoring": Badge("Being brought", "info", "spinner"),
    "saving": Badge("Being saved", "info", "spinner"),
    "kept": Badge("Kept", "success", "circle-check"),
    "not saved": Badge("Not saved", "danger", "triangle-exclamation"),
    "ended": Badge("Ended", "secondary", "circle-stop"),
}
_SHOWN = 10


@dataclass(frozen=True)
class KeptHome:
    """What its keeper tells (images.lib.home)."""

    badge: Badge
    where: str
    saved: datetime | None
    unsaved: str
    """In words; "" where all is saved."""
    names: tuple[str, ...]
    """Some of what is unsaved."""
    error: str
    problems: tuple[tuple[str, str], ...]
    conflicts: tuple[tuple[str, str], ...]
    """(file, where the other version of it lies)."""
    not_kept: tuple[tuple[str, str], ...]
    to_restore: int


def home_view(told: Mapping[str, Any]) -> KeptHome | None:
    """home.json, whatever may be missing or wrong in it; None where nothing was told. Pure."""
    if not isinstance(told.get("where"), str):
        return None
    files, amount = _number(told, "unsaved_files"), _number(told, "unsaved_bytes")
    state = str(told.get("state"))
    if state == "kept" and files:
        badge = Badge("Kept, with unsaved changes", "warning", "hourglass-half")
    elif state == "ended" and files:
        badge = Badge("Ended, not wholly saved", "danger", "triangle-exclamation")
    else:
        badge = _STATES.get(state, Badge(state[:40] or "Unknown", "secondary", "circle-question"))
    conflicts = told.get("conflicts")
    rows = [one for one in conflicts if isinstance(one, Mapping)] if isinstance(conflicts, list) else []
    names = told.get("unsaved")
    return KeptHome(
        badge=badge,
        where=told["where"],
        saved=_moment(told.get("saved")),
        unsaved=f"{files} file{'s' if files != 1 else ''}, {size_text(amount)}" if files else "",
        names=tuple(str(name) for name in names[:_SHOWN]) if isinstance(names, list) and files else (),
        error=str(told.get("error") or ""),
        problems=_pairs(told.get("problems")),
        conflicts=tuple((str(one.get("path")), str(one.get("other"))) for one in rows[-_SHOWN:]),
        not_kept=_pairs(told.get("not_kept")),
        to_restore=_number(told, "to_restore"),
    )


def home_text(work: Workload, tenant: Tenant, site: Site, *, on_cluster: bool) -> str:
    """Where the workload's home is kept, as its form said; "" for kinds without a home to choose. Pure."""
    value = work.options.get("home")
    if value is None:
        return ""
    offered = dict(home.choices(tenant, site, on_cluster=on_cluster).every)
    meant = home.meant(str(value), tenant, site, on_cluster=on_cluster)
    return offered.get(meant, meant)


def stop_text(work: Workload, tenant: Tenant, site: Site, *, on_cluster: bool) -> str:
    """What becomes of its files when it is stopped. Pure."""
    value = home.meant(str(work.options.get("home") or home.AUTO), tenant, site, on_cluster=on_cluster)
    if on_cluster and ("home" not in work.options or value == home.NONE):
        return "Its home folder is not kept: what is in it is lost. Save elsewhere what you need."
    if value.startswith(home.REMOTE):
        return "Its home folder is saved first; its page says what could not be."
    return "Saved files stay in its home folder."


def _number(told: Mapping[str, Any], key: str) -> int:
    value = told.get(key)
    return int(value) if isinstance(value, int | float) else 0


def _moment(value: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None


def _pairs(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Mapping):
        return ()
    return tuple((str(name), str(text)) for name, text in list(value.items())[:_SHOWN])
