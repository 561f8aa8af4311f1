"""The store: reads again when files change, never forgets a good world, and is cheap in between."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from config.errors import Problem, WorldError
from config.models import World
from config.sources import Sources
from config.store import WorldStore
from tests.unit.config.worlds import lay


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def _age(world: Path) -> None:
    """As if the files had been written a minute ago: only then the store trusts their times."""
    for path in world.rglob("*.yaml"):
        found = path.stat()
        os.utime(path, (found.st_atime - 60, found.st_mtime - 60))


def _title(world: Path, title: str) -> None:
    (world / "site.yaml").write_text(f"title: {title}\n")


def test_a_change_is_seen_after_the_interval(tmp_path: Path) -> None:
    world, clock = lay(tmp_path / "world"), Clock()
    store = WorldStore(world, interval_s=5, clock=clock)
    assert store.version == 0
    first = store.current()
    assert store.version == 1
    _title(world, "Second")
    clock.now += 4.9
    assert store.current() is first
    clock.now += 0.1
    assert store.current().site.title == "Second"
    assert store.version == 2


def test_a_new_tenant_comes_and_goes(tmp_path: Path) -> None:
    world = lay(tmp_path / "world")
    store = WorldStore(world, interval_s=0)
    store.current()
    (world / "tenants" / "biology.yaml").write_text("name: biology\nadmins: [ada]\n")
    assert "biology" in store.current().tenants
    (world / "tenants" / "biology.yaml").unlink()
    assert "biology" not in store.current().tenants
    assert store.version == 3


def test_wrong_files_leave_the_last_good_world(tmp_path: Path) -> None:
    world = lay(tmp_path / "world")
    store = WorldStore(world, interval_s=0)
    good = store.current()
    text = (world / "tenants" / "physics.yaml").read_text()
    (world / "tenants" / "physics.yaml").write_text("name: [physics\n")
    assert store.current() is good
    assert [problem.file for problem in store.problems] == ["tenants/physics.yaml"]
    assert store.version == 1
    (world / "tenants" / "physics.yaml").write_text(text)
    assert store.current() is good
    assert store.problems == ()
    assert store.version == 1


def test_a_folder_that_vanishes_leaves_the_last_good_world(tmp_path: Path) -> None:
    world = lay(tmp_path / "world")
    store = WorldStore(world, interval_s=0)
    good = store.current()
    world.rename(tmp_path / "elsewhere")
    assert store.current() is good
    assert "no such folder" in store.problems[0].message


def test_never_a_good_world(tmp_path: Path) -> None:
    world = tmp_path / "world"
    store = WorldStore(world, interval_s=0)
    with pytest.raises(WorldError, match="no such folder"):
        store.current()
    assert store.problems
    lay(world)
    assert "physics" in store.current().tenants
    assert store.problems == ()


def test_files_of_the_same_size_and_time_are_seen_while_they_are_young(tmp_path: Path) -> None:
    """Two writes within one tick of the file system's clock look alike from outside."""
    world = lay(tmp_path / "world")
    _title(world, "One")
    store = WorldStore(world, interval_s=0)
    assert store.current().site.title == "One"
    stamp = (world / "site.yaml").stat()
    _title(world, "Two")
    os.utime(world / "site.yaml", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    assert store.current().site.title == "Two"


def test_nothing_is_read_while_nothing_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = lay(tmp_path / "world")
    _age(world)
    store = WorldStore(world, interval_s=0)
    store.current()

    def fail(*arguments: object) -> None:
        raise AssertionError("read again without need")

    monkeypatch.setattr("config.store.load_sources", fail)
    assert "physics" in store.current().tenants
    _title(world, "Changed")
    with pytest.raises(AssertionError, match="without need"):
        store.current()


def test_reload_does_not_wait_for_the_interval(tmp_path: Path) -> None:
    world, clock = lay(tmp_path / "world"), Clock()
    store = WorldStore(world, interval_s=3600, clock=clock)
    store.current()
    _title(world, "Now")
    assert store.reload().site.title == "Now"


def test_an_extra_check_counts(tmp_path: Path) -> None:
    def refuse(world: World, sources: Sources) -> Iterable[Problem]:
        if world.site.title == "Bad":
            yield sources.problem("site", "", ("title",), "bad", "write good")

    world = lay(tmp_path / "world")
    store = WorldStore(world, interval_s=0, extra_check=refuse)
    store.current()
    _title(world, "Bad")
    assert store.current().site.title == "Test site"
    assert [str(problem) for problem in store.problems] == ["site.yaml:1: title: bad; write good"]


def test_a_thread_that_comes_during_a_reading_gets_the_world_as_it_was(tmp_path: Path) -> None:
    reading, go_on = threading.Event(), threading.Event()

    def slow(world: World, sources: Sources) -> Iterable[Problem]:
        if world.site.title == "New":
            reading.set()
            assert go_on.wait(30)
        return ()

    world = lay(tmp_path / "world")
    store = WorldStore(world, interval_s=0, extra_check=slow)
    store.current()
    _title(world, "New")
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(store.current().site.title))
    thread.start()
    assert reading.wait(30)
    assert store.current().site.title == "Test site"
    go_on.set()
    thread.join(30)
    assert seen == ["New"]


def test_threads_that_come_first_all_get_the_world(tmp_path: Path) -> None:
    store = WorldStore(lay(tmp_path / "world"))
    titles: list[str] = []
    threads = [threading.Thread(target=lambda: titles.append(store.current().site.title)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert titles == ["Test site"] * 8
    assert store.version == 1
