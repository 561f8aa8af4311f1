"""check, schema and reference as people call them; the generated files; the demo world."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from config import cli, demo, reference, schema
from config.load import load
from config.models import World
from config.sources import Sources
from config.yamltext import compose, construct
from tests.unit.config.worlds import DATA, lay

ROOT = Path(__file__).parents[3]


def test_check_says_all_right(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.check([str(lay(tmp_path / "world"))]) == 0
    assert capsys.readouterr().out == "2 tenants, 2 profiles: all right\n"


def test_check_for_programs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    world = lay(tmp_path / "world", DATA / "wrong" / "people-no-admin")
    assert cli.check(["-o", "json", str(world)]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is False
    assert told["problems"][0] == {
        "file": "tenants/physics.yaml",
        "line": 1,
        "field": "admins",
        "message": "the tenant has no admin",
        "fix": "write admins: [account], or a group of the identity provider in groups.admins",
    }
    assert cli.check(["-o", "json", str(lay(tmp_path / "good"))]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "ok": True,
        "tenants": ["history", "physics"],
        "profiles": ["notebook", "upload"],
        "problems": [],
    }


def test_check_takes_an_extra_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def extra(world: World, sources: Sources) -> list[object]:
        return [sources.problem("profiles", "upload", ("kind",), "no such kind", "write collector")]

    assert cli.check([str(lay(tmp_path / "world"))], extra) == 1  # type: ignore[arg-type]
    told = capsys.readouterr().out
    assert told == "profiles/upload.yaml:2: kind: no such kind; write collector\n1 problem\n"


@pytest.mark.parametrize("command", ["check", "schema", "reference"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    parser = argparse.ArgumentParser(prog="tenanthub")
    cli.add_commands(parser.add_subparsers())
    with pytest.raises(SystemExit) as left:
        parser.parse_args([command, "--help"])
    assert left.value.code == 0
    assert f"examples:\n  tenanthub {command}" in capsys.readouterr().out


def test_wrong_arguments_exit_with_2() -> None:
    wrong: list[tuple[Callable[[list[str]], int], list[str]]] = [
        (cli.check, []),
        (cli.schema, ["planet"]),
        (cli.reference, ["x"]),
    ]
    for command, argv in wrong:
        with pytest.raises(SystemExit) as left:
            command(argv)
        assert left.value.code == 2


def test_generated_files_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.schema(["--check"]) == 0, capsys.readouterr().out
    assert cli.reference(["--check", str(ROOT / "docs")]) == 0, capsys.readouterr().out


def test_drift_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.schema(["--write", str(tmp_path)]) == 0
    assert cli.reference(["--write", str(tmp_path)]) == 0
    assert schema.drift(tmp_path) == reference.drift(tmp_path) == []
    (tmp_path / "site.json").write_text("{}")
    (tmp_path / "tenant.json").unlink()
    (tmp_path / "reference.md").write_text("")
    capsys.readouterr()
    assert cli.schema(["--check", str(tmp_path)]) == 1
    assert cli.reference(["--check", str(tmp_path)]) == 1
    told = capsys.readouterr().out.splitlines()
    assert [line.partition("; ")[0] for line in told] == [
        f"{tmp_path}/site.json: differs from the models",
        f"{tmp_path}/tenant.json: is missing",
        f"{tmp_path}/reference.md: differs from the models",
    ]


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert cli.schema(["--write", str(tmp_path / "file")]) == 1
    assert capsys.readouterr().err == f"tenanthub: {tmp_path}/file: cannot be written: file exists\n"


@pytest.mark.parametrize("name", ["site", "profile", "tenant"])
def test_schema_is_one_and_every_field_is_described(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.schema([name]) == 0
    made = json.loads(capsys.readouterr().out)
    Draft202012Validator.check_schema(made)
    for part in (made, *made.get("$defs", {}).values()):
        assert part["additionalProperties"] is False
        for field, about in part["properties"].items():
            assert about.get("description") or "$ref" in about, f"{name}: {field} has no docstring"


def test_schemas_take_what_the_loader_takes(tmp_path: Path) -> None:
    names = {"site.yaml": "site", "profiles": "profile", "tenants": "tenant"}
    for case in sorted((DATA / "good").iterdir()):
        for path in lay(tmp_path / case.name, case).rglob("*.yaml"):
            name = names.get(path.name) or names.get(path.parent.name)
            if name is None:
                continue
            built = construct(compose(path.read_text(encoding="utf-8")))
            assert isinstance(built, tuple)
            for data in filter(None, built[0]):
                assert list(Draft202012Validator(schema.schema(name)).iter_errors(data)) == [], path


def test_reference_has_every_field() -> None:
    page = reference.text()
    for name in schema.MODELS:
        made = schema.schema(name)
        for part in (made, *made.get("$defs", {}).values()):
            for field in part["properties"]:
                assert f"| `{field}` |" in page


def test_demo_world(tmp_path: Path) -> None:
    written = demo.write_demo(tmp_path / "world")
    world = load(tmp_path / "world")
    assert all(path.is_file() for path in written)
    assert list(world.tenants) == ["history", "physics"]
    people = {person for tenant in world.tenants.values() for person in tenant.people}
    assert people == set(demo.PEOPLE)
    assert {tenant.name for tenant in world.tenants_of("both-member")} == {"history", "physics"}
    assert "instrument-upload" in world.tenants["physics"].profiles
    assert "instrument-upload" not in world.tenants["history"].profiles
    lab = world.tenants["physics"].network(None)
    assert lab is not None
    assert str(lab.loadbalancer[0]) == "127.20.0.2-127.20.0.20"


def test_demo_files_name_their_schema(tmp_path: Path) -> None:
    """The path is right in the repository and in the world that is written."""
    demo.write_demo(tmp_path / "world")
    for folder in (tmp_path / "world", ROOT / "config" / "demo"):
        files = list(folder.rglob("*.yaml"))
        assert len(files) == 10
        for path in files:
            first = path.read_text(encoding="utf-8").splitlines()[0]
            relative = first.removeprefix("# yaml-language-server: $schema=")
            assert (path.parent / relative).resolve().is_file(), path


def test_demo_never_overwrites(tmp_path: Path) -> None:
    (tmp_path / "tenants").mkdir()
    (tmp_path / "tenants" / "physics.yaml").write_text("mine\n")
    with pytest.raises(FileExistsError, match=r"tenants/physics\.yaml is there already; "):
        demo.write_demo(tmp_path)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["physics.yaml"]
    assert (tmp_path / "tenants" / "physics.yaml").read_text() == "mine\n"
