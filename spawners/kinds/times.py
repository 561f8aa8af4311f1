"""What kinds that run at times share: a cron expression and its zone, as options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from spawners.plan import Schedule
from spawners.schedule import validate


def _cron(cron: str) -> str:
    return _checked(cron, validate(cron, "UTC"))


def _zone(timezone: str) -> str:
    return _checked(timezone, validate("0 0 * * *", timezone))


def _checked(value: str, wrong: list[str]) -> str:
    if wrong:
        raise ValueError("; ".join(wrong))
    return value


Cron = Annotated[str, Field(max_length=100), AfterValidator(_cron)]
TimeZone = Annotated[str, Field(max_length=60), AfterValidator(_zone)]


def schedule_of(options: Mapping[str, Any]) -> Schedule:
    """The schedule in the options cron, timezone, missed and catch_up_h."""
    return Schedule(
        cron=options["cron"],
        timezone=options["timezone"],
        missed=options["missed"],
        catch_up_s=options["catch_up_h"] * 3600,
    )
