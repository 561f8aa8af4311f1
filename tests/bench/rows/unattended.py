"""An unattended workload by REST: an instrument upload asked for, serving, stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.bench.contest import Contender, Turn, contest
from tests.bench.lab import OURS, Lab
from tests.bench.rest import Rest
from tests.bench.table import Measure, Section

NAME = "unattended"
TITLE = "Launch of an unattended workload"
MEASURES = (
    Measure("ready", "POST of an instrument upload → the hub says ready", "s"),
    Measure("stopped", "DELETE → the hub has it no more", "s"),
)
_ADMIN, _OWNER, _SERVER = "physics-admin", "tenant-physics", "bench"
_UPLOAD = {"tenant": "physics", "profile": "instrument-upload", "options": {"remote": "data"}}


def run(lab: Lab) -> Section:
    """Ours only: stock JupyterHub has no such thing."""
    contenders = (Contender(OURS, lambda: _ours(lab), ours=True),)
    notes = ("Ready means that the collector serves at the tenant's address. There is no peer.",)
    return Section(NAME, TITLE, contest(NAME, MEASURES, contenders, lab.options.rounds), notes)


@contextmanager
def _ours(lab: Lab) -> Iterator[Turn]:
    hub = lab.hub()
    rest = Rest(hub.url, _ADMIN, hub.token(_ADMIN))

    def turn(_: int) -> dict[str, float]:
        began = time.perf_counter()
        rest.start(_OWNER, _SERVER, _UPLOAD)
        rest.until_ready(_OWNER, _SERVER)
        ready = time.perf_counter() - began
        return {"ready": ready, "stopped": rest.stop(_OWNER, _SERVER)}

    try:
        turn(0)  # the first launch makes folders and an address
        yield turn
    finally:
        rest.close()
