"""From the command to a page, on a state folder that has been started before; everything was stopped in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.bench.contest import Contender, Turn, contest
from tests.bench.lab import OURS, STOCK, Lab
from tests.bench.stock import StockHub
from tests.bench.table import Measure, Section
from tests.embedded.harness import Hub

NAME = "start"
TITLE = "Second start"
MEASURES = (
    Measure("page", "command → first 200 of /hub/login", "s"),
    Measure("ready", "command → it says that it is ready", "s"),
)
_EVERY_S = 0.01


def run(lab: Lab) -> Section:
    """Ours beside stock, one at a time."""
    contenders = (Contender(OURS, lambda: _ours(lab), ours=True), Contender(STOCK, lambda: _stock(lab)))
    notes = (
        f"{OURS}: `tenanthub run`, which starts object store, proxy, portal, hub and culler; ready means that the "
        "sign-in page and the portal answer through the proxy.",
        f"{STOCK}: `jupyterhub` with its own proxy and an account on its database; ready is its own log line.",
    )
    return Section(NAME, TITLE, contest(NAME, MEASURES, contenders, lab.options.rounds), notes)


@contextmanager
def _ours(lab: Lab) -> Iterator[Turn]:
    hub = lab.new_hub("start-ours")

    def stop() -> None:
        hub.cli("stop")
        if hub.process is not None:
            hub.process.wait(60)

    def turn(_: int) -> dict[str, float]:
        try:
            return _start(hub)
        finally:
            stop()

    hub.start()
    stop()
    yield turn


@contextmanager
def _stock(lab: Lab) -> Iterator[Turn]:
    hub = lab.new_stock("start-stock")

    def turn(_: int) -> dict[str, float]:
        try:
            return _start(hub)
        finally:
            hub.stop()

    hub.start().token()
    hub.stop()
    yield turn


def _start(hub: Hub | StockHub) -> dict[str, float]:
    """Start it and watch its page meanwhile."""
    page = _Page(f"{hub.url}/hub/login")
    began = time.perf_counter()
    page.watch()
    try:
        hub.start()
        ready = time.perf_counter() - began
    except BaseException:
        page.given_up.set()
        raise
    return {"page": page.answered() - began, "ready": ready}


class _Page:
    """Asks for a page until it answers 200."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._at = 0.0
        self.given_up = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def watch(self) -> None:
        """Begin."""
        self._thread.start()

    def answered(self) -> float:
        """When (time.perf_counter) it answered. AssertionError where it does not within a minute."""
        self._thread.join(60)
        self.given_up.set()
        assert self._at, f"{self._url} did not answer 200"
        return self._at

    def _ask(self) -> None:
        with httpx.Client(timeout=5, trust_env=False) as client:
            while not self.given_up.wait(_EVERY_S):
                try:
                    if client.get(self._url).status_code == 200:
                        self._at = time.perf_counter()
                        return
                except httpx.HTTPError:
                    continue  # nothing listens yet
