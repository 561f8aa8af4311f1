"""python -m tests.cluster.bed up | down | status | build: a real Kubernetes on this machine for the tests."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
from functools import partial

from tests.cluster.bed import binaries, rise, teardown
from tests.cluster.bed.crds import SETS
from tests.cluster.bed.names import NODES, Bed, BedError
from tests.cluster.bed.needs import missing

say = partial(print, flush=True)


def main(argv: list[str] | None = None) -> int:
    """0 when it was done, 1 when not (the reason is the last line on stderr), 2 for wrong arguments."""
    wanted = _parser().parse_args(argv)
    # Ended from outside, `up` takes down what it has raised so far; so do Ctrl-C and a closed terminal.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(143))
    try:
        _do(wanted)
    except (BedError, OSError) as error:
        print(f"{wanted.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{wanted.command}: stopped", file=sys.stderr)
        return 130
    return 0


def _do(wanted: argparse.Namespace) -> None:
    if wanted.command in ("down", "status") and os.geteuid() != 0:
        raise BedError("needs root, as raising a bed does")
    if wanted.command == "up":
        if reasons := missing():
            raise BedError("\n    ".join(["no test bed on this machine:", *reasons]))
        _next(rise.up(wanted.name, wanted.nodes, wanted.crds, say, keep=wanted.keep))
    elif wanted.command == "down":
        for name in teardown.everything() if wanted.all else [wanted.name]:
            teardown.down(name, say)
    elif wanted.command == "build":
        binaries.ensure(say)
        say("everything is in the cache")
    else:
        rise.status(say)


def _next(bed: Bed) -> None:
    end = "make cluster-down" if bed.name == "bed" else f"python -m tests.cluster.bed down --name {bed.name}"
    # The cache's own kubectl where the machine has none.
    kubectl = "kubectl" if shutil.which("kubectl") else binaries.ensure(say, binaries.CONTROL_PLANE).kubectl
    what = "nodes -o wide" if bed.nodes else "namespaces"
    say(f"\n    export KUBECONFIG={bed.kubeconfig}\n    {kubectl} get {what}\n")
    say(f"Take it down with: {end}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.bed", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="raise a bed; what is not built yet is built first")
    up.add_argument("--nodes", type=int, default=NODES, choices=(0, NODES), help="0: a control plane alone")
    up.add_argument("--crds", default="current", choices=SETS, help="which add-ons' definitions")
    up.add_argument("--keep", action="store_true", help="leave a bed that could not be raised as it is")
    down_ = commands.add_parser("down", help="take a bed down, whatever state it is in")
    down_.add_argument("--all", action="store_true", help="every bed of this machine")
    for command in (up, down_):
        command.add_argument("--name", default="bed", help="1 to 8 characters of a-z and 0-9; default: bed")
    commands.add_parser("build", help="build or fetch all programs into the cache")
    commands.add_parser("status", help="which beds there are")
    return parser


if __name__ == "__main__":
    sys.exit(main())
