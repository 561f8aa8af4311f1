"""Limits of the machine that many kubelets run into; raised while beds are there, put back when the last one goes.

A node has ten open inotify instances, a control plane nine, and Debian grants each user 128 of them: without
more, the kubelets of a third bed end with "too many open files".
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.cluster.bed.names import RUN

WANTED: Mapping[str, int] = {"fs/inotify/max_user_instances": 2048}
SYSTEM = Path("/proc/sys")


def lift(system: Path = SYSTEM, kept: Path = RUN) -> None:
    """Raise what is lower than wanted; the caller holds the lock of the slots.

    What it was is written down first, so that a kill in between loses nothing.
    """
    for name, wanted in WANTED.items():
        now = int((system / name).read_text(encoding="ascii"))
        if now < wanted:
            record = _record(kept, name)
            record.with_suffix(".new").write_text(str(now), encoding="ascii")
            record.with_suffix(".new").rename(record)
            (system / name).write_text(str(wanted), encoding="ascii")


def put_back(system: Path = SYSTEM, kept: Path = RUN) -> None:
    """Set again what `lift` has changed, but for what somebody else has set meanwhile; under the same lock."""
    for name, wanted in WANTED.items():
        record = _record(kept, name)
        record.with_suffix(".new").unlink(missing_ok=True)
        if record.exists():
            if int((system / name).read_text(encoding="ascii")) == wanted:
                (system / name).write_text(record.read_text(encoding="ascii"), encoding="ascii")
            record.unlink()


def _record(kept: Path, name: str) -> Path:
    return kept / f".was-{name.replace('/', '-')}"
