"""An app that runs in a container beside this one: others start it and start it again; here it is only watched."""

from __future__ import annotations

import asyncio
import os

from images.app.process import AppProcess, Place, choose_place
from images.app.settings import AppSettings

GONE_S = 60.0
"""An app that has ended is started again by the kubelet, later each time it ends; so long it may be away."""
_LOOK_S = 5.0


class Neighbour(AppProcess):
    """The same to the door as a process of our own, without the process: a port on the Pod's own loopback address."""

    def __init__(self, settings: AppSettings, base_url: str) -> None:
        super().__init__(settings, Place(port=settings.port or 0), base_url)

    @property
    def pid(self) -> int:
        """Our own: its processes cannot be seen from here."""
        return os.getpid()

    async def start(self) -> None:
        """Nothing: the kubelet has started it."""

    def _check_listeners(self) -> None:
        """Nothing: who listens cannot be seen from here. The tenant's walls are around its port."""

    async def ended(self) -> str:
        """Wait until it has been away for too long; the reason, for its owner."""
        clock = asyncio.get_running_loop().time
        seen = clock()
        while clock() - seen < GONE_S:
            await asyncio.sleep(_LOOK_S)
            if await self._answers():
                seen = clock()
        return f"The app has not answered on port {self.place.port} for {GONE_S:g} s"


def process_of(settings: AppSettings, base_url: str) -> AppProcess:
    """The app as *settings* say: a command to start, or a neighbour. AppError where its fixed port is taken."""
    if settings.beside:
        return Neighbour(settings, base_url)
    return AppProcess(settings, choose_place(settings), base_url)
