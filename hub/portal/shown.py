"""Answers that are believed for a while, and asked for once however many pages want them at the same time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any

LASTS_S = 5.0
_MOST = 2000


class Shown:
    """For one event loop. What failed is not kept."""

    def __init__(self, lasts_s: float = LASTS_S, clock: Callable[[], float] = time.monotonic) -> None:
        self._lasts_s, self._clock = lasts_s, clock
        self._kept: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        """The kept answer, else that of *ask*; whatever it raises."""
        now = self._clock()
        kept = self._kept.get(key)
        if kept is not None and now - kept[0] < self._lasts_s and not _failed(kept[1]):
            return await asyncio.shield(kept[1])
        if len(self._kept) >= _MOST:
            self._kept = {name: one for name, one in self._kept.items() if now - one[0] < self._lasts_s}
        asked = asyncio.ensure_future(ask())
        self._kept[key] = (now, asked)
        return await asyncio.shield(asked)

    def forget(self) -> None:
        """Ask for everything anew: something was changed by our own hand."""
        self._kept.clear()


def _failed(one: asyncio.Future[Any]) -> bool:
    return one.done() and (one.cancelled() or one.exception() is not None)
