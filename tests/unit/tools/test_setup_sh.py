"""tools/setup.sh: which Python it takes, and the one line it says when there is none."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.places import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools" / "setup.sh", tmp_path / "tools")
    (tmp_path / "bin").mkdir()
    dirname = shutil.which("dirname")
    assert dirname
    (tmp_path / "bin" / "dirname").symlink_to(dirname)
    return tmp_path


def python(checkout: Path, name: str, version: str) -> None:
    """A stand-in that answers the version question as Python would, and says who it is when it is handed the work."""
    old = tuple(map(int, version.split("."))) < (3, 11)
    path = checkout / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'''#!/bin/sh
case "$*" in
  *sys.version_info*) echo {version}; exit {int(old)} ;;
  *"-m tools.setup"*) echo "{name} was taken: $*" ;;
esac
''')
    path.chmod(0o755)


def run(checkout: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    sh = shutil.which("sh", path=os.defpath) or "/bin/sh"
    argv = [sh, "tools/setup.sh", "run"]
    return subprocess.run(
        argv, cwd=checkout, env={"PATH": str(checkout / "bin"), **environ}, check=False, capture_output=True, text=True
    )


@pytest.mark.parametrize(
    ("there", "taken"),
    [
        ({"python3": "3.11"}, "python3"),
        ({"python3": "3.14", "python3.11": "3.11"}, "python3"),
        ({"python3": "3.9", "python3.11": "3.11"}, "python3.11"),
        ({"python3": "3.9", "python3.11": "3.11", "python3.13": "3.13"}, "python3.13"),
        ({"python3.12": "3.12"}, "python3.12"),
    ],
)
def test_the_first_new_enough_is_taken(checkout: Path, there: dict[str, str], taken: str) -> None:
    for name, version in there.items():
        python(checkout, f"bin/{name}", version)
    result = run(checkout)
    assert result.stdout.startswith(f"bin/{taken} was taken: -E -s -S -m tools.setup run"), result


def test_the_finished_venv_goes_first(checkout: Path) -> None:
    python(checkout, "bin/python3", "3.14")
    python(checkout, ".venv/bin/python", "3.11")
    assert run(checkout).stdout.startswith(".venv/bin/python was taken")


def test_a_venv_whose_python_has_gone_is_passed_over(checkout: Path) -> None:
    python(checkout, "bin/python3", "3.14")
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / ".venv" / "bin" / "python").symlink_to("/nonexistent/python3.11")
    assert run(checkout).stdout.startswith("bin/python3 was taken")


def test_a_named_python_is_the_only_one_tried(checkout: Path) -> None:
    python(checkout, "bin/python3", "3.14")
    python(checkout, ".venv/bin/python", "3.11")
    python(checkout, "bin/mine", "3.12")
    assert run(checkout, PYTHON="mine").stdout.startswith("bin/mine was taken")
    gone = run(checkout, PYTHON="gone")
    assert gone.returncode == 1
    assert "PYTHON=gone does not run" in gone.stderr


def test_too_old_and_none_are_one_line_each(checkout: Path) -> None:
    none = run(checkout)
    assert (none.returncode, none.stdout) == (1, "")
    assert none.stderr.startswith("make: no Python found on the PATH.")
    python(checkout, "bin/python3", "3.9")
    old = run(checkout)
    assert old.returncode == 1
    assert old.stderr.startswith("make: TenantHub needs Python 3.11 or newer: python3 is 3.9.")
    assert none.stderr.count("\n") == old.stderr.count("\n") == 1
