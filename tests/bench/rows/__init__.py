"""The rows of the benchmark. A further one is a file here and an entry in ROWS."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.lab import Lab
from tests.bench.rows import (
    cluster,
    collector,
    compile,
    home,
    kubelaunch,
    kuberestart,
    kubetenants,
    launch,
    start,
    unattended,
    world,
)
from tests.bench.table import Section


@dataclass(frozen=True)
class Row:
    """*run* measures; the module's own text says what."""

    name: str
    title: str
    run: Callable[[Lab], Section]


# Those without an embedded hub first: the hubs stay up once they are started.
_MODULES = (
    collector,
    world,
    compile,
    cluster,
    kubelaunch,
    kubetenants,
    kuberestart,
    start,
    launch,
    unattended,
    home,
)
ROWS = tuple(Row(module.NAME, module.TITLE, module.run) for module in _MODULES)
