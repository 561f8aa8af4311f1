"""The home page of somebody who is signed in: ours is the portal's, the peer's is JupyterHub's own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from tests.bench.contest import CannotRun, Contender, Turn, contest
from tests.bench.lab import OURS, STOCK, Lab
from tests.bench.rest import signed_in
from tests.bench.table import Measure, Section

NAME = "home"
TITLE = "Home page"
MEASURES = (Measure("page", "GET of the home page", "ms"),)
REQUESTS_A_ROUND = 10
_USER = "physics-member"


def run(lab: Lab) -> Section:
    """Ours beside stock, request by request."""
    contenders = (Contender(OURS, lambda: _ours(lab), ours=True), Contender(STOCK, lambda: _stock(lab)))
    requests = lab.options.rounds * REQUESTS_A_ROUND
    notes = (
        f"{OURS}: /services/portal/ of {_USER}, with the cards and workloads of its tenant. {STOCK}: /hub/home with "
        "its list of named servers. One connection that stays open, after one request that is not counted.",
    )
    return Section(NAME, TITLE, contest(NAME, MEASURES, contenders, requests, quiet=True), notes)


@contextmanager
def _ours(lab: Lab) -> Iterator[Turn]:
    hub = lab.hub()
    with signed_in(hub.url, _USER, hub.account_password(_USER)) as client:
        yield _turn(client, "/services/portal/", "Physics")


@contextmanager
def _stock(lab: Lab) -> Iterator[Turn]:
    hub = lab.stock()
    with signed_in(hub.url, hub.user, "any: its DummyAuthenticator asks for none") as client:
        yield _turn(client, "/hub/home", "Add New Server")


def _turn(client: httpx.Client, path: str, shows: str) -> Turn:
    """GET *path*; CannotRun where it is no page that *shows* this text."""

    def turn(_: int) -> dict[str, float]:
        began = time.perf_counter()
        answer = client.get(path)
        took = time.perf_counter() - began
        if answer.status_code != 200 or answer.url.path != path or shows not in answer.text:
            raise CannotRun(f"{path} was answered {answer.status_code} at {answer.url.path}")
        return {"page": took * 1000}

    turn(0)
    return turn
