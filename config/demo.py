"""The demo world: two research groups on one laptop."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from config.schema import write as write_schemas

PEOPLE = ("physics-admin", "physics-member", "history-member", "both-member")
"""The accounts that the demo world names."""


def write_demo(directory: Path) -> tuple[Path, ...]:
    """Write site.yaml, profiles/, tenants/ and schema/ into *directory*; return the files written.

    FileExistsError, in one clear line, where one of them is there already; then nothing is written at all.
    """
    texts = dict(_texts(files("config") / "demo", directory))
    for path in (*texts, directory / "schema"):
        if path.exists() or path.is_symlink():
            raise FileExistsError(f"{path} is there already; remove it, or name an empty folder")
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as opened:
            opened.write(text)
    return (*texts, *write_schemas(directory / "schema"))


def _texts(source: Traversable, target: Path) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    for item in sorted(source.iterdir(), key=lambda one: one.name):
        if item.is_dir():
            found += _texts(item, target / item.name)
        elif item.name.endswith(".yaml"):
            # In the repository the schemas lie beside the demo folder, in a world of one's own inside it.
            text = item.read_text(encoding="utf-8").replace("$schema=../", "$schema=", 1)
            found.append((target / item.name, text))
    return found
