"""A notebook by REST: asked for, ready, answering, stopped. Both hubs are up, and start the same JupyterLab."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.bench.contest import Contender, Turn, contest
from tests.bench.lab import OURS, STOCK, Lab
from tests.bench.rest import Rest
from tests.bench.table import Measure, Section

NAME = "launch"
TITLE = "Launch of a notebook"
MEASURES = (
    Measure("ready", "POST → the hub says ready", "s"),
    Measure("answers", "POST → first 200 of its /api/status", "s"),
    Measure("stopped", "DELETE → the hub has it no more", "s"),
)
USER = "physics-member"
NOTEBOOK: Mapping[str, Any] = {"tenant": "physics", "profile": "notebook", "options": {}}
_SERVER = "notebook"


def run(lab: Lab) -> Section:
    """Ours beside stock, in turns."""
    contenders = (
        Contender(OURS, lambda: _ours(lab), ours=True),
        Contender(f"{STOCK}, LocalProcessSpawner", lambda: _stock(lab)),
    )
    notes = (
        "The same named server is started again and again, after one launch that is not counted; both from the same "
        "environment, with the same client and the same criteria.",
        "Stock JupyterHub's LocalProcessSpawner starts it as the system account that runs the benchmark.",
    )
    return Section(NAME, TITLE, contest(NAME, MEASURES, contenders, lab.options.rounds), notes)


@contextmanager
def _ours(lab: Lab) -> Iterator[Turn]:
    hub = lab.hub()
    with _turns(Rest(hub.url, USER, hub.token(USER)), NOTEBOOK) as turn:
        yield turn


@contextmanager
def _stock(lab: Lab) -> Iterator[Turn]:
    hub = lab.stock()
    with _turns(Rest(hub.url, hub.user, hub.token()), {}) as turn:
        yield turn


@contextmanager
def _turns(rest: Rest, user_options: Mapping[str, Any]) -> Iterator[Turn]:
    def turn(_: int) -> dict[str, float]:
        began = time.perf_counter()
        rest.start(rest.user, _SERVER, user_options)
        rest.until_ready(rest.user, _SERVER)
        ready = time.perf_counter() - began
        rest.until_answers(rest.user, _SERVER)
        answers = time.perf_counter() - began
        return {"ready": ready, "answers": answers, "stopped": rest.stop(rest.user, _SERVER)}

    try:
        turn(0)  # the first launch makes folders and fills caches
        yield turn
    finally:
        rest.close()
