"""Run one tool, hand on its output line by line, and end it in every case."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

GRACE_S = 10.0
_CHUNK = 64 * 1024
_LINE_LIMIT = 64 * 1024
_PR_SET_PDEATHSIG = 1
# What a tool may see of our environment. RCLONE_* and RSYNC_* above all stay out: RCLONE_CONFIG_X_TYPE makes remotes.
_PASSED_ON = (
    *("PATH", "HOME", "TMPDIR", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"),
)


@dataclass(frozen=True)
class Ended:
    """How a tool ended: its exit code (negative: the signal), and why we ended it, if we did."""

    code: int
    cut: Literal["stopped", "time limit"] | None = None


def environment(ours: Mapping[str, str]) -> dict[str, str]:
    """The environment of the tool, from *ours*: a short list, and the C locale so that messages can be read."""
    return {name: ours[name] for name in _PASSED_ON if name in ours} | {"LC_ALL": "C.UTF-8"}


def _die_with_parent() -> None:
    # kill -9 of this program must not leave a tool behind which a second run would then meet. Linux only; elsewhere
    # the tool ends by itself once it finds nobody reading its output.
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def run(
    argv: list[str], cwd: Path, on_line: Callable[[str], None], stop: asyncio.Event, deadline: float | None
) -> Ended:
    """Run *argv* in *cwd* until it ends, *stop* is set, or the loop's clock passes *deadline*.

    *on_line* gets each line of stdout and stderr together, split at \\n and \\r (rsync redraws its progress line).
    OSError where the program cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment(os.environ),
        start_new_session=True,  # so that rsync's helper and ssh end with it
        preexec_fn=_die_with_parent,
    )
    assert process.stdout is not None  # noqa: S101 - PIPE was asked for above
    reader = asyncio.create_task(_read(process.stdout, on_line))
    stopping = asyncio.create_task(stop.wait())
    try:
        timeout = None if deadline is None else max(0.0, deadline - asyncio.get_running_loop().time())
        await asyncio.wait({reader, stopping}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if reader.done():
            reader.result()  # an error of on_line is ours to see
            return Ended(await process.wait())
        cut: Literal["stopped", "time limit"] = "stopped" if stop.is_set() else "time limit"
        return Ended(await _end(process, reader), cut)
    finally:
        stopping.cancel()
        reader.cancel()
        if process.returncode is None:
            _signal(process.pid, signal.SIGKILL)


async def _end(process: asyncio.subprocess.Process, reader: asyncio.Task[None]) -> int:
    """SIGTERM, then after GRACE_S SIGKILL, to the whole group. Its output is read on, else it could hang."""
    _signal(process.pid, signal.SIGTERM)
    try:
        await asyncio.wait_for(asyncio.shield(reader), GRACE_S)
        return await asyncio.wait_for(process.wait(), GRACE_S)
    except TimeoutError:
        _signal(process.pid, signal.SIGKILL)
        return await process.wait()


def _signal(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, number)


async def _read(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    rest = b""
    while chunk := await stream.read(_CHUNK):
        *lines, rest = (rest + chunk).replace(b"\r", b"\n").split(b"\n")
        for line in lines:
            if line:
                on_line(line.decode("utf-8", "replace"))
        if len(rest) > _LINE_LIMIT:  # no tool of ours writes such lines; do not let one fill the memory
            rest = b""
    if rest:
        on_line(rest.decode("utf-8", "replace"))
