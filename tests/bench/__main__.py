"""`python -m tests.bench`: ours and the peer measured side by side in one run. No time makes it fail."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from tests.bench import machine, table
from tests.bench.contest import FAILURES, reason, say
from tests.bench.lab import Lab, Options
from tests.bench.rows import ROWS, Row
from tests.bench.worlds import MOST

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
_EXAMPLES = """examples:
  make bench                                     everything, about a quarter of an hour
  make bench ARGS="--only launch --rounds 3"     one row
  python -m tests.bench --only collector,world --large-mib 64
  make bench ARGS=--write                        and write the tables into docs/benchmarks.md

rows:
"""


def _parser() -> argparse.ArgumentParser:
    rows = "".join(f"  {row.name:12} {row.title}\n" for row in ROWS)
    defaults = Options()
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench",
        description="Measure, ours beside the peer's, in turns. Progress on stderr, the tables on stdout.",
        epilog=_EXAMPLES + rows,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", metavar="NAME", type=_names, default=None, help="rows to measure, comma separated")
    parser.add_argument("--rounds", metavar="N", type=_positive, default=defaults.rounds,
                        help=f"turns of each contender (default: {defaults.rounds})")  # fmt: skip
    parser.add_argument("--large-mib", metavar="MIB", type=_positive, default=defaults.large_mib,
                        help=f"size of the large upload (default: {defaults.large_mib})")  # fmt: skip
    parser.add_argument("--small-files", metavar="N", type=_positive, default=defaults.small_files,
                        help=f"small uploads (default: {defaults.small_files})")  # fmt: skip
    parser.add_argument("--small-kib", metavar="KIB", type=_positive, default=defaults.small_kib,
                        help=f"size of each (default: {defaults.small_kib})")  # fmt: skip
    parser.add_argument("--tenants", metavar="N", type=_tenants, default=defaults.tenants,
                        help=f"of the rows compile and cluster (default: {defaults.tenants})")  # fmt: skip
    parser.add_argument("--peer-tenants", metavar="N", type=_tenants, default=defaults.peer_tenants,
                        help=f"as many of these for kubectl (default: {defaults.peer_tenants})")  # fmt: skip
    parser.add_argument("--launches", metavar="N", type=_positive, default=defaults.launches,
                        help=f"at once, of the row kubelaunch (default: {defaults.launches})")  # fmt: skip
    parser.add_argument("--first-launches", metavar="N", type=_positive, default=defaults.first_launches,
                        help=f"tenants of the row kubetenants (default: {defaults.first_launches})")  # fmt: skip
    parser.add_argument("--workloads", metavar="N", type=_positive, default=defaults.workloads,
                        help=f"live ones of the row kuberestart (default: {defaults.workloads})")  # fmt: skip
    parser.add_argument("--write", action="store_true", help="write the tables into docs/benchmarks.md")
    return parser


def _names(text: str) -> frozenset[str]:
    known = {row.name for row in ROWS}
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    if not names or names - known:
        raise argparse.ArgumentTypeError(f"choose from {', '.join(sorted(known))}")
    return names


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return int(text)


def _tenants(text: str) -> int:
    if (count := _positive(text)) > MOST:
        raise argparse.ArgumentTypeError(f"at most {MOST}: each has a VLAN of its own")
    return count


def measure(rows: Sequence[Row], options: Options) -> str:
    """The tables of *rows* in Markdown. Whatever was started has ended when this returns or raises."""
    parts = [machine.describe()]
    folder = Path(tempfile.mkdtemp(prefix="tenanthub-bench-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        lab = Lab(options, folder, stack)
        for row in rows:
            began = time.monotonic()
            parts.append(table.render(_section(row, lab)))
            say(f"{row.name}: done in {time.monotonic() - began:.0f} s")
        say("ending what was started …")
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _section(row: Row, lab: Lab) -> table.Section:
    """The row's tables, or why there are none: one row takes no other with it."""
    try:
        return row.run(lab)
    except FAILURES as error:
        say(f"{row.name}: could not run: {reason(error)}")
        return table.Section(row.name, row.title, notes=(f"could not run: {reason(error)}",))


def _end(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def main(argv: Sequence[str] | None = None) -> int:
    """0 when it measured, whatever came out; 1 when the page cannot be written; 130 when interrupted."""
    parser = _parser()
    chosen = parser.parse_args(argv)
    if chosen.write and chosen.only:
        parser.error("--write writes the page, which shows one run of everything: leave --only out")
    options = Options(
        chosen.rounds,
        chosen.large_mib,
        chosen.small_files,
        chosen.small_kib,
        chosen.tenants,
        chosen.peer_tenants,
        chosen.launches,
        chosen.first_launches,
        chosen.workloads,
    )
    signal.signal(signal.SIGTERM, _end)
    # A second start finds its modules compiled, unless this is set where the benchmark happens to be called.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    try:
        tables = measure([row for row in ROWS if chosen.only is None or row.name in chosen.only], options)
    except KeyboardInterrupt:
        say("interrupted; what was started has been ended")
        return 130
    print(tables, end="")
    if chosen.write:
        try:
            PAGE.write_text(table.written(PAGE.read_text(encoding="utf-8"), tables), encoding="utf-8")
        except (OSError, ValueError) as error:
            say(f"{PAGE.name}: {error}")
            return 1
        say(f"written into docs/{PAGE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
