"""rsync: its command lines, and what its output says. Pure; as measured with rsync 3.2 to 3.5."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from images.transfer.events import Deleted, Event, Note, Planned, Stats, Trouble, Verified
from images.transfer.rclone import Step
from images.transfer.settings import SSH_ENDPOINT, TransferSettings, is_local
from images.transfer.ssh import ALIAS

SSH_CONFIG = "ssh_config"
# Exit codes (man rsync, EXIT VALUES) after which the same command may succeed: lost connection, timeouts, files that
# vanished while being read.
WORTH_A_RETRY = frozenset({10, 12, 24, 30, 35})
PARTIAL_DIR = ".rsync-partial"

COMMON = (
    "  GlobalKnownHostsFile /dev/null",
    "  StrictHostKeyChecking yes",  # ssh takes the first value that it reads: what is said before, holds
    "  IdentitiesOnly yes",
    "  BatchMode yes",
    "  ForwardAgent no",
    "  ForwardX11 no",
    "  ClearAllForwardings yes",
    "  ConnectTimeout 20",
    "  ServerAliveInterval 15",
)
"""Lines of the ssh configuration for whatever host."""

_PROGRESS = re.compile(
    r"^\s*(?P<bytes>[\d,.]+)\s+(?P<percent>\d+)%\s+(?P<speed>[\d.]+)(?P<unit>[kMGT]?)B/s\s+(?P<eta>\d+:\d+:\d+)"
    r"(?:\s+\(xfr#(?P<files>\d+), \w+-chk=(?P<left>\d+)/(?P<total>\d+)\))?"
)
_ITEM = re.compile(r"^item:(?P<what>\S+)\s*:(?P<size>\d+):(?P<path>.*)$")
_TOTAL = re.compile(r"^Number of files: [\d,]+ \(reg: ([\d,]+)")
_UNITS = {"": 1, "k": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}


def command(settings: TransferSettings, step: Step, source: str, destination: str) -> list[str]:
    """The argv of one *step*, to be run in the run's folder (the ssh configuration is named relative to it, so no path
    needs quoting inside -e). `--` ends the options, so a path is never taken for one."""
    argv = [
        settings.rsync,
        "-rlt",  # neither owner nor devices: this runs without root, and must not make setuid files where it is root
        "--safe-links",
        "--no-inc-recursive",  # else the totals grow while it runs, and the percentage with them
        "--info=progress2",
        "--no-human-readable",
        "--outbuf=L",
        "--stats",
        "--out-format=item:%i:%l:%n",
        "--timeout=120",
        f"--partial-dir={PARTIAL_DIR}",  # an interrupted big file goes on where it stopped
        *filters(settings),
    ]
    if not (is_local(source) and is_local(destination)):
        # --secluded-args (-s): the remote shell never sees a file name; -e: our own configuration and nothing else's.
        argv += ["-s", "-e", f"ssh -F {SSH_CONFIG}"]
    if destination.startswith(ALIAS):
        argv.append("--mkpath")  # a remote's folder is made with all above it, as rclone does (rsync 3.2.3)
    if settings.bandwidth:
        argv.append(f"--bwlimit={settings.bandwidth}")
    if step in ("dry-run", "check"):
        argv.append("-n")
    if settings.checksum:
        argv.append("-c")
    if settings.mode == "sync":
        argv.append("--delete-delay")
        if settings.max_delete is not None and step == "transfer":
            argv.append(f"--max-delete={settings.max_delete}")
    if settings.mode == "move" and step == "transfer":
        argv.append("--remove-source-files")
    return [*argv, "--", _source_argument(source), destination]


def _source_argument(source: str) -> str:
    # "The contents of the folder", as rclone means it. Of a remote path we cannot know whether it is a folder.
    return f"{source}/" if is_local(source) and Path(source).is_dir() else source


def filters(settings: TransferSettings) -> list[str]:
    """Filter rules ("- " and "+ " with the pattern behind, so a pattern cannot be read as another kind of rule)."""
    rules = [f"- {pattern}" for pattern in settings.exclude]
    if settings.include:
        rules += ["+ */", *(f"+ {pattern}" for pattern in settings.include), "- *"]
    prune = ["--prune-empty-dirs"] if settings.include else []
    return [*prune, *(f"--filter={rule}" for rule in rules)]


def ssh_config(settings: TransferSettings, endpoint: str) -> str:
    """The text of the one ssh configuration file in force. ValueError where *endpoint* is no ssh endpoint."""
    match = SSH_ENDPOINT.match(endpoint)
    if match is None:
        raise ValueError(f"{endpoint!r} is not user@host:path")
    return "\n".join(
        [
            "Host *",
            f"  Port {settings.ssh_port}",
            f'  IdentityFile "{settings.ssh_key}"',
            f'  UserKnownHostsFile "{settings.ssh_known_hosts}"',
            f"  StrictHostKeyChecking {'yes' if settings.ssh_host_keys == 'known' else 'accept-new'}",
            *COMMON,
            "",
        ]
    )


def parse(step: Step, line: str) -> Iterator[Event]:
    """The events in one line (split at \\r and \\n) of the output of *step*."""
    text = line.rstrip()
    if (progress := _PROGRESS.match(text)) is not None:
        yield _progress(progress)
    elif (item := _ITEM.match(text)) is not None:
        event = _item(step, item["what"], int(item["size"]), item["path"])
        if event is not None:
            yield event
    elif (total := _TOTAL.match(text)) is not None:
        yield Stats(compared=int(total[1].replace(",", "")))
    elif text.startswith(("rsync:", "rsync error:", "ssh:", "Host key", "Permission denied", "@ERROR")) or (
        "Permission denied (" in text
    ):
        yield Trouble(text, fatal=text.startswith("rsync error:"))


def _progress(match: re.Match[str]) -> Stats:
    done = int(re.sub(r"[,.]", "", match["bytes"]))
    percent = int(match["percent"])
    hours, minutes, seconds = (int(part) for part in match["eta"].split(":"))
    total = int(match["total"]) if match["total"] else None
    return Stats(
        bytes=done,
        total_bytes=round(done * 100 / percent) if percent else None,
        files=int(match["files"]) if match["files"] else None,
        total_files=total,
        speed_bps=float(match["speed"]) * _UNITS[match["unit"]],
        eta_s=float(hours * 3600 + minutes * 60 + seconds),
    )


def _item(step: Step, what: str, size: int, path: str) -> Event | None:
    """%i (man rsync, --itemize-changes): "<" or ">" a transfer, then the file type; "*deleting" a deletion."""
    is_folder = path.endswith("/")
    if what.startswith("*deleting"):
        if is_folder:
            return None
        if step == "dry-run":
            return Planned("delete", path, None)
        return Verified(different=1) if step == "check" else Deleted(path)
    if what[:1] not in "<>c" or what[1:2] == "d":
        return None
    if step == "dry-run":
        return Planned("copy", path, size)
    if step == "check":
        # In a check only contents count: "c" at place 2 is a checksum that differs, "+" a file that is missing.
        return Verified(different=1) if what[:1] in "<>" else None
    return Stats(current=(path,))


__all__ = ["SSH_CONFIG", "WORTH_A_RETRY", "Note", "command", "filters", "parse", "ssh_config"]
