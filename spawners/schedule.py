"""When runs are due. Pure: a cron expression, a time zone and two points in time in, a decision out.

The expression is what Kubernetes' CronJob takes (robfig/cron, ParseStandard), less what it and cronsim read
differently, so that one schedule means one thing on a laptop and on a cluster. Daylight saving follows Debian's cron,
by cronsim: a time that the clock jumps over runs at the end of the jump (CronJob leaves it out), a time that comes
twice runs once; steps of the clock (`*` or `*/n` in minute or hour) simply go on. Points in time are aware, and in UTC
wherever they leave this module.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, Protocol
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

_EARLY = datetime(2024, 1, 1, tzinfo=UTC)

MACROS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
LATE = timedelta(minutes=2)
"""A start this late is still on time: a busy machine, a keeper that was just started again."""
CLOCK_SET_BACK = timedelta(hours=1)
"""If the schedule is dealt with up to this far in the future, the clock was wrong then, and counting starts afresh."""
MISSED_ROWS = 5
"""Up to so many missed times are told singly; more become one row."""
MISSED_COUNTED = 10_000
"""Counting stops here: months off with a run each minute must not take the keeper seconds to count."""


class ScheduleLike(Protocol):
    """What is read of `spawners.plan.Schedule` (not imported: the keeper does without pydantic)."""

    @property
    def cron(self) -> str:
        """The expression."""

    @property
    def timezone(self) -> str:
        """IANA name."""

    @property
    def missed(self) -> Literal["run-once", "skip"]:
        """The rule for what was missed."""

    @property
    def catch_up_s(self) -> int:
        """How old (seconds) a missed time may be to be caught up."""


class ScheduleError(ValueError):
    """The schedule cannot be used; the text is what `validate` says."""


@dataclass(frozen=True)
class Missed:
    """Times at which nothing ran, with nothing running either."""

    first: datetime
    last: datetime
    count: int
    more: bool = False
    """There were more than *count*."""


@dataclass(frozen=True)
class Decision:
    """What becomes of each time since the last decision: started, skipped or missed, exactly one of them."""

    considered: datetime
    """The schedule is dealt with up to here; give it to the next decision."""
    next: datetime | None
    """The time after that; None where there is none."""
    start: datetime | None = None
    """Start a run now, for this time."""
    trigger: Literal["schedule", "catch-up"] = "schedule"
    """Whether that start is on time."""
    skipped: tuple[datetime, ...] = ()
    """Came while a run was still going (CronJob: concurrencyPolicy Forbid)."""
    missed: tuple[Missed, ...] = ()
    """Oldest first."""


# -- the words of an expression ------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Field:
    name: str
    least: int
    most: int
    names: tuple[str, ...] = ()

    def number(self, word: str) -> int | None:
        if word.upper() in self.names:
            return self.names.index(word.upper()) + self.least
        return int(word) if re.fullmatch(r"[0-9]{1,4}", word) else None

    def range_text(self) -> str:
        return f"{self.least} to {self.most}" + (f" or {self.names[0]} to {self.names[-1]}" if self.names else "")


_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day of month", 1, 31),
    _Field("month", 1, 12, _MONTHS),
    # robfig/cron ends at 6, unlike Debian's cron, where 7 is Sunday too
    _Field("day of week", 0, 6, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)
_EXAMPLE = 'five fields, e.g. "30 2 * * *" (minute hour day-of-month month day-of-week) for every day at 02:30'


def _term_errors(field: _Field, term: str) -> Iterator[str]:
    body, slash, step = term.partition("/")
    if slash and not (step.isascii() and step.isdigit() and int(step) > 0):
        yield f'{field.name}: the step after "/" in "{term}" must be a whole number from 1'
    if body in ("*", "?"):
        return
    numbers = [field.number(word) for word in body.split("-")]
    if None in numbers or len(numbers) > 2:
        takes = f'{field.range_text()}, "*", "a-b", "*/n" and lists with ","'
        yield f'{field.name}: "{term}" is not understood; it takes {takes}'
        return
    known = [number for number in numbers if number is not None]
    outside = [number for number in known if not field.least <= number <= field.most]
    if outside:
        hint = "; Sunday is 0" if field.names[:1] == ("SUN",) and 7 in outside else ""
        yield f"{field.name}: {outside[0]} is outside {field.range_text()}{hint}"
    elif len(known) == 2 and known[0] > known[1]:
        yield f'{field.name}: the range "{body}" runs backwards'
    elif len(known) == 2 and known[0] == known[1] and slash:
        yield f'{field.name}: the range "{body}" holds one value, so a step means nothing'


def _ambiguous(days: str, weekdays: str) -> bool:
    """`*/2` beside a restricted field: Debian's cron (and cronsim) join the two with AND, robfig/cron with OR."""
    stepped = [
        any(re.fullmatch(r"[*?]/0*([2-9]|1[0-9]+)[0-9]*", term) for term in field.split(","))
        for field in (days, weekdays)
    ]
    free = [field in ("*", "?", "*/1", "?/1") for field in (days, weekdays)]
    return any(stepped) and not any(free)


def expand(cron: str) -> str:
    """The five fields of *cron*, macros written out, `?` as `*`. Does not check them."""
    text = MACROS.get(cron.strip().lower(), cron)
    return " ".join(_plain(field) for field in text.split())


def _plain(field: str) -> str:
    terms = field.replace("?", "*").split(",")
    return "*" if "*" in terms or "*/1" in terms else ",".join(terms)


def _cron_errors(cron: str) -> list[str]:
    text = cron.strip()
    if text.startswith("@"):
        return [] if text.lower() in MACROS else [f'"{text}" is not known; there are {", ".join(MACROS)}']
    if "TZ=" in text.upper():
        return ["the time zone has a field of its own; take TZ= out of the schedule"]
    fields = text.split()
    if len(fields) != 5:
        seconds = "; seconds and years cannot be given" if len(fields) in (6, 7) else ""
        return [f"a schedule has {_EXAMPLE}; this has {len(fields)}{seconds}"]
    errors = [
        error
        for field, words in zip(_FIELDS, fields, strict=True)
        for term in words.split(",")
        for error in _term_errors(field, term)
    ]
    if not errors and _ambiguous(fields[2], fields[4]):
        errors.append(
            'day of month, day of week: "*/n" in one with days in the other is read as AND by some systems, as OR '
            "by others; write the days out as a list"
        )
    return errors


@lru_cache(maxsize=64)
def _zone_errors(timezone: str) -> tuple[str, ...]:
    # Local and posixrules depend on the machine, so they would mean another time in a cluster.
    names = available_timezones() - {"localtime", "posixrules", "Factory"}
    if timezone in names:
        return ()
    if not names:
        return ("this machine has no time zone data; install the package tzdata",)
    from difflib import get_close_matches

    by_city = {name.rsplit("/", 1)[1].lower(): name for name in sorted(names, reverse=True) if "/" in name}
    by_lower = by_city | {name.lower(): name for name in sorted(names)} | {"jst": "Asia/Tokyo"}
    wanted = timezone.strip().lower().replace(" ", "_")
    close = get_close_matches(wanted, by_lower, n=1, cutoff=0.75)
    hint = f'; did you mean "{by_lower[close[0]]}"?' if close else '; take an IANA name such as "Asia/Tokyo" or "UTC"'
    return (f'time zone: "{timezone}" is not known{hint}',)


def validate(cron: str, timezone: str) -> list[str]:
    """All that is wrong with a schedule, each in one line for people; empty where it can be used."""
    errors = _cron_errors(cron)
    if not errors and next(_times(expand(cron), ZoneInfo("UTC"), _EARLY), None) is None:
        errors.append(f'"{cron.strip()}" never comes: no such month has that day')
    return [*errors, *_zone_errors(timezone)]


# -- points in time ------------------------------------------------------------------------------------------


def _times(fields: str, zone: ZoneInfo, after: datetime) -> Iterator[datetime]:
    """All times after *after*, ascending, in UTC. Endless, or empty where the expression never comes."""
    last = after.astimezone(UTC)
    try:
        simulated = CronSim(fields, last.astimezone(zone))
    except CronSimError:
        return
    for local in simulated:
        moment = local.astimezone(UTC)
        # Two local times in a jump of the clock become one moment; and cronsim starts the second of two equal hours
        # with times of the first.
        if moment > last:
            last = moment
            yield moment


def _usable(cron: str, timezone: str) -> tuple[str, ZoneInfo]:
    if errors := validate(cron, timezone):
        raise ScheduleError("; ".join(errors))
    return expand(cron), ZoneInfo(timezone)


@lru_cache(maxsize=64)
def _checked(cron: str, timezone: str) -> tuple[str, ZoneInfo]:
    """As `_usable`, without reading the list of all zones: the keeper decides each minute on what was validated."""
    try:
        zone = ZoneInfo(timezone)
    except (KeyError, ValueError, OSError):
        raise ScheduleError("; ".join(_zone_errors(timezone))) from None
    if errors := _cron_errors(cron):
        raise ScheduleError("; ".join(errors))
    return expand(cron), zone


def next_runs(cron: str, timezone: str, after: datetime, count: int = 5) -> list[datetime]:
    """The next *count* times after *after* (aware), in UTC. ScheduleError where the schedule cannot be used."""
    fields, zone = _usable(cron, timezone)
    times = _times(fields, zone, after)
    return [moment for moment, _ in zip(times, range(count), strict=False)]


def describe(cron: str, timezone: str) -> str:
    """The schedule in words: `at 02:30 every day, Asia/Tokyo`. ScheduleError where it cannot be used."""
    fields, zone = _usable(cron, timezone)
    text = CronSim(fields, _EARLY).explain()
    return f"{text[0].lower()}{text[1:]}, {zone.key}"


# -- decisions -----------------------------------------------------------------------------------------------


def _newest(fields: str, zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """The newest time in (after, until]: looked for in ever longer stretches before *until*."""
    stretch = timedelta(hours=1)
    while True:
        begin = max(after, until - stretch)
        newest = None
        for moment in _times(fields, zone, begin):
            if moment > until:
                break
            newest = moment
        if newest is not None or begin == after:
            return newest
        stretch *= 8


def _before(fields: str, zone: ZoneInfo, after: datetime, end: datetime) -> tuple[Missed, ...]:
    """The times in (after, end) as missed ones: singly where they are few, else as one."""
    moments: list[datetime] = []
    for moment in _times(fields, zone, after):
        if moment >= end:
            break
        if len(moments) == MISSED_COUNTED:
            last = _newest(fields, zone, moment, end - timedelta(seconds=1)) or moment
            return (Missed(moments[0], last, MISSED_COUNTED, more=True),)
        moments.append(moment)
    if len(moments) <= MISSED_ROWS:
        return tuple(Missed(moment, moment, 1) for moment in moments)
    return (Missed(moments[0], moments[-1], len(moments)),)


def decide(schedule: ScheduleLike, last_considered: datetime, now: datetime, running: bool) -> Decision:
    """What is due now, and what becomes of every time in (last_considered, now].

    The newest is started: on time, or as the one run that catches up (rule run-once, not older than catch_up_s). While
    a run is going it is skipped instead, so two never overlap. All older ones are missed: nobody was there to decide
    when they came. *running* is whether a run is going now. ScheduleError where the schedule cannot be used.
    """
    fields, zone = _checked(schedule.cron, schedule.timezone)
    now = now.astimezone(UTC)
    considered = last_considered.astimezone(UTC)
    if considered > now:
        # The clock went back. A little: wait, so that no time runs twice. Far: the clock was wrong before.
        kept = considered if considered - now <= CLOCK_SET_BACK else now
        return Decision(kept, next(_times(fields, zone, kept), None))
    following = next(_times(fields, zone, now), None)
    newest = _newest(fields, zone, considered, now)
    if newest is None:
        return Decision(considered, following)
    older = _before(fields, zone, considered, newest)
    if running:
        return Decision(now, following, skipped=(newest,), missed=older)
    age = now - newest
    if age <= LATE:
        return Decision(now, following, start=newest, missed=older)
    if schedule.missed == "run-once" and age <= timedelta(seconds=schedule.catch_up_s):
        return Decision(now, following, start=newest, trigger="catch-up", missed=older)
    return Decision(now, following, missed=_joined(older, newest))


def _joined(older: tuple[Missed, ...], newest: datetime) -> tuple[Missed, ...]:
    if len(older) == 1 and older[0].count > 1:
        return (Missed(older[0].first, newest, older[0].count + 1, older[0].more),)
    rows = (*older, Missed(newest, newest, 1))
    return rows if len(rows) <= MISSED_ROWS else (Missed(rows[0].first, newest, len(rows)),)
