"""What a tool's output says, one event a line: the same for rclone and rsync. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Stats:
    """Where the tool is. Bytes, seconds, bytes a second; None where the tool does not say (it keeps the last value)."""

    bytes: int | None = None
    total_bytes: int | None = None
    files: int | None = None
    total_files: int | None = None
    speed_bps: float | None = None
    eta_s: float | None = None
    current: tuple[str, ...] | None = None
    errors: int | None = None
    deleted: int | None = None
    compared: int | None = None


@dataclass(frozen=True)
class Planned:
    """A dry run's line: what would be done with *path* of *size* bytes (None: not said)."""

    action: Literal["copy", "delete", "move", "other"]
    path: str
    size: int | None


@dataclass(frozen=True)
class Verified:
    """A check's line: a count of files that match, differ or could only be compared by size."""

    matching: int = 0
    different: int = 0
    size_only: int = 0


@dataclass(frozen=True)
class Deleted:
    """One file was deleted at the destination (rsync tells each; rclone counts in Stats)."""

    path: str


@dataclass(frozen=True)
class Trouble:
    """An error line in the tool's own words; *fatal* ones end the run."""

    text: str
    path: str | None = None
    fatal: bool = False


@dataclass(frozen=True)
class Note:
    """Anything else worth a line in the log."""

    text: str = field(default="")


Event = Stats | Planned | Verified | Deleted | Trouble | Note
