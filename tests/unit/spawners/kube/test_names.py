"""Names of objects: always valid, never shared by two workloads of a tenant."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spawners.kube import names
from spawners.workload import Workload
from tests.unit.spawners.worlds import ASKED

LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def of(owner: str, name: str) -> Workload:
    size = {"name": "small", "cpu": 1, "memory": "1Gi"}
    rest = {"display_name": "x", "kind": "app", "profile": "p", "size": size, "options": {}, "started_by": owner}
    return Workload.model_validate({"tenant": "physics", "owner": owner, "name": name, "asked": ASKED, **rest})


@pytest.mark.parametrize(
    ("owner", "name", "expected"),
    [
        ("tenant-physics", "camera", "camera"),
        ("jane", "camera", "camera--jane"),
        ("jane-doe", "my-notebook", "my-notebook--jane-doe"),
        ("jane.doe@example.org", "nb", r"nb--jane-d--[0-9a-f]{12}"),
        ("tenant-history", "camera", "camera--tenant-history"),
        ("a" * 100, "n" * 30, r"n{30}--aaaaaa--[0-9a-f]{12}"),
    ],
)
def test_names(owner: str, name: str, expected: str) -> None:
    assert re.fullmatch(expected, names.object_name(of(owner, name)))


SERVER = st.from_regex(r"\A[a-z](-?[a-z0-9]){0,29}\Z").filter(lambda name: len(name) <= 30)
ACCOUNT = st.from_regex(r"\A[a-z0-9][a-z0-9._@+-]{0,99}\Z")


@given(st.lists(st.tuples(ACCOUNT | st.just("tenant-physics"), SERVER), min_size=2, max_size=2, unique=True))
def test_valid_and_never_the_same(pair: list[tuple[str, str]]) -> None:
    made = [names.object_name(of(owner, name)) for owner, name in pair]
    assert made[0] != made[1]
    for (owner, name), text in zip(pair, made, strict=True):
        assert LABEL.fullmatch(text) and len(text) <= 52
        assert len(names.run_name(of(owner, name))) <= 63 and len(names.manual_name(of(owner, name), 1e9)) <= 63


def test_people_cannot_pick_each_others_name() -> None:
    assert names.object_name(of("b", "a-b")) != names.object_name(of("b-b", "a"))
    assert names.object_name(of("tenant-physics", "a")) != names.object_name(of("physics", "a"))


def test_a_name_made_by_hand_is_refused() -> None:
    with pytest.raises(ValueError, match="no name"):
        names.object_name(of("tenant-physics", "x" * 53))
