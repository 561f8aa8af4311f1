"""rclone: its command lines, and what its JSON log says. Pure; as measured with rclone 1.75.2."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Literal

from images.transfer.events import Event, Note, Planned, Stats, Trouble, Verified
from images.transfer.settings import TransferSettings

Step = Literal["dry-run", "transfer", "check"]

# With these a mistyped bucket is an error ("no such bucket"); without, rclone would quietly make the bucket.
NEVER_MAKE_BUCKETS = ("--s3-no-check-bucket", "--gcs-no-check-bucket", "--azureblob-no-check-container")
_COUNT = re.compile(r"^(\d+) (matching files|differences found|hashes could not be checked)")


def command(settings: TransferSettings, step: Step, source: str, destination: str) -> list[str]:
    """The argv of one *step*. Every value from the settings is inside an `--option=value` or after a check of its form
    (a local path begins with "/", a remote with a word character), so none can be taken for an option."""
    verb = "check" if step == "check" else settings.mode
    argv = [
        settings.rclone,
        verb,
        source,
        destination,
        # Where no remote is involved rclone must not read the configuration of whoever runs this.
        f"--config={settings.rclone_config or '/dev/null'}",
        "--ask-password=false",
        "--use-json-log",
        "--log-level=INFO",
        "--stats=1s",
        "--stats-log-level=NOTICE",
        "--stats-file-name-length=0",
        f"--transfers={settings.transfers}",
        f"--retries={settings.retries + 1}",
        "--retries-sleep=2s",
        "--low-level-retries=4",  # with the default of 10 a store that is down is told only after minutes
        *NEVER_MAKE_BUCKETS,
        *filters(settings),
    ]
    if settings.bandwidth:
        argv.append(f"--bwlimit={settings.bandwidth}")
    if step == "check":
        # After a copy the destination may hold more than the source; after a sync it must not.
        return argv if settings.mode == "sync" else [*argv, "--one-way"]
    if settings.checksum:
        argv.append("--checksum")
    if step == "dry-run":
        return [*argv, "--dry-run"]  # without the guard, which would end the dry run before it has counted
    if settings.max_delete is not None:
        argv.append(f"--max-delete={settings.max_delete}")
    return argv


def filters(settings: TransferSettings) -> list[str]:
    """Filter rules in one order (--include beside --exclude has none: https://rclone.org/filtering/): first what is
    left out, then what is taken, then, if anything was named to take, nothing else."""
    rules = [f"- {pattern}" for pattern in settings.exclude] + [f"+ {pattern}" for pattern in settings.include]
    if settings.include:
        rules.append("- **")
    return [f"--filter={rule}" for rule in rules]


def parse(line: str) -> Iterator[Event]:
    """The events in one line of the JSON log. A line that is not JSON is a Note."""
    try:
        row: Any = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict):
        if line.strip():
            yield Note(line.strip())
        return
    message = str(row.get("msg", "")).strip()
    level = row.get("level")
    if isinstance(row.get("stats"), dict):
        yield _stats(row["stats"])
    elif "skipped" in row:
        yield _planned(row)
    elif (count := _COUNT.match(message)) is not None:
        yield _verified(int(count[1]), count[2])
    elif level in ("error", "critical") or message.startswith("Failed to "):
        yield Trouble(message, row.get("object") or None, fatal=level == "critical" or message.startswith("Failed to "))
    elif level != "info":  # one info line a copied file: the counts tell it already
        yield Note(message)


def _stats(row: dict[str, Any]) -> Stats:
    current = tuple(str(item.get("name", "")) for item in row.get("transferring") or [])
    # rclone counts the comparison of a deleted file as a check too.
    compared = int(row.get("checks", 0)) - int(row.get("deletes", 0))
    return Stats(
        bytes=int(row.get("bytes", 0)),
        total_bytes=int(row.get("totalBytes", 0)),
        files=int(row.get("transfers", 0)),
        total_files=int(row.get("totalTransfers", 0)),
        speed_bps=float(row.get("speed") or 0),
        eta_s=row.get("eta"),
        current=current,
        errors=int(row.get("errors", 0)),
        deleted=int(row.get("deletes", 0)),
        compared=max(0, compared),
    )


def _planned(row: dict[str, Any]) -> Planned:
    actions: dict[str, Literal["copy", "delete", "move"]] = {"copy": "copy", "delete": "delete", "move": "move"}
    size = row.get("size")
    return Planned(
        actions.get(str(row["skipped"]), "other"),
        str(row.get("object", "")),
        int(size) if isinstance(size, int) and size >= 0 else None,
    )


def _verified(count: int, what: str) -> Verified:
    if what == "matching files":
        return Verified(matching=count)
    return Verified(different=count) if what == "differences found" else Verified(size_only=count)


def diagnosis(settings: TransferSettings, endpoint: str) -> list[str]:
    """Ask for the top of a remote's bucket, once: rclone takes a refused or unreachable object store for "a file"
    (its HEAD fails, its listing fails, so it assumes an object), and only a listing tells the true reason."""
    remote, _, path = endpoint.partition(":")
    bucket = path.strip("/").split("/", 1)[0]
    return [
        settings.rclone,
        "lsf",
        f"{remote}:{bucket}",
        f"--config={settings.rclone_config or '/dev/null'}",
        "--ask-password=false",
        "--use-json-log",
        "--max-depth=1",
        "--files-only",
        "--retries=1",
        "--low-level-retries=1",
        "--contimeout=5s",
        "--timeout=10s",
    ]
