"""Starting an engine: what it says goes into a log, and the end of that into the error."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools.images.problem import BuildError

TAIL = 25
TIMEOUT_S = 3600


def run(argv: Sequence[str], log: Path, extra: Mapping[str, str] | None = None) -> None:
    """Run it to its end, all that it says appended to *log*. BuildError with the log's end where it fails."""
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with log.open("ab") as stream:
            done = subprocess.run(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env={**os.environ, **(extra or {})},
                timeout=TIMEOUT_S,
                check=False,
            )
    except FileNotFoundError:
        raise BuildError(f"{argv[0]} is not installed") from None
    except subprocess.TimeoutExpired:
        raise BuildError(f"{argv[0]} did not end within {TIMEOUT_S // 60} minutes; its log is {log}") from None
    if done.returncode:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-TAIL:]
        raise BuildError("\n    ".join([f"{Path(argv[0]).name} ended with {done.returncode}; {log} ends so:", *lines]))


def said(argv: Sequence[str], extra: Mapping[str, str] | None = None) -> str | None:
    """What a command that only asks something prints; None where it fails or is not there."""
    try:
        done = subprocess.run(
            list(argv),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(extra or {})},
            timeout=60,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
