"""What stops a build, in one line for the person at the terminal."""

from __future__ import annotations


class BuildError(Exception):
    """The text is one line, and says what to do where we know it."""
