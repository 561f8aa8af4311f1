"""Launches beyond what the cluster is to begin at once wait in line, and are told their place; none fails with 429.

Fair between tenants: who has the fewest launches under way is next, so that fifty of one group make nobody else wait
for fifty. The order is decided by one pure function; the rest only keeps count.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True, order=True)
class Ticket:
    """One launch in line."""

    number: int
    """They are given out in ascending order: the smaller one has come first."""
    tenant: str


def order(waiting: Iterable[Ticket], under_way: Mapping[str, int]) -> list[Ticket]:
    """In which order they get their turn, should nothing end or come meanwhile. Pure.

    Next is the first of the tenant with the fewest launches under way, those ahead in line included; between equals
    it is the one that has waited longest. Within a tenant, who came first goes first.
    """
    lines: dict[str, deque[Ticket]] = {}
    for ticket in sorted(waiting):
        lines.setdefault(ticket.tenant, deque()).append(ticket)
    heads = [(under_way.get(tenant, 0), line[0]) for tenant, line in lines.items()]
    heapq.heapify(heads)
    found = []
    while heads:
        ahead, ticket = heapq.heappop(heads)
        found.append(ticket)
        line = lines[ticket.tenant]
        line.popleft()
        if line:
            heapq.heappush(heads, (ahead + 1, line[0]))
    return found


def place_words(place: int) -> str:
    """Place 1 is next.

    >>> [place_words(place) for place in (1, 2, 3, 11, 22)]
    ['1st in line', '2nd in line', '3rd in line', '11th in line', '22nd in line']
    """
    ending = "th" if place % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(place % 10, "th")
    return f"{place}{ending} in line"


@dataclass
class _Waiter:
    turn: asyncio.Future[None]
    say: Callable[[str], None]
    place: int = 0


@dataclass
class LaunchQueue:
    """One a hub. Used in the event loop's thread alone; between two awaits nothing else happens, so no locks."""

    limit: Callable[[], int]
    """How many launches may be under way at once; 0: any number. Asked each time, so that it may change."""
    _under_way: Counter[str] = field(default_factory=Counter)
    _waiting: dict[Ticket, _Waiter] = field(default_factory=dict)
    _numbers: int = 0

    @property
    def under_way(self) -> int:
        """How many have their turn now."""
        return self._under_way.total()

    @property
    def waiting(self) -> int:
        """How many are in line."""
        return len(self._waiting)

    @asynccontextmanager
    async def turn(self, tenant: str, say: Callable[[str], None] = lambda words: None) -> AsyncIterator[None]:
        """Wait for a turn and keep it for as long as the block lasts. *say* gets the place, at each change of it.

        To be cancelled while waiting gives the place up, and who is behind moves on.
        """
        await self._wait(tenant, say)
        try:
            yield
        finally:
            self._end(tenant)

    def changed(self) -> None:
        """The limit has changed: who may begin now begins."""
        self._go_on()

    async def _wait(self, tenant: str, say: Callable[[str], None]) -> None:
        self._numbers += 1
        ticket = Ticket(self._numbers, tenant)
        waiter = _Waiter(asyncio.get_running_loop().create_future(), say)
        self._waiting[ticket] = waiter
        self._go_on()
        try:
            await waiter.turn
        except asyncio.CancelledError:
            if self._waiting.pop(ticket, None) is None:
                self._end(tenant)  # its turn came in the same moment: nobody would ever give it back
            else:
                self._go_on()
            raise

    def _end(self, tenant: str) -> None:
        self._under_way[tenant] -= 1
        if not self._under_way[tenant]:
            del self._under_way[tenant]
        self._go_on()

    def _go_on(self) -> None:
        """Give free turns out, then tell the others their places."""
        limit = self.limit()
        line = order(self._waiting, self._under_way)
        free = len(line) if limit <= 0 else max(0, limit - self.under_way)
        for ticket in line[:free]:
            waiter = self._waiting.pop(ticket)
            # Counted here, not by the waiter when it wakes: in between, another one could take the same turn.
            self._under_way[ticket.tenant] += 1
            if not waiter.turn.done():
                waiter.turn.set_result(None)
        for place, ticket in enumerate(line[free:], 1):
            waiter = self._waiting[ticket]
            if waiter.place != place:
                waiter.place = place
                waiter.say(place_words(place))
