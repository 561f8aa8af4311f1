"""How a line looks: symbols that always stand with a word, colours only where a terminal wants them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

from config.status.model import Level, State

WIDTH = 100
"""Columns; what an operator's window holds, and a ticket."""
_COLOURS = {"good": "32", "wrong": "33", "alarm": "1;31", "note": "2", "head": "1"}


@dataclass(frozen=True)
class Paint:
    """*colour*: ANSI sequences; *plain*: ASCII symbols, for a terminal that cannot show others."""

    colour: bool = False
    plain: bool = False

    def paint(self, style: str, text: str) -> str:
        """*text* in the colour of *style*, where colours are on."""
        return f"\x1b[{_COLOURS[style]}m{text}\x1b[0m" if self.colour and style in _COLOURS else text

    def mark(self, good: bool) -> str:
        """The symbol of a state that is as declared, or is not."""
        if good:
            return self.paint("good", "+" if self.plain else "✓")
        return self.paint("wrong", "x" if self.plain else "✗")

    def state(self, state: State) -> str:
        """The symbol of a wall."""
        return {State.UP: self.mark(True), State.DOWN: self.level(Level.ALARM)}.get(state, self.level(Level.NOTE))

    def level(self, level: Level) -> str:
        """The symbol of a finding."""
        if level is Level.WRONG:
            return self.mark(False)
        if level is Level.ALARM:
            return self.paint("alarm", "!!" if self.plain else "‼")
        return self.paint("note", "-" if self.plain else "·")

    def finding(self, level: Level, text: str, indent: str = "  ") -> list[str]:
        """A finding, wrapped: the word says what the symbol means."""
        word = {Level.ALARM: "ALARM", Level.WRONG: "wrong", Level.NOTE: "note"}[level]
        hang = indent + " " * 9
        lines = wrap(text, hang, WIDTH)
        lines[0] = f"{indent}{self.level(level)} {self.paint(level, f'{word:<5}')}  {lines[0].lstrip()}"
        return lines


def wrap(text: str, indent: str, width: int = WIDTH) -> list[str]:
    """*text* in lines of at most *width*, each after *indent*; names are not broken at their hyphens."""
    found = textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False)
    return found or [indent]


def cut(text: str, width: int) -> str:
    """*text* in at most *width* columns."""
    return text if len(text) <= width else text[: width - 1] + "…"
