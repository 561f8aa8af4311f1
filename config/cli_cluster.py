"""The commands about a cluster: tenanthub render, and those that ask one. hub/cli.py adds them to its own.

Exit codes of render: 0 rendered, 1 the world is wrong or not fit for a cluster, 2 the command itself was wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from config import cli_plan, cli_status
from config.declared import declared
from config.errors import WorldError
from config.load import ExtraCheck
from config.terminal import command, reader_has_gone, warn, world_folder

_RENDER = """\
examples:
  tenanthub render /etc/tenanthub                      every object of every tenant, in the order of applying
  tenanthub render . | kubectl diff --server-side -f - what the API server would say
"""


def add_commands(subparsers: Any, extra_check: ExtraCheck | None = None) -> None:
    """Register render, plan, apply, status; each sets `run`, a callable from the Namespace to the exit code."""
    _add_render(subparsers, extra_check)
    cli_plan.add_commands(subparsers, extra_check)
    cli_status.add_commands(subparsers, extra_check)


def _add_render(subparsers: Any, extra_check: ExtraCheck | None) -> None:
    summary = "print the Kubernetes objects of a declared world as YAML"
    parser = command(subparsers, "render", summary, _RENDER)
    world_folder(parser)
    parser.set_defaults(run=lambda arguments: _render(arguments.directory, extra_check))


def _render(directory: Path, extra_check: ExtraCheck | None) -> int:
    from config import render  # here, because every command of tenanthub imports this file
    from config.compile import compile_world

    try:
        wanted = declared(directory, extra_check)
    except WorldError as error:
        print(*error.problems, sep="\n", file=sys.stderr)
        return 1
    warn(wanted.doubts)
    manifests = compile_world(wanted.world)
    try:
        render.write(manifests, sys.stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        reader_has_gone()
    return 0
