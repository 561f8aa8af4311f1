"""What each image is made of: a folder with exactly these files is what an engine gets to see, and a hash of them is
what a finished image is known by. A file that an image needs and that is not named here makes its build fail."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.places import ROOT

FORMAT = "1"
"""Raised when this program builds otherwise from the same files, so that no older image is taken for a new one."""
_SKIPPED = {"__pycache__", "node_modules", ".mypy_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Image:
    """One image: its name, and the files and folders of the checkout that it is built from."""

    name: str
    files: tuple[str, ...]

    @property
    def containerfile(self) -> str:
        """Below the context's folder."""
        return f"images/{self.name}/Containerfile"


_EACH = ("images/base", "images/__init__.py", "images/lib")
IMAGES: tuple[Image, ...] = (
    # What takes longest first, so that the others are made beside it; then app, whose environment is that of ide, too.
    Image("ide", (*_EACH, "images/app", "images/ide")),
    Image("app", (*_EACH, "images/app")),
    Image(
        "hub",
        (
            *("images/base", "images", "hub", "spawners", "config"),
            *("pyproject.toml", "README.md", "LICENSE", "package.json", "package-lock.json"),
        ),
    ),
    Image("notebook", (*_EACH, "images/notebook")),
    Image("crawler", (*_EACH, "images/crawler")),
    Image("collector", (*_EACH, "images/collector")),
    Image("transfer", (*_EACH, "images/transfer")),
)
NAMES = tuple(sorted(image.name for image in IMAGES))


def files(image: Image, root: Path = ROOT) -> Iterator[Path]:
    """The files of *image*, relative to *root*, in order. FileNotFoundError names one that is missing."""
    found: set[Path] = set()
    for name in image.files:
        path = root / name
        if not path.exists():
            raise FileNotFoundError(f"{name}, of the image {image.name}, is not in this checkout")
        every = path.rglob("*") if path.is_dir() else (path,)
        found |= {one.relative_to(root) for one in every if one.is_file() and not _SKIPPED & set(one.parts)}
    yield from sorted(one for one in found if one.suffix != ".pyc")


def key(image: Image, base: str, root: Path = ROOT) -> str:
    """16 hexadecimal digits of SHA-256 over what *image* is made from: its files, and the base by its name or key."""
    digest = hashlib.sha256()
    parts = [FORMAT.encode(), image.name.encode(), base.encode()]
    for file in files(image, root):
        parts += [str(file).encode(), (root / file).read_bytes()]
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()[:16]


def stage(image: Image, folder: Path, root: Path = ROOT) -> None:
    """Copy the files into *folder*, the build's context.

    With the same rights whatever the checkout's are: the image's user is not its owner and has to read them.
    """
    for file in files(image, root):
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file, target)
        target.chmod(0o644)
    for path in (folder, *(one for one in folder.rglob("*") if one.is_dir())):
        path.chmod(0o755)
