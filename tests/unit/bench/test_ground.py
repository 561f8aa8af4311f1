"""What the rows about a cluster stand on, as far as it needs no cluster."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from tests.bench import ground
from tests.bench.__main__ import _parser
from tests.bench.contest import CannotRun
from tests.bench.ground import Declared, Ground, raised
from tests.bench.lab import Options
from tests.bench.worlds import MOST
from tests.cluster.bed import Bed


def test_a_machine_that_carries_no_bed_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "missing", lambda: ["a test bed needs root"])
    with pytest.raises(CannotRun, match="a test bed needs root"), raised(lambda _: None):
        pytest.fail("it was raised")


def test_programs_that_are_not_built_are_not_built_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "missing", list)
    monkeypatch.setattr(ground, "unbuilt", lambda parts: [f"not built yet: {', '.join(parts)}"])
    with pytest.raises(CannotRun, match="not built yet: debian, kubernetes"), raised(lambda _: None):
        pytest.fail("it was raised")


def _objects(files: list[Path]) -> dict[tuple[str, str, str], object]:
    found = [one for file in files for one in yaml.safe_load_all(file.read_text(encoding="utf-8"))]
    keyed = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in found}
    assert len(keyed) == len(found)
    return keyed


def test_a_change_is_of_one_object_and_another_each_time(tmp_path: Path) -> None:
    world = Declared(tmp_path / "world", 3)
    states = []
    for _ in range(3):
        files, count = world.rendered(tmp_path)
        states.append(_objects(files))
        assert len(states[-1]) == count
        world.change()
    for before, after in ((states[0], states[1]), (states[1], states[2])):
        changed = [place for place in before.keys() | after.keys() if before.get(place) != after.get(place)]
        assert [(kind, space) for kind, space, _ in changed] == [("ResourceQuota", "tenant-group-0000")]


def test_parts_are_the_whole(tmp_path: Path) -> None:
    world = Declared(tmp_path / "world", 3)
    whole, count = world.rendered(tmp_path)
    expected = _objects(whole)
    parts, same = world.rendered(tmp_path, 4)
    assert (len(parts), same) == (4, count)
    assert _objects(parts) == expected


def test_no_node_gets_a_taint(tmp_path: Path) -> None:
    files, _ = Declared(tmp_path / "world", 2).rendered(tmp_path)
    nodes = [one for place, one in _objects(files).items() if place[0] == "Node"]
    assert nodes
    assert not any("spec" in one for one in nodes if isinstance(one, dict))


@pytest.fixture
def somewhere(tmp_path: Path) -> Ground:
    bed = Bed("x", 0, tmp_path, tmp_path / "kubeconfig.yaml", (), (), None)
    return Ground(bed, Path("kubectl"))


def test_commands_run_side_by_side_to_the_last(somewhere: Ground, tmp_path: Path) -> None:
    # Each waits for what the other makes: one after the other they would never end.
    script = (
        "import pathlib, sys, time\n"
        "mine, other = map(pathlib.Path, sys.argv[1:])\n"
        "mine.touch()\n"
        "while not other.exists(): time.sleep(0.01)\n"
        "print(mine.name)"
    )
    one, two = tmp_path / "one", tmp_path / "two"
    took, said = somewhere.timed([sys.executable, "-c", script, one, two], [sys.executable, "-c", script, two, one])
    assert said == "one\ntwo\n"
    assert took > 0


def test_a_command_that_fails_is_told_with_its_words(somewhere: Ground) -> None:
    with pytest.raises(CannotRun, match=r"ended with 3: no such cluster"):
        somewhere.timed([sys.executable, "-c", "import sys; print('no such cluster', file=sys.stderr); sys.exit(3)"])


def test_the_number_of_tenants_is_an_option(capsys: pytest.CaptureFixture[str]) -> None:
    chosen = _parser().parse_args(["--tenants", "30", "--peer-tenants", "20"])
    assert (chosen.tenants, chosen.peer_tenants) == (30, 20)
    chosen = _parser().parse_args([])
    assert (chosen.tenants, chosen.peer_tenants) == (Options().tenants, Options().peer_tenants)
    with pytest.raises(SystemExit):
        _parser().parse_args(["--tenants", str(MOST + 1)])
    assert f"at most {MOST}" in capsys.readouterr().err
