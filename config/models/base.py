"""What every declared model shares."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints

Name = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z](-?[a-z0-9])*$", min_length=1, max_length=30),
]
"""A name that is a DNS label (RFC 1123) and a JupyterHub 6 server name alike: 1-30 of a-z, 0-9, single hyphens, first a letter."""

Account = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._@+-]*$", min_length=1, max_length=100)]
"""A person's account name, as JupyterHub normalises it (lower case)."""


class Declared(BaseModel):
    """Base of everything read from files: frozen, and a field nobody knows is an error, never skipped."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
