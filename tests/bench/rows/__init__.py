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


# Those without a hub first: the hubs stay up once they are started.
ROWS = tuple(
    Row(module.NAME, module.TITLE, module.run)
    for module in (collector, world, compile, cluster, kubelaunch, kubetenants, start, launch, unattended, home)
)
