"""Stamps: what is fresh, what is stale, what survives a cut."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import stamps
from tools.installers import Progress
from tools.setup import Step


def test_the_digest_tells_parts_and_contents_apart(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    absent = stamps.digest(file)
    file.write_text("")
    empty = stamps.digest(file)
    file.write_text("a==1")
    full = stamps.digest(file)
    assert len({absent, empty, full, stamps.digest("a==1"), stamps.digest("a==", "1"), stamps.digest()}) == 6
    assert stamps.digest(file) == full


@pytest.mark.parametrize("content", ["", "run\n", "run a b\n", "\x00\n", "dev 123\n"])
def test_a_damaged_stamp_is_stale(tmp_path: Path, content: str) -> None:
    (tmp_path / "stamp").write_text(content)
    assert not _step(tmp_path).fresh("run")


def test_bytes_that_are_no_text_are_stale(tmp_path: Path) -> None:
    (tmp_path / "stamp").write_bytes(b"run \xff\xfe\n")
    assert stamps.read(tmp_path / "stamp") == {}


def test_a_step_is_fresh_once_made_and_stale_for_other_input(tmp_path: Path) -> None:
    step = _step(tmp_path)
    step.bring("run", Progress(1))
    assert step.fresh("run")
    assert not step.fresh("dev"), "what was made for run lacks the tools of dev"
    assert not _step(tmp_path, run="other").fresh("run")


def test_a_checkout_set_up_for_dev_serves_run_and_stays_so(tmp_path: Path) -> None:
    _step(tmp_path).bring("dev", Progress(1))
    assert _step(tmp_path).fresh("run")
    made: list[str] = []
    changed = _step(tmp_path, run="new", dev="new", made=made)
    changed.bring("run", Progress(1))
    assert made == ["dev"]
    assert changed.fresh("dev")


def test_a_step_cut_short_leaves_no_stamp(tmp_path: Path) -> None:
    _step(tmp_path).bring("run", Progress(1))
    seen: list[bool] = []

    def cut(_level: str, _progress: Progress) -> None:
        seen.append((tmp_path / "stamp").exists())
        raise KeyboardInterrupt

    step = Step(tmp_path / "stamp", {"run": "2", "dev": "2"}, cut, lines=1)
    with pytest.raises(KeyboardInterrupt):
        step.bring("run", Progress(1))
    assert seen == [False], "the old stamp must go before the work begins"
    assert stamps.read(tmp_path / "stamp") == {}


def _step(folder: Path, run: str = "1", dev: str = "1", made: list[str] | None = None) -> Step:
    def make(level: str, _progress: Progress) -> None:
        if made is not None:
            made.append(level)

    return Step(folder / "stamp", {"run": run, "dev": dev}, make, lines=1)
