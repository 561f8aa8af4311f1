"""The fence: local paths stay below the folders a run was given, links resolved."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from images.transfer.settings import TransferSettings, is_local


class FenceError(Exception):
    """A path that this run may not touch, or a secret file that others may read. The text is for people."""


def fenced(path: str, folders: Sequence[Path]) -> Path:
    """*path* with every link resolved, which lies below one of *folders* (or is one); FenceError otherwise.

    The resolved path is what the tool is given, so a link that is changed afterwards changes nothing.
    """
    real = Path(path).resolve()
    if not any(real.is_relative_to(folder.resolve()) for folder in folders):
        allowed = ", ".join(str(folder) for folder in folders) or "none"
        raise FenceError(f"{path} is outside the folders that this transfer may use ({allowed})")
    return real


def escaping_link(root: Path, folders: Sequence[Path]) -> Path | None:
    """The first link to a folder below *root* that leads out of *folders*; None where there is none.

    rclone writes through a linked folder at a local destination (it opens path by path), so such a link would let a
    file name in the source choose a place outside the fence. rsync replaces the link instead, and needs no check.
    """
    allowed = [folder.resolve() for folder in folders]
    for current, names, _ in os.walk(root):
        for name in names:
            path = Path(current, name)
            if path.is_symlink() and not any(path.resolve().is_relative_to(folder) for folder in allowed):
                return path
    return None


def private_file(path: Path, what: str) -> None:
    """FenceError unless *path* is a readable regular file that nobody else may read.

    One that belongs to somebody else (root) may be readable to its group: so Kubernetes mounts a Secret in a Pod that
    has an fsGroup. ssh draws the same line.
    """
    try:
        status = path.stat()
        with path.open("rb"):
            pass
    except OSError as error:
        raise FenceError(f"{what}: cannot read {path}: {error.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise FenceError(f"{what}: {path} is not a file")
    if status.st_mode & (0o077 if status.st_uid == os.geteuid() else 0o007):
        raise FenceError(f"{what}: {path} can be read by others; its mode must be 0600")


def resolve_endpoints(settings: TransferSettings) -> tuple[str, str]:
    """Source and destination as the tool is to see them: local ones resolved and inside the fence.

    Raises FenceError. A missing local source is refused here; a missing destination folder is made by the tool.
    """
    sides = []
    for endpoint in (settings.source, settings.destination):
        sides.append(str(fenced(endpoint, settings.folders)) if is_local(endpoint) else endpoint)
    source, destination = sides
    if is_local(source) and not Path(source).exists():
        raise FenceError(f"The source {settings.source} does not exist")
    if is_local(source) and is_local(destination):
        _refuse_nested(Path(source), Path(destination))
    if settings.tool == "rclone" and is_local(destination):
        link = escaping_link(Path(destination), settings.folders)
        if link is not None:
            raise FenceError(f"{link} is a link that leads outside the folders that this transfer may use")
    return source, destination


def _refuse_nested(source: Path, destination: Path) -> None:
    # A copy into itself never ends, and a sync of a folder into its parent deletes its own source.
    if source == destination or destination.is_relative_to(source) or source.is_relative_to(destination):
        raise FenceError("Source and destination lie within one another")
