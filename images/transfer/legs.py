"""The way of a run: its steps with their sides. Between two ssh hosts rsync comes by here, in legs. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from images.transfer.rclone import Step
from images.transfer.settings import TransferSettings, is_local


@dataclass(frozen=True)
class Planned:
    """One step: what it is, the settings its command line is made from, and its sides ("" until they are known)."""

    step: Step
    settings: TransferSettings
    source: str = ""
    destination: str = ""
    counted: bool = True
    """Whether its files are among those that the run has transferred."""


def steps(settings: TransferSettings) -> tuple[Planned, ...]:
    """The steps of a run, in order. Pure.

    A sync always looks first: it is the one mode that deletes, and only a dry run can tell that a mistyped source is
    empty, or that more would be deleted than allowed, *before* anything is. A verified move copies, checks, and only
    then moves (which finds everything there already and removes the source), so nothing unverified is ever removed.
    """
    dry = [Planned("dry-run", settings)] if settings.dry_run != "no" or settings.mode == "sync" else []
    if settings.dry_run == "only":
        return tuple(dry)
    if settings.checksum and settings.mode == "move":
        copying = settings.model_copy(update={"mode": "copy"})
        work = [Planned("transfer", copying), Planned("check", copying), Planned("transfer", settings)]
    elif settings.checksum:
        work = [Planned("transfer", settings), Planned("check", settings)]
    else:
        work = [Planned("transfer", settings)]
    return (*dry, *work)


def needs_staging(settings: TransferSettings, source: str, destination: str) -> bool:
    """Whether both sides are ssh hosts: rsync wants one of them to be here."""
    return settings.tool == "rsync" and not is_local(source) and not is_local(destination)


def legs(settings: TransferSettings, source: str, destination: str, staging: Path) -> tuple[Planned, ...]:
    """All steps with their sides; *staging* is an empty folder, used where both sides are ssh hosts.

    There: fetch everything, deliver it as the mode says, and only when that is done (and, where wanted, checked) take
    what was moved from the source, which rsync does by fetching it once more and finding it there.
    """
    if not needs_staging(settings, source, destination):
        return tuple(Planned(one.step, one.settings, source, destination) for one in steps(settings))
    here = f"{staging}/"
    fetch = settings.model_copy(update={"mode": "copy", "max_delete": None})
    first = Planned("transfer", fetch, source, here, counted=False)
    moving = settings.mode == "move"
    deliver = steps(fetch if moving else settings)
    rest = [Planned(one.step, one.settings, here, destination) for one in deliver]
    if moving and settings.dry_run != "only":
        rest.append(Planned("transfer", settings, source, here, counted=False))
    return (first, *rest)
