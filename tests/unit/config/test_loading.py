"""Reading files: whatever lies in the folder, the answer is a world or a WorldError in clear words."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from config import yamltext
from config.errors import Problem, WorldError
from config.load import load, load_sources
from config.reading import read_file
from config.yamltext import compose, construct
from tests.unit.config.worlds import DATA, cases, lay, write

_FILES = st.sampled_from(["site.yaml", "profiles/notebook.yaml", "tenants/physics.yaml"])
_WORDS = ["name", "admins", "networks", "subnets", "quota", "defaults", "physics", "- ", ": ", "\n", "\n  ", "[", "]"]
_WORDS += ["{", "}", "&a ", "*a", "<<", "!!int ", "!x ", "---\n", "'", '"', "|\n", "? ", "%", "\t", "1e999", "0x1", "~"]
_YAMLISH = st.lists(st.sampled_from(_WORDS), max_size=40).map("".join)


@given(_FILES, st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode), _YAMLISH.map(str.encode)))
@example("tenants/physics.yaml", b"name: physics\nquota: {cpu: 1e40, memory: 9e30}\n")
@example("tenants/physics.yaml", b"? &a [*a]\n: b")
@example("profiles/notebook.yaml", b"defaults: {a: .inf, b: 1e999}")
def test_reading_never_raises(file: str, raw: bytes) -> None:
    for problem in read_file(file, raw).problems:
        assert str(problem)
        assert "\n" not in str(problem)
        assert problem.line >= 1


@settings(max_examples=30)
@given(st.dictionaries(_FILES, st.one_of(st.binary(max_size=80), _YAMLISH.map(str.encode))))
def test_loading_raises_world_errors_only(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = lay(Path(folder) / "world")
        for name, raw in files.items():
            (world / name).write_bytes(raw)
        with contextlib.suppress(WorldError):
            load(world)


@pytest.mark.parametrize("opening", ["[", "- ", "{a: ", "? "])
def test_a_deeply_nested_file_does_not_take_the_process_down(opening: str) -> None:
    """The C composer's stack ends at some ten thousand levels with a segmentation fault."""
    (problem,) = read_file("tenants/physics.yaml", (opening * 250_000).encode()).problems
    assert "nested too deep" in problem.message


@pytest.mark.skipif(not yaml.__with_libyaml__, reason="PyYAML was built without libyaml: there is one loader only")
def test_the_pure_loader_reads_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [path.read_text(encoding="utf-8") for path in sorted(DATA.glob("good/*/*/*.yaml"))]
    with_c = [construct(compose(text)) for text in texts]
    monkeypatch.setattr(yamltext, "_Loader", yamltext._PureLoader)
    assert [construct(compose(text)) for text in texts] == with_c
    (problem,) = read_file("tenants/physics.yaml", b"name: [physics\n").problems
    assert "bracket" in problem.message


def test_what_plain_scalars_mean() -> None:
    first = "[yes, no, on, true, False, 12, 012, 1:30, 0x1f, 0o17, 1.5, .5, 1e3]"
    built = construct(compose(first + "\n---\n[2024-01-01, ~, null, '12', -3, 1_000]"))
    assert isinstance(built, tuple)
    assert built[0] == [
        ["yes", "no", "on", True, False, 12, "012", "1:30", 31, 15, 1.5, 0.5, 1000.0],
        ["2024-01-01", None, None, "12", -3, "1_000"],
    ]


def _told(directory: Path) -> tuple[Problem, ...]:
    with pytest.raises(WorldError) as caught:
        load(directory)
    return caught.value.problems


def test_no_such_folder(tmp_path: Path) -> None:
    (problem,) = _told(tmp_path / "none")
    assert str(problem).startswith(f"{tmp_path}/none: there is no such folder; ")


def test_not_a_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (problem,) = _told(tmp_path / "file")
    assert "this is not a folder" in str(problem)


def test_empty_folder(tmp_path: Path) -> None:
    (problem,) = _told(tmp_path)
    assert "nothing is declared" in str(problem)


def test_a_name_no_file_system_takes() -> None:
    (problem,) = _told(Path("a\0b"))
    assert "cannot be listed" in str(problem)


def test_only_a_site_is_a_world(tmp_path: Path) -> None:
    world = load(write(tmp_path, {"site.yaml": "title: Alone\n"}))
    assert world.site.title == "Alone"
    assert not world.tenants


def test_hidden_and_backup_files_are_passed_over(tmp_path: Path) -> None:
    world = lay(tmp_path / "world")
    junk = [".physics.yaml.swp", "physics.yaml~", "#physics.yaml#", ".#physics.yaml", "physics.yaml.bak", "README.md"]
    write(world, {f"tenants/{name}": "name: [" for name in [*junk, "physics.yaml.orig", "README", ".git/config"]})
    assert "physics" in load(world).tenants


def test_strange_files(tmp_path: Path) -> None:
    world = lay(tmp_path / "world")
    (world / "tenants" / "gone.yaml").symlink_to(tmp_path / "nowhere")
    os.mkfifo(world / "tenants" / "pipe.yaml")
    (world / "tenants" / "folder.yaml").mkdir()
    (world / "tenants" / "big.yaml").write_bytes(b"# " + b"x" * 2**20)
    told = {problem.file: problem.message for problem in _told(world)}
    assert told == {
        "tenants/gone.yaml": "cannot be read: no such file or directory",
        "tenants/pipe.yaml": "this is no regular file",
        "tenants/folder.yaml": "this is a folder",
        "tenants/big.yaml": "the file is larger than 1024 KiB",
    }


def test_a_volume_of_a_config_map(tmp_path: Path) -> None:
    """Kubernetes mounts files as links through a hidden ..data link."""
    world, real = tmp_path / "world", lay(tmp_path / "real")
    for name in ("profiles", "tenants"):
        (world / name).mkdir(parents=True)
        (world / name / "..data").symlink_to(real / name)
        for file in (real / name).iterdir():
            (world / name / file.name).symlink_to(Path("..data") / file.name)
    assert list(load(world).tenants) == ["history", "physics"]


@pytest.fixture
def as_nobody() -> Iterator[None]:
    """root reads everything; somebody else does not."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_world() -> Iterator[Path]:
    """A world whose folders anybody may enter (pytest's own are the owner's alone)."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        world = lay(Path(folder) / "world")
        (world / "tenants" / "history.yaml").chmod(0)
        (world / "profiles").chmod(0)
        yield world
        (world / "profiles").chmod(0o755)


def test_unreadable_files_and_folders(open_world: Path, as_nobody: None) -> None:
    told = [str(problem) for problem in _told(open_world)]
    assert told[0].startswith("profiles: cannot be listed: permission denied; ")
    assert "tenants/history.yaml: cannot be read: permission denied; let the hub's account read it" in told


def test_sources_say_where_anything_stands(tmp_path: Path) -> None:
    world = lay(tmp_path / "world", DATA / "good" / "no-site-many-in-one-file")
    _, sources = load_sources(world)
    assert sources.at("site", "", ("cluster", "services", 0)) == ("site.yaml", 4)
    assert sources.at("profiles", "notebook", ("sizes", 1, "cpu")) == ("profiles/notebook.yaml", 6)
    assert sources.at("tenants", "biology", ("members",)) == ("tenants/sciences.yaml", 10)
    # What is not written takes the line of what it would stand in.
    assert sources.at("profiles", "notebook", ("defaults", "start_urls")) == ("profiles/notebook.yaml", 1)
    assert sources.at("profiles", "notebook", ("sizes", 1, "title")) == ("profiles/notebook.yaml", 6)
    assert sources.place("tenants", "biology", ("admins", 1)) == "tenants/sciences.yaml:9"
    problem = sources.problem("profiles", "upload", ("sizes", 0, "cpu"), "wrong", "right")
    assert str(problem) == "profiles/upload.yaml:5: sizes[0].cpu: wrong; right"


def test_an_extra_check_is_told_with_the_rest(tmp_path: Path) -> None:
    world = lay(tmp_path / "world", DATA / "wrong" / "people-no-admin")
    with pytest.raises(WorldError) as caught:
        load(world, lambda world, sources: [sources.problem("profiles", "notebook", ("kind",), "unknown", "know it")])
    assert [problem.field for problem in caught.value.problems] == ["kind", "admins"]


def test_a_cache_gives_the_same_answers(tmp_path: Path) -> None:
    cache: dict[str, tuple[bytes, object]] = {}
    for case in cases("wrong")[:20] + cases("good"):
        sort = "wrong" if (DATA / "wrong" / case).is_dir() else "good"
        world = lay(tmp_path / case, DATA / sort / case)
        results = []
        for one in (cache, None):
            try:
                results.append(load_sources(world, None, one)[0])  # type: ignore[arg-type]
            except WorldError as error:
                results.append(error.problems)  # type: ignore[arg-type]
        assert results[0] == results[1]
