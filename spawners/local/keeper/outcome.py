"""How a run ended, in one word and one line. Pure."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import Any

WRONG_SETTINGS = 2
"""Exit code of a program that cannot use its settings: starting it again changes nothing."""
_FROM_OUTSIDE = {signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP}


@dataclass(frozen=True)
class Ending:
    """What becomes of the run's row."""

    outcome: str
    message: str = ""
    counts: dict[str, Any] = field(default_factory=dict)


def signal_text(number: int) -> str:
    """`killed by SIGKILL (by hand, or the machine ran out of memory)`."""
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    reason = " (by hand, or the machine ran out of memory)" if number == signal.SIGKILL else ""
    return f"killed by {name}{reason}" if number in _FROM_OUTSIDE else f"crashed with {name}"


def ending(
    result: Any, code: int | None, last_line: str, *, stopped: bool = False, limit_s: int | None = None
) -> Ending:
    """The outcome of a run.

    *result* is the content of result.json (anything), *code* the exit code (-N: signal N; None: not known, as somebody
    else was its parent). *stopped*: we ended it because we were told to; *limit_s*: we ended it after so many seconds.
    What the program says of itself counts, except where we know better.
    """
    said = _said(result)
    if limit_s is not None:
        rest = f"; {said.message}" if said and said.message else ""
        return Ending("time-limit", f"stopped at its time limit of {_span(limit_s)}{rest}", said.counts if said else {})
    if stopped:
        return Ending("stopped", (said.message if said else "") or "stopped", said.counts if said else {})
    if said is not None and not (said.outcome == "ok" and code is not None and code > 0):
        return said if said.message or said.outcome == "ok" else Ending(said.outcome, last_line, said.counts)
    counts = said.counts if said else {}
    if code is None:
        return Ending("interrupted", "it ended while its keeper was not there, and left no result", counts)
    if code == 0:
        return Ending("ok", "", counts)
    if code < 0:
        outcome = "interrupted" if -code in _FROM_OUTSIDE else "failed"
        return Ending(outcome, signal_text(-code), counts)
    return Ending("failed", last_line or f"ended with exit code {code}", counts)


def _said(result: Any) -> Ending | None:
    """result.json, where it is one."""
    if not isinstance(result, dict) or result.get("outcome") not in ("ok", "failed", "stopped"):
        return None
    counts = result.get("counts")
    return Ending(result["outcome"], str(result.get("message") or "")[:500], counts if isinstance(counts, dict) else {})


def _span(seconds: int) -> str:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
