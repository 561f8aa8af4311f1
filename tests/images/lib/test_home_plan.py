"""What a round decides, and whose turn it is: no store, no files but our own."""

from __future__ import annotations

import errno
import itertools
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from images.lib.home_files import look
from images.lib.home_plan import (
    IGNORED,
    Base,
    Ignore,
    Kept,
    Known,
    Local,
    Plan,
    chunks,
    is_plain,
    merge,
    other_name,
    patterns_of,
    plan,
    unsaved,
)
from images.lib.home_store import Store
from images.lib.home_turn import STALE_S, TURNS, Turn

HERE, HERE_2 = Local(1, 1, 1), Local(2, 2, 2)
THERE, THERE_2 = Kept(1, "monday"), Kept(2, "tuesday")
SAME = Known(HERE, THERE)


def nothing_blind(path: str) -> bool:
    del path
    return False


def decided(here: Local | None, there: Kept | None, known: Known | None) -> str:
    """The one list that the path is on; "" for none."""
    found = plan(
        {"x": here} if here else {}, {"x": there} if there else {}, {"x": known} if known else {}, nothing_blind
    )
    return ",".join(name for name, paths in vars(found).items() if paths)


@pytest.mark.parametrize(
    ("here", "there", "known", "what"),
    [
        (HERE, None, None, "upload"),
        (None, THERE, None, "download"),
        (HERE, THERE, None, "compare"),
        (HERE, THERE, SAME, ""),
        (HERE_2, THERE, SAME, "upload"),
        (HERE, THERE_2, SAME, "download"),
        (HERE_2, THERE_2, SAME, "compare"),
        (None, THERE, SAME, "delete_kept"),
        (None, THERE_2, SAME, "download"),  # a change wins over a deletion
        (HERE, None, SAME, "missed"),  # once may be a listing that lags behind
        (HERE, None, SAME._replace(misses=1), "delete_local"),
        (HERE_2, None, SAME, "upload"),
        (None, None, SAME, "forget"),
        (HERE, THERE, Known(None, THERE), "upload"),  # the local one of two versions
    ],
)
def test_each_file_has_one_decision(here: Local | None, there: Kept | None, known: Known | None, what: str) -> None:
    assert decided(here, there, known) == what


def test_whatever_the_three_are_nothing_unseen_is_overwritten_or_deleted() -> None:
    for here, there, known in itertools.product(
        (None, HERE, HERE_2), (None, THERE, THERE_2), (None, SAME, Known(None, THERE), SAME._replace(misses=1))
    ):
        what = decided(here, there, known)
        if what in ("upload", "delete_kept"):
            assert there is None or (known is not None and there == known.kept)
        if what in ("download", "delete_local"):
            assert here is None or (known is not None and here == known.local)


def test_the_local_version_waits_until_the_other_one_is_saved() -> None:
    base: Base = {"x": Known(None, THERE, after="x (other)")}
    here = {"x": HERE, "x (other)": HERE_2}
    assert plan(here, {"x": THERE}, base, nothing_blind).upload == ("x (other)",)
    base["x (other)"] = Known(HERE_2, THERE_2)
    assert plan(here, {"x": THERE, "x (other)": THERE_2}, base, nothing_blind).upload == ("x",)
    del base["x (other)"], here["x (other)"]  # somebody has deleted it at once
    assert plan(here, {"x": THERE}, base, nothing_blind).upload == ("x",)


def test_of_what_was_not_looked_at_nothing_is_concluded() -> None:
    base = {"closed/x": SAME}
    assert plan({}, {"closed/x": THERE}, base, lambda path: path.startswith("closed/")) == Plan()
    assert unsaved({}, base, lambda path: path.startswith("closed/")) == []
    assert unsaved({}, base, nothing_blind) == ["closed/x"]
    assert unsaved({"closed/x": HERE_2, "y": HERE}, base, nothing_blind) == ["closed/x", "y"]


def test_a_folder_that_cannot_be_read_is_told_and_nothing_in_it_counts_as_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "closed" / "below").mkdir(parents=True)
    (tmp_path / "open").mkdir()
    (tmp_path / "open" / "b.txt").write_text("b")
    scandir = os.scandir

    def refusing(path: Path) -> Any:  # tests may run as root, who reads everything
        if path.name == "closed":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return scandir(path)

    monkeypatch.setattr("images.lib.home_files.os.scandir", refusing)
    seen = look(tmp_path, 0o022)
    assert list(seen.files) == ["open/b.txt"]
    assert seen.skipped == {"closed": "Permission denied"}
    base = {"closed/below/a.txt": SAME}
    assert plan({}, {"closed/below/a.txt": THERE}, base, seen.is_blind) == Plan()
    assert unsaved(seen.files, base, seen.is_blind) == ["open/b.txt"]


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        (".cache/pip/x", True),
        ("work/.cache/x", True),
        ("src/__pycache__/a.pyc", True),
        (".nfs0001", True),
        ("a/.b.swp", True),
        (".local/share/Trash/files/x", True),
        (".local/share/jupyter/runtime/kernel-1.json", True),
        (".local/share/code-server/User/settings.json", False),
        ("work/.local/share/Trash", False),
        (".tenanthub-home/base.json", True),
        ("caches/x", False),
        ("big/raw.bin", True),
        ("data/2026/run/x", True),
        ("data/2026/keep/x", False),
    ],
)
def test_what_is_not_kept(path: str, ignored: bool) -> None:
    ignore = Ignore((*IGNORED, *patterns_of("# mine\n*.bin\n\n data/*/run/ \n")))
    assert ignore.path(path) is ignored


@pytest.mark.parametrize("path", ["../x", "a/../x", "/x", "a//x", "./x", "a\nb", ""])
def test_names_of_a_store_that_no_file_of_a_home_has(path: str) -> None:
    assert not is_plain(path)


def test_the_other_versions_name_is_clear_free_and_not_too_long() -> None:
    moment = datetime(2026, 11, 21, 17, 5, 9, tzinfo=UTC)
    taken = {"a (other version 2026-11-21 170509).txt"}
    assert other_name("a.txt", moment, taken.__contains__) == "a (other version 2026-11-21 170509 2).txt"
    assert other_name("d/.bashrc", moment, taken.__contains__) == "d/.bashrc (other version 2026-11-21 170509)"
    assert other_name("to.rclonelink", moment, taken.__contains__).endswith("170509).rclonelink")
    assert len(other_name("日本" * 40 + ".ipynb", moment, taken.__contains__).encode()) <= 255


def test_modes_of_both_sides_and_the_local_one_where_both_changed() -> None:
    before = {"a": 1, "b": 1, "c": 1, "gone here": 1, "gone there": 1}
    here = {"a": 2, "b": 1, "c": 2, "gone there": 1, "new here": 1}
    there = {"a": 1, "b": 3, "c": 3, "gone here": 1, "new there": 1}
    assert merge(here, there, before) == {"a": 2, "b": 3, "c": 2, "new here": 1, "new there": 1}


def test_chunks_hold_all_smallest_first_within_both_limits() -> None:
    sizes = {"a": 5, "b": 1, "c": 100, "d": 2, "e": 2}
    assert chunks(sizes, sizes.__getitem__, 2, 6) == [["b", "d"], ["e"], ["a"], ["c"]]


class FakeStore:
    """A store with a listing, as Turn uses one; others in it put and take their own objects."""

    def __init__(self) -> None:
        self.objects: dict[str, Kept] = {}

    def put(self, path: Path, name: str) -> None:
        del path
        self.objects[name] = Kept(32, "now")

    def remove(self, name: str) -> None:
        self.objects.pop(name, None)

    def listing(self) -> dict[str, Kept]:
        return dict(self.objects)


def turn(store: FakeStore, folder: Path) -> Turn:
    folder.mkdir()
    return Turn(cast("Store", store), folder)


def test_two_servers_never_have_the_turn_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(0, 5.0)
    monkeypatch.setattr("images.lib.home_turn.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("images.lib.home_turn.time.sleep", lambda _: None)
    store = FakeStore()
    first, second = turn(store, tmp_path / "first"), turn(store, tmp_path / "second")
    assert first.take() is not None
    assert second.take() is None  # and it has left nothing behind
    assert len([name for name in store.objects if name.startswith(TURNS)]) == 1
    first.leave()
    assert second.take() is not None


def test_what_a_killed_server_has_left_is_passed_over_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = itertools.count(0, 5.0)
    monkeypatch.setattr("images.lib.home_turn.time.monotonic", lambda: next(clock))
    monkeypatch.setattr("images.lib.home_turn.time.sleep", lambda _: None)
    store = FakeStore()
    store.objects[f"{TURNS}killed"] = Kept(32, "long ago")
    waiting = turn(store, tmp_path / "waiting")
    tries = 0
    while waiting.take() is None:
        tries += 1
        assert tries < 100
    assert next(clock) > STALE_S
    assert tries > 0


def test_a_killed_servers_own_turn_is_its_own_still(tmp_path: Path) -> None:
    store = FakeStore()
    assert turn(store, tmp_path / "one").take() is not None
    assert Turn(cast("Store", store), tmp_path / "one").take() is not None
