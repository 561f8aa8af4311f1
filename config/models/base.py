"""What every declared model shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

PATTERN_WORDS: dict[str, str] = {}
"""What each pattern asks for, in words: an error that shows a regular expression helps nobody."""


def pattern(
    expression: str, words: str, min_length: int | None = None, max_length: int | None = None
) -> StringConstraints:
    """Text that matches *expression*; errors say "write *words*". Lengths in characters."""
    PATTERN_WORDS[expression] = words
    return StringConstraints(pattern=expression, min_length=min_length, max_length=max_length)


Name = Annotated[
    str,
    pattern(
        r"^[a-z](-?[a-z0-9])*$",
        "lower-case letters, digits and single hyphens, first a letter, e.g. lab-a",
        min_length=1,
        max_length=30,
    ),
]
"""A DNS label (RFC 1123) and a JupyterHub 6 server name alike: 1-30 of a-z, 0-9, single hyphens, first a letter."""

Account = Annotated[
    str,
    pattern(
        r"^[a-z0-9][a-z0-9._@+-]*$",
        "an account name in lower case (letters, digits and . _ @ + -), e.g. jane.doe",
        min_length=1,
        max_length=100,
    ),
    Field(examples=["jane.doe"]),
]
"""A person's account name, as JupyterHub normalises it (lower case)."""


class Declared(BaseModel):
    """Base of everything read from files: frozen, and a field nobody knows is an error, never skipped."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
