"""The build cache: whole artefacts or none, one builder at a time, whatever ends a builder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.bed import cache
from tests.cluster.bed.cache import Artefact
from tests.cluster.bed.names import BedError

ROOT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TENANTHUB_CACHE", str(tmp_path))
    return tmp_path / "cluster"


def writes(text: str) -> Artefact:
    def make(folder: Path, _: int) -> None:
        (folder / "out").write_text(text)

    return Artefact("thing", cache.key_of([text]), make)


def contents(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.name != "lock")


def test_an_artefact_is_made_once(folder: Path) -> None:
    said: list[str] = []
    made = writes("a")
    cache.obtain([made], said.append)
    assert (cache.folder_of(made) / "out").read_text() == "a"
    assert [line.split("(")[0].split(",")[0].strip() for line in said] == [
        "build 1 of 1: thing",
        "build 1 of 1: thing done",
    ]
    cache.obtain([made], said.append)
    assert len(said) == 2


def test_other_inputs_make_another_one(folder: Path) -> None:
    cache.obtain([writes("a")], lambda _: None)
    cache.obtain([writes("b")], lambda _: None)
    assert (cache.folder_of(writes("a")) / "out").read_text() == "a"
    assert (cache.folder_of(writes("b")) / "out").read_text() == "b"


def test_parts_are_not_run_together_in_a_key() -> None:
    assert cache.key_of(["ab", "c"]) != cache.key_of(["a", "bc"])
    assert cache.key_of(["ab"]) == cache.key_of([b"ab"])


def test_a_failure_leaves_nothing_and_can_be_tried_again(folder: Path) -> None:
    def fail(folder: Path, _: int) -> None:
        (folder / "half").write_text("x")
        raise BedError("no network")

    with pytest.raises(BedError, match="no network"):
        cache.obtain([Artefact("thing", writes("a").key, fail)], lambda _: None)
    assert contents(folder) == ["thing"]
    cache.obtain([writes("a")], lambda _: None)
    assert contents(folder / "thing") == [writes("a").key, f"{writes('a').key}/out"]


BUILDER = """
import sys, time
from pathlib import Path
from tests.cluster.bed import cache
def make(folder, lock):
    (folder / "half").write_text("x")
    print("building", flush=True)
    time.sleep(60)
cache.obtain([cache.Artefact("thing", sys.argv[1], make)], lambda line: None)
"""


def test_a_killed_builder_leaves_no_artefact_and_no_lock(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER, writes("a").key], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as builder:
        assert builder.stdout
        assert builder.stdout.readline() == "building\n"
        os.kill(builder.pid, signal.SIGKILL)
    assert len(contents(folder / "thing")) == 2  # the temporary folder, with what it had
    assert not cache.folder_of(writes("a")).exists()
    cache.obtain([writes("a")], lambda _: None)
    assert contents(folder / "thing") == [writes("a").key, f"{writes('a').key}/out"]


def test_an_edition_that_nobody_wants_any_more_goes(folder: Path) -> None:
    cache.obtain([writes("old"), writes("used")], lambda _: None)
    long_ago = time.time() - cache.KEPT_SECONDS - 60
    for each in ("old", "used"):
        os.utime(cache.folder_of(writes(each)), (long_ago, long_ago))
    cache.obtain([writes("used")], lambda _: None)  # found, so in use
    cache.obtain([writes("new")], lambda _: None)
    assert not cache.folder_of(writes("old")).exists()
    assert cache.folder_of(writes("used")).exists()


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"TENANTHUB_CACHE": "/c", "XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/c/cluster"),
        ({"XDG_CACHE_HOME": "/x", "HOME": "/h"}, "/x/tenanthub/cluster"),
        ({"HOME": "/h"}, "/h/.cache/tenanthub/cluster"),
    ],
)
def test_where_it_is(environ: dict[str, str], expected: str) -> None:
    assert cache.root(environ) == Path(expected)
