"""The spawner's words to the recorder. What is kept is never worth a launch or a stop: each failure is logged, and
nobody waits long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from logging import Logger

from spawners.kube.client import KubeError
from spawners.kube.keepsake import Ending
from spawners.kube.recorder import Recorder
from spawners.kube.site import KubeSite
from spawners.workload import Workload

_WITHIN_S = 5.0
"""Nobody waits longer for a note than this."""
_GIVEN_UP_S = 60.0
"""And a note itself is given up then: where 150 launch at once, some come late."""

_going: set[asyncio.Task[None]] = set()


class Notes:
    """One launch's, or of the hub itself; nothing here raises but for being cancelled."""

    def __init__(self, site: KubeSite, log: Logger) -> None:
        self._site, self._log = site, log
        self._last: asyncio.Task[None] | None = None

    def waits(self, workload: Workload) -> None:
        """It waits in line. Noted in the background."""
        self._later(workload, lambda recorder: recorder.waits(workload))

    def started(self, workload: Workload) -> None:
        """Its launch begins. Noted in the background, so that it costs the launch no time."""
        self._later(workload, lambda recorder: recorder.started(workload))

    def cancelled(self, workload: Workload, reason: str) -> None:
        """Its launch was cancelled: whoever says so cannot wait. Noted in the background."""
        self._later(workload, lambda recorder: recorder.ended(workload, "stopped", reason))

    async def ended(self, workload: Workload, state: Ending, reason: str) -> None:
        """It failed or is about to be stopped: to be called while its Pod is there, for its log."""
        self._later(workload, lambda recorder: recorder.ended(workload, state, reason))
        await self.settled()

    async def settled(self) -> None:
        """Wait until all that was said is noted or given up, but not for long."""
        if self._last is not None:
            await asyncio.wait([self._last], timeout=_WITHIN_S)  # which cancels nothing

    def _later(self, workload: Workload, note: Callable[[Recorder], Awaitable[None]]) -> None:
        # One after the other: "started" must not be written over "failed".
        self._last = asyncio.create_task(self._note(workload, note, self._last))
        _going.add(self._last)  # asyncio itself keeps no hold of a task, and its spawner may be gone before it
        self._last.add_done_callback(_going.discard)

    async def _note(
        self, workload: Workload, note: Callable[[Recorder], Awaitable[None]], before: asyncio.Task[None] | None
    ) -> None:
        if before is not None:
            await asyncio.wait([before])
        try:
            async with asyncio.timeout(_GIVEN_UP_S):
                await note(await self._site.recorder(self._log))
        except (KubeError, TimeoutError) as error:
            self._log.warning(
                "%s: not noted for its owner: %s", workload.id, str(error) or "the cluster does not answer"
            )
        except Exception:  # a mistake of ours must not cost a launch or a stop
            self._log.exception("%s: not noted for its owner", workload.id)
