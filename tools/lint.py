"""`make lint`: every check, one line each, all of them even when an early one fails.

python -m tools.lint [NAME ...]      only the named checks
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

from tools import dependencies, drift, files
from tools.places import ROOT, VENV

Check = Callable[[], list[str]]


def command(*argv: str) -> list[str]:
    """The output of a program of .venv that failed, as lines; nothing when it found nothing."""
    result = subprocess.run(
        [str(VENV / "bin" / argv[0]), *argv[1:]], check=False, cwd=ROOT, capture_output=True, text=True
    )
    return (
        (result.stdout + result.stderr).splitlines() or [f"exit code {result.returncode}"] if result.returncode else []
    )


CHECKS: dict[str, Check] = {
    "style": partial(command, "ruff", "check", "--output-format=concise", "."),
    "format": partial(command, "ruff", "format", "--check", "--output-format=concise", "."),
    "types": partial(command, "mypy"),
    "imports": partial(command, "lint-imports", "--no-logo"),
    "length": lambda: files.too_long(files.tracked()),
    "traces": lambda: files.forbidden(files.tracked()),
    "generated": drift.problems,
    "locks": dependencies.lock_problems,
    "dependencies": dependencies.page_problems,
}


def main(argv: list[str]) -> int:
    """0 when every check found nothing, 1 when one did, 2 for a check that there isn't."""
    if unknown := [name for name in argv if name not in CHECKS]:
        print(f"no such check: {', '.join(unknown)}; there are {', '.join(CHECKS)}", file=sys.stderr)
        return 2
    failed = []
    for name in argv or CHECKS:
        started = time.monotonic()
        try:
            problems = CHECKS[name]()
        except (RuntimeError, OSError) as error:
            problems = [str(error)]
        print(f"{name:13} {'FAILED' if problems else 'ok':6} {time.monotonic() - started:5.1f} s", flush=True)
        for line in problems:
            print(f"    {line}", flush=True)
        if problems:
            failed.append(name)
    print(f"make lint: {', '.join(failed)} failed" if failed else f"make lint: all {len(argv or CHECKS)} checks passed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
