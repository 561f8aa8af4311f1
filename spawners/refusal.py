"""Why a launch is refused, in words for people; every violation at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong: the form field (dotted for parts of one; "" for the whole) and what would be right."""

    field: str
    message: str


class Refusal(Exception):
    """A launch that must not happen. *reason* is a short label for metrics: access, options, quota, world, place."""

    def __init__(self, reason: str, violations: Iterable[Violation]) -> None:
        self.reason = reason
        self.violations = tuple(violations)
        super().__init__(str(self))

    @classmethod
    def of(cls, reason: str, message: str, field: str = "") -> Refusal:
        """A refusal with one violation."""
        return cls(reason, [Violation(field, message)])

    def __str__(self) -> str:
        """One line: `field: message; field: message`."""
        return "; ".join(f"{v.field}: {v.message}" if v.field else v.message for v in self.violations)
