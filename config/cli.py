"""The commands of this package: tenanthub check, schema, reference. hub/cli.py adds them to its own.

Exit codes: 0 all right, 1 something is wrong with the world or a generated file, 2 the command itself was wrong.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from config import reference as reference_page
from config import schema as schemas
from config.errors import Problem, WorldError
from config.load import ExtraCheck, load
from config.models import World
from config.terminal import command, count, output_format, world_folder

Run = Callable[[argparse.Namespace], int]

_CHECK = """\
examples:
  tenanthub check /etc/tenanthub         every problem, one a line: file:line: field: what is wrong; what to write
  tenanthub check -o json . | jq .       the same for programs
"""
_SCHEMA = """\
examples:
  tenanthub schema tenant                print the JSON Schema of a tenant file
  tenanthub schema --write schema        write all three beside your world; then begin each file with
                                           # yaml-language-server: $schema=../schema/tenant.json
  tenanthub schema --check               say whether the shipped files are up to date
"""
_REFERENCE = """\
examples:
  tenanthub reference                    print every field as Markdown
  tenanthub reference --write docs       write docs/reference.md
  tenanthub reference --check docs       say whether it is up to date
"""


def add_commands(subparsers: Any, extra_check: ExtraCheck | None = None) -> None:
    """Register check, schema and reference; each sets `run`, a callable from the Namespace to the exit code."""

    _check_arguments(command(subparsers, "check", "say all that is wrong with a declared world", _CHECK), extra_check)
    _schema_arguments(
        command(subparsers, "schema", "print or write the JSON Schemas of site, profile and tenant files", _SCHEMA)
    )
    _reference_arguments(command(subparsers, "reference", "print or write the reference of all fields", _REFERENCE))


def check(argv: Sequence[str], extra_check: ExtraCheck | None = None) -> int:
    """`tenanthub check DIR`. SystemExit(2) where *argv* is wrong."""
    return _single("check", argv, extra_check)


def schema(argv: Sequence[str]) -> int:
    """`tenanthub schema`. SystemExit(2) where *argv* is wrong."""
    return _single("schema", argv)


def reference(argv: Sequence[str]) -> int:
    """`tenanthub reference`. SystemExit(2) where *argv* is wrong."""
    return _single("reference", argv)


def _single(command: str, argv: Sequence[str], extra_check: ExtraCheck | None = None) -> int:
    parser = argparse.ArgumentParser(prog="tenanthub")
    add_commands(parser.add_subparsers(required=True, metavar="COMMAND"), extra_check)
    arguments = parser.parse_args([command, *argv])
    run: Run = arguments.run
    return run(arguments)


def _check_arguments(parser: argparse.ArgumentParser, extra_check: ExtraCheck | None) -> None:
    world_folder(parser)
    output_format(parser)
    parser.set_defaults(run=lambda arguments: _check(arguments.directory, arguments.output, extra_check))


def _check(directory: Path, output: str, extra_check: ExtraCheck | None) -> int:
    try:
        world, problems = load(directory, extra_check), ()
    except WorldError as error:
        world, problems = None, error.problems  # type: ignore[assignment]  # the two are never both there
    print(_as_json(world, problems) if output == "json" else _as_text(world, problems))
    return 1 if problems else 0


def _as_text(world: World | None, problems: tuple[Problem, ...]) -> str:
    if world is None:
        return "\n".join([*map(str, problems), count(len(problems), "problem")])
    return f"{count(len(world.tenants), 'tenant')}, {count(len(world.profiles), 'profile')}: all right"


def _as_json(world: World | None, problems: tuple[Problem, ...]) -> str:
    told = {
        "ok": not problems,
        "tenants": sorted(world.tenants) if world else [],
        "profiles": sorted(world.profiles) if world else [],
        "problems": [asdict(problem) for problem in problems],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _schema_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", choices=tuple(schemas.MODELS), help="which one to print; default: all three")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", type=Path, metavar="DIR", help="write all three into this folder")
    what.add_argument("--check", type=Path, metavar="DIR", nargs="?", const=schemas.SHIPPED, help="default: as shipped")
    parser.set_defaults(run=_schema)


def _schema(arguments: argparse.Namespace) -> int:
    if arguments.check:
        return _report(schemas.drift(arguments.check))
    if arguments.write:
        return _writing(schemas.write, arguments.write)
    if arguments.name:
        sys.stdout.write(schemas.text(arguments.name))
    else:
        print(json.dumps({name: schemas.schema(name) for name in schemas.MODELS}, indent=2, ensure_ascii=False))
    return 0


def _reference_arguments(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--write", type=Path, metavar="DIR", help="write reference.md into this folder")
    shipped = reference_page.SHIPPED
    what.add_argument("--check", type=Path, metavar="DIR", nargs="?", const=shipped, help=f"default: {shipped}")
    parser.set_defaults(run=_reference)


def _reference(arguments: argparse.Namespace) -> int:
    if arguments.check:
        return _report(reference_page.drift(arguments.check))
    if arguments.write:
        return _writing(lambda directory: (reference_page.write(directory),), arguments.write)
    sys.stdout.write(reference_page.text())
    return 0


def _report(lines: list[str]) -> int:
    for line in lines:
        print(line)
    return 1 if lines else 0


def _writing(write: Callable[[Path], tuple[Path, ...]], directory: Path) -> int:
    try:
        for path in write(directory):
            print(path)
    except OSError as error:
        print(f"tenanthub: {directory}: cannot be written: {(error.strerror or str(error)).lower()}", file=sys.stderr)
        return 1
    return 0
