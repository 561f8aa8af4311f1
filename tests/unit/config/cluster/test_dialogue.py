"""What is asked, and what is refused without asking."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from config.cluster.dialogue import Consent, agreed, coloured, refusal
from config.plan.model import Conflict, Plan, Removal, change_of
from tests.unit.config.plan.objects import thing

CHANGE = change_of("create", thing("v1", "Namespace", "tenant-a"), None, "a")
REMOVAL = Removal("physics", "tenant-physics", False)


def answers(*said: str) -> Callable[[str], str]:
    left = list(said)
    return lambda _question: left.pop(0)


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal())


@pytest.mark.parametrize(("said", "done"), [("y", True), ("YES", True), ("", False), ("n", False), ("physics", False)])
def test_a_plan_is_asked_for_once(said: str, done: bool) -> None:
    assert agreed(Plan((CHANGE,)), Consent(), answers(said)) is done


@pytest.mark.parametrize(
    ("said", "done"), [(("y", "physics"), True), (("y", "y"), False), (("y", ""), False), (("n", "physics"), False)]
)
def test_a_removal_is_asked_for_twice(said: tuple[str, ...], done: bool) -> None:
    assert agreed(Plan((CHANGE,), (REMOVAL,)), Consent(), answers(*said)) is done


def test_a_removal_named_on_the_command_line_is_asked_for_once() -> None:
    assert agreed(Plan((CHANGE,), (REMOVAL,)), Consent(remove=frozenset({"physics"})), answers("y"))


def test_end_of_input_is_no() -> None:
    def ask(_question: str) -> str:
        raise EOFError

    assert not agreed(Plan((CHANGE,)), Consent(), ask)


def test_yes_does_not_cover_a_removal() -> None:
    plan = Plan((CHANGE,), (REMOVAL,))
    (said,) = refusal(plan, Consent(yes=True))
    assert "--remove-tenant physics" in said
    assert refusal(plan, Consent(yes=True, remove=frozenset({"physics"}))) == []
    assert refusal(plan, Consent(yes=True, remove=frozenset({"history"}))) == [said]


@pytest.mark.usefixtures("terminal")
def test_conflicts_are_refused() -> None:
    held = Plan((change_of("change", CHANGE.desired, None, "a", conflicts=(Conflict("spec.x", "helm"),)),))
    assert "--force-conflicts" in refusal(held, Consent())[0]
    assert refusal(held, Consent(force_conflicts=True)) == []


def test_without_a_terminal_nobody_can_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert refusal(Plan((CHANGE,)), Consent()) == ["there is no terminal to ask on; give --yes"]


def test_colours_only_on_a_terminal_that_wants_them(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert coloured(sys.stdin)
    assert not coloured(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not coloured(sys.stdin)
