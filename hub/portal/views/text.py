"""Words and numbers as people read them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from spawners.runtime import State


@dataclass(frozen=True)
class Badge:
    """A state in words, a Bootstrap colour and an icon: never by colour alone."""

    label: str
    tone: str
    icon: str


STATES: dict[State, Badge] = {
    "starting": Badge("Starting", "info", "hourglass-half"),
    "running": Badge("Running", "success", "circle-play"),
    "scheduled": Badge("Waiting for its next run", "info", "clock"),
    "backoff": Badge("Trying again after an error", "warning", "rotate"),
    "stopped": Badge("Stopped", "secondary", "circle-stop"),
    "failed": Badge("Failed", "danger", "circle-xmark"),
    "finished": Badge("Finished", "secondary", "circle-check"),
}
FORGOTTEN = Badge("Runs, unknown to the hub", "warning", "link-slash")
ORPHAN = "The hub lost its memory of this one while it ran. It still runs and counts against the quota."
OUTCOMES: dict[str, Badge] = {
    "running": Badge("Running", "info", "spinner"),
    "ok": Badge("Done", "success", "circle-check"),
    "failed": Badge("Failed", "danger", "circle-xmark"),
    "stopped": Badge("Stopped", "secondary", "circle-stop"),
    "time-limit": Badge("Stopped at its time limit", "warning", "stopwatch"),
    "skipped": Badge("Skipped: the run before was still going", "warning", "forward"),
    "missed": Badge("Missed: the machine was off", "warning", "power-off"),
    "interrupted": Badge("Interrupted", "warning", "plug-circle-xmark"),
}


_PICTURES = {
    "notebook": "fa:book",
    "ide": "fa:code",
    "coder": "fa:laptop-code",
    "collector": "fa:satellite-dish",
    "crawler": "fa:spider",
    "transfer": "fa:truck-fast",
    "app": "fa:puzzle-piece",
}
"""Icons of the hub's own icon font (Font Awesome) for our kinds: an emoji looks like a box where no font has it."""


def picture(profile_icon: str, kind_name: str, kind_icon: str = "") -> str:
    """The profile's emoji if its author chose one; else "fa:<icon>" for our kinds, the kind's emoji for others."""
    return profile_icon or _PICTURES.get(kind_name) or kind_icon or "fa:box"


def outcome(name: str) -> Badge:
    """The badge of a run's outcome, also of one that a later version made up."""
    return OUTCOMES.get(name, Badge(name.capitalize() or "Unknown", "secondary", "circle-question"))


def size_text(amount: float | None) -> str:
    """Bytes in binary units: 1536 -> "1.5 KiB"; "-" for None."""
    if amount is None:
        return "-"
    if amount < 1024:
        return f"{amount:.0f} B"
    units = ("KiB", "MiB", "GiB", "TiB", "PiB")
    value = float(amount)
    for unit in units:
        value /= 1024
        if value < 1023.95 or unit == units[-1]:
            break
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"


def duration_text(seconds: float | None) -> str:
    """Seconds as "45 s", "3 min 20 s", "2 h 5 min" or "3 d 4 h"; "-" for None."""
    if seconds is None:
        return "-"
    total = max(0, round(seconds))
    if total < 60:
        return f"{total} s"
    big, small, names = total // 60, total % 60, ("min", "s")
    if total >= 86400:
        big, small, names = total // 86400, total % 86400 // 3600, ("d", "h")
    elif total >= 3600:
        big, small, names = total // 3600, total % 3600 // 60, ("h", "min")
    return f"{big} {names[0]}" + (f" {small} {names[1]}" if small else "")


def cores_text(cores: float) -> str:
    """CPUs for people: 0.5 -> "0.5", 2.0 -> "2"."""
    return f"{cores:.2f}".rstrip("0").rstrip(".")


def label_of(key: str) -> str:
    """A machine's key in words: total_files -> "Total files"."""
    return key.replace("_", " ").strip().capitalize()


def amount_text(key: str, value: Any) -> str:
    """One value of counts or progress, by the unit that its name ends with (bytes, _bps, _s)."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        if "bytes" in key:
            return size_text(value)
        if key.endswith("_bps"):
            return f"{size_text(value)}/s"
        if key.endswith("_s"):
            return duration_text(value)
        return f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
    if isinstance(value, list | tuple):
        return ", ".join(str(item) for item in value)
    return str(value)


_UNIT = re.compile(r"(^|_)bytes$|_bps$|_s$")
_TOLD_AT_ZERO = ("files", "pages", "errors")


def counts_text(counts: dict[str, Any]) -> str:
    """A run's counts in a line: "12 pages, 3.4 MiB, 0 errors". Most zeros say nothing and are left out."""
    parts = []
    for key, value in counts.items():
        if value is None or isinstance(value, dict) or (value == 0 and key not in _TOLD_AT_ZERO):
            continue
        # the unit is in the amount: uploaded_bytes -> "3 MiB uploaded", bytes -> "3 MiB"
        words = re.sub(r"_?(bytes|bps|s)$", "", key) if isinstance(value, int | float) and _UNIT.search(key) else key
        parts.append(f"{amount_text(key, value)} {words.replace('_', ' ')}".strip())
    return ", ".join(parts)


_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def plain_log(text: str) -> str:
    """A log as text: terminal colours out, a line that was overwritten (carriage return) as it was left."""
    without = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in without.split("\n"))
    return "\n".join(_CONTROL.sub("\ufffd", line) for line in lines)
