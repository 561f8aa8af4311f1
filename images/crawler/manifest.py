"""manifest.json: what a run was asked, what came of it, and every file with its size and checksum."""

from __future__ import annotations

import hashlib
import json
import platform
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from images.crawler.archive import PAGES
from images.crawler.settings import CrawlSettings
from images.crawler.upload import MANIFEST

FORMAT = "tenanthub-crawl/1"
# Where this machine keeps things is of no use to the archive's reader.
PRIVATE = frozenset({"rclone", "rclone_config", "run_dir", "salvage_dirs", "upload_retry_s", "stop_upload_s"})
PACKAGES = ("scrapy", "twisted", "warcio", "protego")


def public_settings(settings: CrawlSettings) -> dict[str, Any]:
    """The settings as they are published with the run."""
    return settings.model_dump(mode="json", exclude=set(PRIVATE))


def software() -> dict[str, str]:
    """Names and versions of what made the archive."""
    found = {"python": platform.python_version()}
    for package in ("tenanthub", *PACKAGES):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def list_files(folder: Path) -> list[dict[str, Any]]:
    """Name, size in bytes and SHA-256 of each file of a run, the manifest itself left out. OSError."""
    return [
        {"name": path.name, "size": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
        if path.is_file() and path.name != MANIFEST and not path.name.startswith(".")
    ]


def statuses(rows: Iterator[dict[str, Any]]) -> dict[str, int]:
    """How many answers there were of each HTTP status."""
    return {str(status): count for status, count in sorted(Counter(row["status"] for row in rows).items())}


def read_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The lines of pages.jsonl; none where the file is missing."""
    path = folder / PAGES
    if path.exists():
        with path.open(encoding="utf-8") as lines:
            for line in lines:
                yield json.loads(line)


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
