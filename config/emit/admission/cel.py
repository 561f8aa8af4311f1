"""Pieces of CEL (https://kubernetes.io/docs/reference/using-api/cel/) that several rules share.

Only what Kubernetes 1.30 compiles: no two-variable comprehensions, no named formats.
"""

from __future__ import annotations

from collections.abc import Iterable


def text(value: str) -> str:
    """A string literal."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def texts(values: Iterable[str]) -> str:
    """A list of string literals."""
    return f"[{', '.join(map(text, values))}]"


def annotation(key: str, of: str = "namespaceObject") -> str:
    """The value of an annotation, "" where it is missing."""
    return f"{of}.metadata.?annotations[?{text(key)}].orValue('')"


def words(value: str, separator: str = " ") -> str:
    """The parts of a string, without the blanks around them and without empty ones."""
    return f"{value}.split({text(separator)}).map(word, word.trim()).filter(word, word != '')"
