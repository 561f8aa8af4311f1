"""Files that are made from the code: are they what the code would make today?

python -m tools.drift            what `make lint` asks
python -m tools.drift --write    `make generate`
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

from tools.places import ROOT, VENV


@dataclass(frozen=True)
class Generated:
    """A set of generated files, by the commands that compare them (exit 0: same) and that write them."""

    what: str
    check: tuple[str, ...]
    write: tuple[str, ...]


_TENANTHUB = str(VENV / "bin" / "tenanthub")
GENERATED: tuple[Generated, ...] = (
    Generated("schemas", (_TENANTHUB, "schema", "--check"), (_TENANTHUB, "schema", "--write", "config/schema")),
    Generated("reference", (_TENANTHUB, "reference", "--check", "docs"), (_TENANTHUB, "reference", "--write", "docs")),
)


def problems() -> list[str]:
    """One line for each set that is not up to date, with what its command said."""
    found = []
    for item in GENERATED:
        result = subprocess.run(item.check, check=False, cwd=ROOT, capture_output=True, text=True)
        if result.returncode:
            found.append(f"{item.what}: not up to date, run make generate. {(result.stdout + result.stderr).strip()}")
    return found


def main(argv: list[str]) -> int:
    """0 when everything is up to date, or has been written."""
    if argv == ["--write"]:
        return max(subprocess.run(item.write, check=False, cwd=ROOT).returncode for item in GENERATED)
    found = problems()
    print("\n".join(found) or "generated files are up to date")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
