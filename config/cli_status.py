"""`tenanthub status DIR [TENANT]`: what is declared against what is there. config/cli_cluster.py adds it.

Exit codes: 0 all as declared, 1 the world is wrong or the cluster does not answer, 2 something is not as declared
(or the command itself was wrong).
"""

from __future__ import annotations

import argparse
import sys
import time
from typing import Any

from config.declared import declared
from config.errors import WorldError
from config.load import ExtraCheck
from config.terminal import coloured, command, output_format, reader_has_gone, warn, which_cluster, world_folder

_EXAMPLES = """\
examples:
  tenanthub status /etc/tenanthub            one line a tenant, and what is wrong
  tenanthub status /etc/tenanthub physics    everything about one tenant
  tenanthub status . physics --watch         the same anew every 5 seconds
  tenanthub status . -o json | jq -r '.tenants[] | select(.as_declared | not) | .name'

exit codes: 0 all as declared, 1 an error, 2 something is not as declared
"""
_CLEAR = "\x1b[H\x1b[2J"


def add_commands(subparsers: Any, extra_check: ExtraCheck | None = None) -> None:
    """Register status; it sets `run`, a callable from the Namespace to the exit code."""
    summary = "say what is declared against what is there: nodes, addresses, gateways, quota, walls"
    parser = command(subparsers, "status", summary, _EXAMPLES, " Nothing is changed.")
    world_folder(parser)
    parser.add_argument("tenant", nargs="?", metavar="TENANT", help="this one in full; default: one line each")
    which_cluster(parser)
    output_format(parser)
    parser.add_argument(
        "--watch", type=_seconds, nargs="?", const=5.0, metavar="SECONDS", help="again and again; default: 5"
    )
    parser.set_defaults(run=lambda arguments: _status(arguments, extra_check))


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.1 <= seconds <= 86400:
        raise argparse.ArgumentTypeError("between 0.1 and 86400 seconds")
    return seconds


def _status(arguments: argparse.Namespace, extra_check: ExtraCheck | None) -> int:
    from config.cluster.client import ClusterError

    while True:
        try:
            text, code = _once(arguments, extra_check)
        except WorldError as error:
            text, code = "\n".join(map(str, error.problems)), 1
        except ClusterError as error:
            text, code = f"tenanthub: {error}", 1
        # an error while watching is shown like any other state: the API server may be back in five seconds
        screen = arguments.watch is not None and sys.stdout.isatty() and arguments.output == "text"
        stream = sys.stderr if code == 1 and not screen else sys.stdout
        try:
            print((_CLEAR if screen else "") + text, file=stream, flush=True)
        except BrokenPipeError:
            reader_has_gone()
            return code
        if arguments.watch is None:
            return code
        time.sleep(arguments.watch)


def _once(arguments: argparse.Namespace, extra_check: ExtraCheck | None) -> tuple[str, int]:
    """The report as text, and the exit code. WorldError, ClusterError."""
    from config.cluster.client import Cluster, ClusterError
    from config.cluster.planning import without_collector
    from config.cluster.status import read
    from config.compile import compile_world
    from config.status.asjson import as_json
    from config.status.report import report
    from config.status.text import as_text

    fit = declared(arguments.directory, extra_check)
    warn(fit.doubts)
    world = fit.world
    only = arguments.tenant
    if only is not None and only not in world.tenants:
        raise ClusterError(f"{only} is not declared in {arguments.directory}; declared are {', '.join(world.tenants)}")
    cluster = Cluster.connect(arguments.kubeconfig, arguments.context)
    with without_collector():
        wanted = compile_world(world)
        told = report(world, wanted, read(cluster, world, wanted, only), only)
    if arguments.output == "json":
        text = as_json(told, one_line=arguments.watch is not None)
    else:
        text = as_text(told, _paint(), table=only is None)
    return text, 0 if told.as_declared else 2


def _paint() -> Any:
    from config.status.paint import Paint

    colour = coloured(sys.stdout)
    try:
        "✓✗‼·…".encode(sys.stdout.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return Paint(colour, plain=True)
    return Paint(colour)
