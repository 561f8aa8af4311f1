"""What is wrong with a declared world: one Problem a mistake, all of them in one WorldError."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One mistake, where it stands, and what would be right."""

    file: str
    """Relative to the world's folder with forward slashes, or the folder itself."""
    line: int
    """From 1; 0 where no line is meant (a file that cannot be read)."""
    field: str
    """Such as `networks[0].loadbalancer`; empty where the whole file is meant."""
    message: str
    """What is wrong, without a full stop."""
    fix: str
    """What would be right, as an instruction; may be empty."""

    def __str__(self) -> str:
        """One line: "tenants/physics.yaml:12: networks[0].vlan: what is wrong; what to write"."""
        place = f"{self.file}:{self.line}" if self.line else self.file
        said = f"{self.message}; {self.fix}" if self.fix else self.message
        # A name that somebody typed may hold a line break; a problem is one line all the same.
        return " ".join(": ".join(part for part in (place, self.field, said) if part).split())


class WorldError(Exception):
    """A world that cannot be used; `problems` holds every reason, by file and line."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = in_order(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """The problems by file and line, each once."""
    return tuple(sorted(set(problems), key=lambda one: (one.file, one.line, one.field, one.message)))
