"""Which URL patterns are safe to try on every link of a stranger's site."""

from __future__ import annotations

import re
from collections.abc import Iterable
from re import _constants, _parser  # type: ignore[attr-defined]  # the parsed form has no public name before 3.14
from typing import Any

LONGEST_PATTERN = 200  # characters
LONGEST_URL = 2083  # characters; longer addresses are not followed (the limit Scrapy and old browsers share)
MOST_OPEN_REPEATS = 3
LONGEST_CLOSED_REPEAT = 16  # {0,16}: more than that counts as open

_REPEATS = (_constants.MAX_REPEAT, _constants.MIN_REPEAT)


def check_pattern(pattern: str) -> str:
    """*pattern* itself, or ValueError if it is no regular expression or one that may take for ever.

    Python's engine backtracks: a choice (`|`, `?`, `*`, `+`, `{1,5}`) inside a repeat takes exponential time on an
    address made for it, so that is refused, and so are back-references. What is left is at worst a polynomial of a
    small degree over an address of at most LONGEST_URL characters.
    """
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"the pattern has {len(pattern)} characters; at most {LONGEST_PATTERN} are allowed")
    try:
        re.compile(pattern)
        parsed = _parser.parse(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"“{pattern}” is not a regular expression: {error}") from error
    repeats = _open_repeats(parsed, repeated=False, pattern=pattern)
    if repeats > MOST_OPEN_REPEATS:
        raise ValueError(
            f"“{pattern}” has {repeats} open repeats (* + {{n,}}); at most {MOST_OPEN_REPEATS} are allowed"
        )
    return pattern


def _open_repeats(parsed: Iterable[tuple[Any, Any]], repeated: bool, pattern: str) -> int:
    """How many open repeats there are; ValueError for a choice inside a repeat, or for a back-reference."""
    count = 0
    for operator, argument in parsed:
        repeats = operator in _REPEATS
        if repeated and (operator is _constants.BRANCH or (repeats and argument[0] != argument[1])):
            raise ValueError(f"“{pattern}” has a choice or a repeat inside a repeat, which can take for ever")
        if operator in (_constants.GROUPREF, _constants.GROUPREF_EXISTS):
            raise ValueError(f"“{pattern}” refers back to a group, which is not allowed here")
        count += repeats and argument[1] > LONGEST_CLOSED_REPEAT
        inner = repeated or (repeats and argument[1] > 1)  # “?” repeats nothing
        count += sum(_open_repeats(part, inner, pattern) for part in _parts(argument))
    return count


def _parts(argument: Any) -> list[Any]:
    """The sub-patterns in the argument of one parsed operator."""
    if isinstance(argument, _parser.SubPattern):
        return [argument]
    if isinstance(argument, tuple | list):
        return [part for item in argument for part in _parts(item)]
    return []
