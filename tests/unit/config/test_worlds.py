"""Over a hundred wrong worlds with every line they must be told, and some that must pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.cli import check
from config.load import load
from tests.unit.config.worlds import DATA, cases, compare, lay


@pytest.mark.parametrize("case", cases("wrong"))
def test_wrong_world(
    case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], pytestconfig: pytest.Config
) -> None:
    world = lay(tmp_path / "world", DATA / "wrong" / case)
    assert check([str(world)]) == 1
    compare(DATA / "wrong" / case / "expected.txt", capsys.readouterr().out, pytestconfig)


@pytest.mark.parametrize("case", cases("wrong"))
def test_every_line_of_a_wrong_world_is_told_in_full(case: str) -> None:
    """Each problem names a file and says what would be right; the golden files are where somebody would forget it."""
    *lines, count = (DATA / "wrong" / case / "expected.txt").read_text(encoding="utf-8").splitlines()
    assert count == f"{len(lines)} problem{'' if len(lines) == 1 else 's'}"
    assert lines
    for line in lines:
        assert "; " in line or "did you mean" in line
        assert line.split(":")[0].endswith((".yaml", ".yml", ".json", "/old", "tenant"))


def test_there_are_at_least_sixty_wrong_worlds() -> None:
    assert len(cases("wrong")) >= 60


@pytest.mark.parametrize("case", cases("good"))
def test_good_world(case: str, tmp_path: Path) -> None:
    world = load(lay(tmp_path / "world", DATA / "good" / case))
    assert "physics" in world.tenants


def test_base_world_is_read_as_written(tmp_path: Path) -> None:
    world = load(lay(tmp_path / "world"))
    assert list(world.tenants) == ["history", "physics"]
    assert list(world.profiles) == ["notebook", "upload"]
    lab = world.tenants["physics"].network("lab")
    assert lab is not None
    assert lab.vlan == 101
    assert [str(one) for one in lab.loadbalancer_addresses()][:2] == ["203.0.113.10", "203.0.113.11"]
    assert world.profiles["upload"].sizes[0].cpu == 0.25
    assert world.profiles["upload"].sizes[0].memory == 256 * 2**20


def test_several_documents_in_one_file(tmp_path: Path) -> None:
    world = load(lay(tmp_path / "world", DATA / "good" / "no-site-many-in-one-file"))
    assert list(world.tenants) == ["biology", "chemistry", "history", "physics"]
    assert world.tenants["chemistry"].profiles == ("notebook", "upload")
