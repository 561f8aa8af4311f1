"""python -P -m images.lib.run PROGRAM SETTINGS.json RUNS: one run of a program that only the kubelet watches.

On a laptop the keeper gives each run its name and its folder and notes how it ended. In a Pod this does the same: it
adds run_id and run_dir to the settings, starts `python -P -m PROGRAM` with them, hands on SIGTERM, and leaves the
result where Kubernetes keeps it when the Pod is done: the container's termination message, at most 4096 bytes of JSON.
Exit code: the program's own (128 + N where signal N ended it), or 2 for settings that cannot be read.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from images.lib.files import read_json, replace_json

MESSAGE_LIMIT = 4096
"""Bytes (Kubernetes, "Determine the Reason for Pod Failure", Customizing the termination message)."""
_MESSAGE_FILE = "TENANTHUB_TERMINATION_LOG"
_DEFAULT_FILE = "/dev/termination-log"
WRONG_SETTINGS = 2
JOB = "TENANTHUB_JOB"
"""Variable with the name of the Job that this Pod tries (downward API, label batch.kubernetes.io/job-name)."""
_MINUTES, _SECONDS = re.compile(r"[1-9][0-9]{6,7}"), re.compile(r"m?[0-9a-f]{8}")
_MOST_MINUTES = 60_000_000


def run_id(moment: datetime, host: str) -> str:
    """Start in UTC and the end of the Pod's or Job's name: unique, in order, and it tells whose. Pure.

    >>> run_id(datetime(2026, 11, 21, 2, 0, 5, tzinfo=UTC), "news--jane-29384-x7k2p")
    '20261121T020005Z-x7k2p'
    """
    end = host.rpartition("-")[2]
    return f"{moment.astimezone(UTC):%Y%m%dT%H%M%SZ}" + (f"-{end}" if end.isascii() and end.isalnum() else "")


def run_id_of_job(job: str) -> str | None:
    """The id of the run that a Job is: the time that its name tells, in UTC, and the end of the name. Pure.

    The same for each Pod that tries it, and for the hub, which sees the Job: so the run's folder is found by what a
    page calls it. A CronJob's Jobs end in the minute that they were due (since 1970, decimal), ours in the second at
    which they were asked for (hexadecimal, after an "m" where a person asked). None for a name of another form, as
    `kubectl create job --from` may give.

    >>> run_id_of_job("news-29409240"), run_id_of_job("copy-69215a15"), run_id_of_job("by-hand")
    ('20251201T020000Z-29409240', '20251122T063709Z-69215a15', None)
    """
    end = job.rpartition("-")[2]
    # Eight decimal digits may be either: minutes are below 60 million until 2084, seconds above that since 1971.
    if _MINUTES.fullmatch(end) and int(end) < _MOST_MINUTES:
        moment = int(end) * 60
    elif _SECONDS.fullmatch(end):
        moment = int(end.removeprefix("m"), 16)
    else:
        return None
    return f"{datetime.fromtimestamp(moment, UTC):%Y%m%dT%H%M%SZ}-{end}"


def summary(result: Any, about: Mapping[str, Any]) -> bytes:
    """The termination message: *about*, and outcome, message and counts of result.json as far as they fit. Pure.

    Always JSON and at most MESSAGE_LIMIT bytes: the kubelet would cut it anywhere, and half a JSON says nothing.
    """
    said = result if isinstance(result, dict) else {}
    whole = {**about, **{key: said[key] for key in ("outcome", "message", "counts") if key in said}}
    for shorter in (
        whole,
        {**whole, "counts": {}},
        {**whole, "counts": {}, "message": str(whole.get("message"))[:500]},
    ):
        text = json.dumps(shorter, ensure_ascii=False, default=str).encode()
        if len(text) <= MESSAGE_LIMIT:
            return text
    return json.dumps(dict(about), default=str).encode()[:MESSAGE_LIMIT]


def leave(message: bytes) -> None:
    """Write the termination message, where there is a place for it.

    In place, never by a rename: the kubelet mounts that one file into the container. Not on a machine without one.
    """
    path = os.environ.get(_MESSAGE_FILE, _DEFAULT_FILE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC)
    except OSError:
        return
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(message)


def main(arguments: list[str]) -> int:
    """Run it; the exit code."""
    if len(arguments) != 3:
        print("usage: python -m images.lib.run PROGRAM SETTINGS.json RUNS", file=sys.stderr)
        return WRONG_SETTINGS
    program, source, runs = arguments[0], Path(arguments[1]), Path(arguments[2])
    try:
        settings = json.loads(source.read_text(encoding="utf-8"))
        job = os.environ.get(JOB, "")
        name = run_id_of_job(job) or run_id(datetime.now(UTC), job or socket.gethostname())
        folder = runs / name
        folder.mkdir(mode=0o700, parents=True)
        replace_json(folder / "settings.json", {**settings, "run_id": name, "run_dir": str(folder)})
    except (OSError, ValueError, TypeError) as error:
        print(f"{source}: {error}", file=sys.stderr)
        return WRONG_SETTINGS
    started = datetime.now(UTC).isoformat(timespec="seconds")
    code = _carry_out([sys.executable, "-P", "-m", program, str(folder / "settings.json")])
    result = read_json(folder / "result.json")
    if isinstance(result, dict):  # else the kubelet takes the log's last lines, which say more than we could
        ended = datetime.now(UTC).isoformat(timespec="seconds")
        leave(summary(result, {"run_id": name, "started": started, "ended": ended}))
    return code


def _carry_out(argv: list[str]) -> int:
    """Start *argv*, hand on what asks us to end, and wait."""
    waiting: list[int] = []
    process: subprocess.Popen[bytes] | None = None

    def pass_on(number: int, _frame: object) -> None:
        if process is None:
            waiting.append(number)  # it is just being started
        else:
            process.send_signal(number)  # of a process that has ended it makes nothing

    # Before the start: a signal in between would else end us alone.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, pass_on)
    process = subprocess.Popen(argv)
    for early in waiting:
        process.send_signal(early)
    code = process.wait()
    return 128 - code if code < 0 else code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
