"""`make lock`: renew the lock files from pyproject.toml and package.json.

python -m tools.lock [--upgrade]     without --upgrade, what satisfies the declared ranges stays as it is
"""

from __future__ import annotations

import subprocess
import sys

from tools.places import LOCKS, NODE_MODULES, ROOT, VENV

# One file for every Python from the oldest supported on and every machine; hashes, and no host to fetch from.
_COMPILE = (
    *("uv", "pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-emit-index-url", "--no-header", "pyproject.toml", "--extra", "setup"),
)


def commands(*, upgrade: bool) -> list[tuple[str, ...]]:
    """What to run, in order: the development lock holds exactly the versions of the other one, and more."""
    run, dev = LOCKS["run"].name, LOCKS["dev"].name
    newer = ("--upgrade",) if upgrade else ()
    return [
        (*_COMPILE, *newer, "-o", run),
        (*_COMPILE, *newer, "--extra", "dev", "-c", run, "-o", dev),
        ("npm", "update" if upgrade else "install", "--package-lock-only", "--ignore-scripts", "--no-audit"),
    ]


def main(argv: list[str]) -> int:
    """0 when all lock files are renewed, else the exit code of the command that failed."""
    if argv not in ([], ["--upgrade"]):
        print("usage: python -m tools.lock [--upgrade]", file=sys.stderr)
        return 2
    for name, *rest in commands(upgrade=bool(argv)):
        print(f"{name} {' '.join(rest)}", flush=True)
        code = subprocess.run([str(VENV / "bin" / name), *rest], check=False, cwd=ROOT).returncode
        if code:
            return code
    print(f"The next make installs what has changed into .venv and {NODE_MODULES.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
