"""What every command of tenanthub shares: its arguments, colours, a reader that has gone, numbers in words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO


def command(subparsers: Any, name: str, summary: str, examples: str, more: str = "") -> argparse.ArgumentParser:
    """A command: its line in `tenanthub --help`, a description (*summary* and *more*) and *examples* as they are."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=f"{summary[0].upper()}{summary[1:]}.{more}",
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def world_folder(parser: argparse.ArgumentParser) -> None:
    """The argument DIR, as `directory`."""
    parser.add_argument("directory", type=Path, metavar="DIR", help="folder with site.yaml, profiles/ and tenants/")


def which_cluster(parser: argparse.ArgumentParser) -> None:
    """The options --kubeconfig and --context."""
    parser.add_argument("--kubeconfig", type=Path, metavar="FILE", help="default: KUBECONFIG, then ~/.kube/config")
    parser.add_argument("--context", metavar="NAME", help="context of the kubeconfig; default: its current one")


def output_format(parser: argparse.ArgumentParser) -> None:
    """The option -o, as `output`: text or json."""
    parser.add_argument("-o", "--output", choices=("text", "json"), default="text", help="default: text")


def warn(doubts: Iterable[object]) -> None:
    """On stderr, one line each."""
    for doubt in doubts:
        print(f"warning: {doubt}", file=sys.stderr)


def coloured(stream: TextIO) -> bool:
    """Whether colours are wanted there: a terminal, and neither NO_COLOR (no-color.org) nor TERM=dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def reader_has_gone() -> None:
    """After a BrokenPipeError on stdout (`| head`: the reader has seen enough): Python would complain again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def count(number: int, noun: str) -> str:
    """1 Pod, 2 Pods."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
