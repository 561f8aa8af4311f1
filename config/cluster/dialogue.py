"""What plan and apply say to the operator, and what they ask."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from config.cluster.client import Cluster
from config.cluster.running import Running, running
from config.plan.model import Plan, Removal
from config.plan.text import Paint, count, plan_text
from config.terminal import coloured

_EACH = 100
"""Up to so many steps each gets a line where the output is no terminal; beyond, every hundredth."""


@dataclass(frozen=True)
class Loss:
    """A tenant that goes, and what runs there now."""

    removal: Removal
    running: tuple[Running, ...]

    def data(self) -> dict[str, Any]:
        """For `-o json`."""
        return {
            "tenant": self.removal.tenant,
            "namespace": self.removal.namespace,
            "kept": self.removal.kept,
            "running": {one.what: list(one.names) for one in self.running},
        }


@dataclass(frozen=True)
class Consent:
    """What the operator has agreed to on the command line."""

    yes: bool = False
    remove: frozenset[str] = frozenset()
    """Tenants that may go."""
    force_conflicts: bool = False


def losses(cluster: Cluster, plan: Plan) -> tuple[Loss, ...]:
    """What runs with each tenant that would go. ClusterError."""
    return tuple(Loss(removal, running(cluster, removal.namespace)) for removal in plan.removals)


def show(plan: Plan, lost: Sequence[Loss]) -> None:
    """The plan on stdout, and what runs with tenants that go; what forbids it on stderr."""
    if plan.problems and not plan.changes:
        complain(plan.problems)
        return
    paint = Paint(coloured(sys.stdout))
    print(plan_text(plan, paint))
    for loss in lost:
        removal = loss.removal
        print()
        ends = (
            f"tenant {removal.tenant} is left behind: {removal.namespace} stays with what runs in it and with its "
            "quota and walls; its members lose their rights, its addresses and workers are free for others"
            if removal.kept
            else f"tenant {removal.tenant} is removed: {removal.namespace} goes with everything in it"
        )
        print(paint(ends, "1;31"))
        for one in loss.running:
            print(f"  {one}")
        if not loss.running:
            print("  nothing runs there")
    sys.stdout.flush()
    complain(plan.problems)


def complain(lines: Iterable[str]) -> None:
    """On stderr, one line each, after a counter that may stand there."""
    for line in lines:
        print(f"tenanthub: {line}", file=sys.stderr)
    sys.stderr.flush()


def once() -> Callable[[str], None]:
    """Says what it is told on stderr, but not the same again and again."""
    last = [""]

    def told(line: str) -> None:
        if line != last[0]:
            complain([line])
        last[0] = line

    return told


def refusal(plan: Plan, consent: Consent) -> list[str]:
    """What the operator has not allowed yet; nothing where all is allowed, or where asking can still settle it."""
    found = []
    if plan.conflicts and not consent.force_conflicts:
        fields = count(len(plan.conflicts), "field")
        found.append(f"{fields} held by others (named above); --force-conflicts takes them, or let them be declared so")
    unnamed = [removal.tenant for removal in plan.removals if removal.tenant not in consent.remove]
    if consent.yes and unnamed:
        found += [
            f"tenant {name} would be removed: --yes does not cover that, --remove-tenant {name} does"
            for name in unnamed
        ]
    if not consent.yes and not sys.stdin.isatty():
        found.append("there is no terminal to ask on; give --yes")
    return found


def agreed(plan: Plan, consent: Consent, ask: Callable[[str], str] = input) -> bool:
    """Ask for the plan, and for each tenant that goes and was not named on the command line."""
    if consent.yes:
        return True
    if _said(ask, "Apply this? [y/N] ").lower() not in ("y", "yes"):
        return False
    for removal in plan.removals:
        if removal.tenant not in consent.remove:
            question = f"Type {removal.tenant} to remove this tenant: "
            if _said(ask, question) != removal.tenant:
                return False
    return True


def _said(ask: Callable[[str], str], question: str) -> str:
    try:
        return ask(question).strip()
    except EOFError:
        print()
        return ""


def counter(what: str) -> Callable[[int, int], None]:
    """Progress of something that changes nothing: a line that is written over, on a terminal only."""

    def told(done: int, every: int) -> None:
        if sys.stderr.isatty() and (done % 20 == 0 or done == every):
            _over(f"{what}: {done:,} of {every:,}", last=done == every, clear=True)

    return told


def progress() -> Callable[[int, int, str], None]:
    """Progress of an apply on stderr: a line written over on a terminal, lines elsewhere."""
    terminal, waited = sys.stderr.isatty(), [""]

    def told(done: int, every: int, what: str) -> None:
        line = f"[{done}/{every}] {what}"
        if terminal:
            _over(line, last=done == every, clear=False)
        elif what.partition(",")[0] != waited[0] and (every <= _EACH or done % _EACH == 0 or done == every):
            waited[0] = what.partition(",")[0]
            print(line, file=sys.stderr, flush=True)

    return told


def _over(line: str, *, last: bool, clear: bool) -> None:
    width = _width()
    shown = line if len(line) < width else line[: width - 2] + "…"
    sys.stderr.write(f"\r\x1b[2K{'' if last and clear else shown}{chr(10) if last and not clear else ''}")
    sys.stderr.flush()


def _width() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns
    except OSError:
        return 80
