"""`python -m spawners.local.keeper FOLDER`. Exit codes: 0 over or stopped, 2 wrong plan, 3 another keeper lives."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from spawners.local.keeper.events import Events
from spawners.local.keeper.loop import WRONG_PLAN, keep
from spawners.local.paths import WorkloadFolder


def main(arguments: list[str]) -> int:
    """Run the keeper; the exit code."""
    if len(arguments) != 1:
        print("usage: python -m spawners.local.keeper FOLDER", file=sys.stderr)
        return WRONG_PLAN
    os.umask(0o077)  # for all that the keeper and its children make
    events = Events()
    events.install()  # before all else: a SIGTERM right after the start must not kill us in the middle of a start
    try:
        return keep(WorkloadFolder(Path(arguments[0]).resolve()), events)
    except OSError as error:
        print(f"keeper: {error.filename or arguments[0]}: {error.strerror or error}", file=sys.stderr)
        return WRONG_PLAN


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
