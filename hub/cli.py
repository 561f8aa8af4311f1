"""`tenanthub`: one command for operators and for the embedded hub."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

_EXAMPLES = """examples:
  tenanthub run                      start everything on this machine
  tenanthub check world/             is the declared world right?
  tenanthub plan world/              what would apply change in the cluster?
  tenanthub token physics-member     an API token, for scripts
  tenanthub stop                     end the hub and all it has started
"""


def _parser() -> argparse.ArgumentParser:
    from config import cli as config_cli
    from config import cli_cluster

    parser = argparse.ArgumentParser(
        prog="tenanthub", description=__doc__, epilog=_EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    add = commands.add_parser("run", help="start the embedded hub on this machine", description=_RUN_HELP,
                              formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    add.set_defaults(run=_run)
    add = commands.add_parser("stop", help="end the embedded hub and everything that it has started")
    add.set_defaults(run=_stop)
    add = commands.add_parser("token", help="print an API token of an account of the running hub")
    add.add_argument("user", help="account, e.g. physics-member or tenant-physics")
    add.add_argument("--expires", type=int, default=86400, metavar="SECONDS", help="default: 86400, a day")
    add.add_argument("--note", default="tenanthub token", help="shown on the account's token page")
    add.set_defaults(run=_token)
    for part, what in _PARTS.items():
        add = commands.add_parser(part, help=f"on a cluster: {what}", description=_PART_HELP.format(what=what))
        add.set_defaults(run=_part, part=part)
    config_cli.add_commands(commands, extra_check=_kind_check)
    cli_cluster.add_commands(commands, extra_check=_kind_check)
    return parser


_RUN_HELP = """Start TenantHub on this machine: real JupyterHub, object store, proxy and portal, no cluster.

environment:
  TENANTHUB_PORT    port of the pages on 127.0.0.1 (8000)
  TENANTHUB_STATE   folder that everything is kept in (./state)
  TENANTHUB_CONFIG  the declared world (a demo world, written into the state folder at first start)
"""


_PARTS = {
    "hub": "be the hub",
    "portal": "be the portal",
    "culler": "end idle servers",
    "proxy": "be the proxy in front of hub and portal",
}
_PART_HELP = "Become one part of TenantHub on a cluster: {what}. Settings: docs/hub-on-a-cluster.md."


def _part(arguments: argparse.Namespace) -> int:
    from hub.cluster.main import start

    return start(arguments.part)


def _kind_check(world, sources):  # type: ignore[no-untyped-def]
    from spawners.check import check_profiles
    from spawners.kinds.registry import load_kinds

    return check_profiles(world, sources, load_kinds())


def _run(_: argparse.Namespace) -> int:
    from hub.embedded.run import run

    return run()


def _stop(_: argparse.Namespace) -> int:
    from hub.embedded.stop import stop

    return stop()


def _token(arguments: argparse.Namespace) -> int:
    from hub.embedded.token import token

    return token(arguments.user, arguments.expires, arguments.note)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
