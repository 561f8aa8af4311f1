"""Quota: counted as declared."""

from __future__ import annotations

import pytest

from spawners.quota import overruns, require, used
from spawners.refusal import Refusal
from tests.unit.spawners.worlds import profile, tenant

SMALL, LARGE = profile("notebook", "notebook").sizes


def test_the_last_place_is_free_and_one_more_is_not() -> None:
    physics = tenant("physics")
    assert overruns(physics, used([SMALL, SMALL]), SMALL) == []
    assert ["3 of 3" in v.message for v in overruns(physics, used([SMALL] * 3), SMALL)] == [True]


def test_cpu_and_memory_are_told_together() -> None:
    messages = [v.message for v in overruns(tenant("physics"), used([LARGE]), LARGE)]
    assert messages == [
        "needs 4 CPU, but physics uses 4 of 6",
        "needs 8Gi memory, but physics uses 8Gi of 12Gi",
    ]


def test_a_refusal_says_what_to_do() -> None:
    with pytest.raises(Refusal, match="stop a workload or choose a smaller size") as caught:
        require(tenant("physics"), used([LARGE]), LARGE)
    assert caught.value.reason == "quota"
