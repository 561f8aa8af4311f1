"""The image: its requirements are the repository's lock, and enough for the program."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

from tests.images.collector.running import REPOSITORY

FOLDER = REPOSITORY / "images" / "collector"


def _pins(path: Path) -> dict[str, str]:
    """Each requirement's lines (version, marker, hashes) by its name, comments left out."""
    blocks = re.split(r"\n(?=[a-z0-9])", "\n" + path.read_text())
    pins = {}
    for block in blocks:
        lines = [line.strip() for line in block.splitlines() if line.strip() and not line.strip().startswith("#")]
        if lines:
            pins[re.split(r"[=\[ ]", lines[0])[0]] = " ".join(lines)
    return pins


def test_its_requirements_are_those_of_the_lock() -> None:
    ours, lock = _pins(FOLDER / "requirements.txt"), _pins(REPOSITORY / "requirements.lock")
    assert ours
    for name, pin in ours.items():
        assert lock[name] == pin, name


def test_everything_imported_is_in_its_requirements() -> None:
    imported: set[str] = set()
    for file in (*FOLDER.glob("*.py"), REPOSITORY / "images/lib/files.py", REPOSITORY / "images/lib/rclone_rc.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {name.name.partition(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported.add(node.module.partition(".")[0])
    third_party = imported - set(sys.stdlib_module_names) - {"images"}
    assert third_party
    packages = {"OpenSSL": "pyopenssl"}
    assert {packages.get(name, name) for name in third_party} <= set(_pins(FOLDER / "requirements.txt"))
