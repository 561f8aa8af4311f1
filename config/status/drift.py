"""Which fields of a live object are not as declared: the same that `tenanthub plan` would show, as paths."""

from __future__ import annotations

from config.emit.common import Manifest
from config.plan.compare import differences, overlaid, path_text, unchanged, visible


def suspect(wanted: Manifest, live: Manifest) -> bool:
    """Whether *live* may not be as declared, so that it is worth asking the API server."""
    return not unchanged(wanted, live)


def differing(wanted: Manifest, live: Manifest, after: Manifest | None) -> tuple[str, ...]:
    """The paths of the fields that differ.

    *after*: what the API server says that *live* would become (it knows every default); without it, a good guess.
    """
    if unchanged(wanted, live):
        return ()
    then = overlaid(wanted, live) if after is None else visible(after)
    return tuple(path_text(steps) for steps, _, _ in differences(visible(live), then))
