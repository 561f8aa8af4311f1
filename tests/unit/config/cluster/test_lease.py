"""Who may apply: one at a time, and nobody for ever."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, cast

import pytest

from config.cluster import lease as lease_module
from config.cluster.client import ApiError, Cluster
from config.cluster.lease import Busy, Lease


class Store:
    """The part of an API server that leases need: versions, and a refusal of what is out of date."""

    def __init__(self) -> None:
        self.found: dict[str, Any] | None = None
        self.version = 0

    def get(self, _path: str) -> dict[str, Any] | None:
        return self.found

    def request(self, method: str, _path: str, *, body: dict[str, Any]) -> dict[str, Any]:
        there = (self.found or {}).get("metadata", {}).get("resourceVersion")
        if body["metadata"].get("resourceVersion") != there:
            raise ApiError(409, {"reason": "Conflict"}, method)
        self.version += 1
        self.found = {**body, "metadata": {**body["metadata"], "resourceVersion": str(self.version)}}
        return self.found

    @property
    def holder(self) -> str:
        return str((self.found or {})["spec"]["holderIdentity"])

    def held_by(self, holder: str) -> None:
        self.version += 1
        spec = {"holderIdentity": holder, "renewTime": str(self.version), "acquireTime": "12:00"}
        self.found = {"metadata": {"name": "x", "resourceVersion": str(self.version)}, "spec": spec}


def lease(store: Store) -> Lease:
    found = Lease(cast("Cluster", store), "example.org")
    found.look()
    return found


def nothing(_said: str) -> None:
    """Somebody else's ears."""


def test_a_free_lease_is_taken_at_once_and_given_back() -> None:
    store = Store()
    for _ in range(2):  # the first makes it, the second finds it
        with lease(store) as mine:
            assert mine.take(0, nothing) is True
            assert mine.held()
            assert "@" in store.holder
        assert store.holder == ""
        assert not mine.held()


def test_whoever_applied_since_we_looked_makes_our_plan_old() -> None:
    store = Store()
    first, second = lease(store), lease(store)
    with first:
        assert first.take(0, nothing)
    with second:
        assert second.take(0, nothing) is False


def test_a_holder_that_lives_is_waited_for_in_words() -> None:
    store, said = Store(), list[str]()
    store.held_by("ada@elsewhere 12 34 boot.1")
    with pytest.raises(Busy, match="another apply is running: ada@elsewhere process 12"), lease(store) as mine:
        mine.take(0.2, said.append)
    assert said[0] == "waiting for another apply: ada@elsewhere process 12, since 12:00"
    assert store.holder == "ada@elsewhere 12 34 boot.1"  # and not given back by us


def test_a_holder_that_was_killed_here_is_replaced_at_once() -> None:
    code = "from config.cluster.lease import _identity; print(_identity())"
    died = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    store = Store()
    store.held_by(died)
    with lease(store) as mine:
        assert mine.take(0, nothing) is False  # it may have written after we read
        assert store.holder != died


def test_a_holder_elsewhere_that_is_silent_is_replaced_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "DURATION", 0.3)
    store = Store()
    store.held_by("ada@elsewhere 12 34 boot.1")
    with lease(store) as mine:
        assert mine.take(60, nothing) is False


def test_a_lease_that_somebody_took_is_ours_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease_module, "_RENEW", 0.02)
    store = Store()
    with lease(store) as mine:
        assert mine.take(0, nothing)
        store.held_by("eve@elsewhere 1 2 boot.3")
        assert mine._renewer is not None
        mine._renewer.join(30)  # it ends by itself once it has seen that
        assert not mine.held()
    assert store.holder == "eve@elsewhere 1 2 boot.3"
