"""Worlds as data: a small good base with a case's few files laid over it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "data" / "worlds"


def cases(sort: str) -> list[str]:
    return sorted(path.name for path in (DATA / sort).iterdir() if path.is_dir())


def lay(target: Path, *overlays: Path) -> Path:
    """The base world in *target*, then each overlay's files over it."""
    for source in (DATA / "base", *overlays):
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("expected.txt"))
    return target


def write(target: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        (target / name).write_text(text, encoding="utf-8")
    return target


def compare(golden: Path, got: str, config: pytest.Config) -> None:
    """*got* is what the golden file says; `--update-goldens` or UPDATE_GOLDENS=1 writes it instead."""
    if config.getoption("--update-goldens", default=False) or os.environ.get("UPDATE_GOLDENS") == "1":
        golden.write_text(got, encoding="utf-8")
    assert got == golden.read_text(encoding="utf-8")
