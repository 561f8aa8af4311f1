"""The hub's own processes: started, watched, started again. They end with this process; workloads do not."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1  # prctl(2)
_BACKOFF_S = (0.2, 1, 2, 5, 10)


def _end_with_parent() -> None:
    """Linux: SIGTERM to the child when this process dies, however it dies; elsewhere the next start cleans up."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


@dataclass
class Child:
    """One process that must be there as long as the hub is."""

    name: str
    argv: Sequence[str]
    env: Mapping[str, str]
    log: Path
    starts: int = 0
    process: asyncio.subprocess.Process | None = None
    exits: list[int] = field(default_factory=list)

    async def keep(self) -> None:
        """Run it, and again whenever it ends, until cancelled; then end it."""
        try:
            while True:
                began = asyncio.get_running_loop().time()
                await self._start()
                assert self.process is not None  # noqa: S101
                code = await self.process.wait()
                self.exits.append(code)
                if asyncio.get_running_loop().time() - began > 60:  # healthy for a while: count anew
                    self.exits.clear()
                await asyncio.sleep(_BACKOFF_S[min(len(self.exits), len(_BACKOFF_S) - 1)])
        finally:
            await self._end()

    async def _start(self) -> None:
        descriptor = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            self.process = await asyncio.create_subprocess_exec(
                *self.argv,
                env=dict(self.env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                preexec_fn=_end_with_parent,
                start_new_session=True,  # Ctrl-C reaches us alone; we end children in order
            )
            self.starts += 1
        finally:
            os.close(descriptor)

    async def _end(self) -> None:
        process = self.process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(process.wait()), 8)
        except TimeoutError:
            process.kill()
            await process.wait()
