"""The line of launches: who is next, what is said, and that nothing is lost when somebody leaves it."""

from __future__ import annotations

import asyncio
import doctest
from contextlib import suppress

from spawners.kube import queue
from spawners.kube.queue import LaunchQueue, Ticket, order


def tickets(tenants: str) -> list[Ticket]:
    return [Ticket(number, tenant) for number, tenant in enumerate(tenants, 1)]


def tenants(found: list[Ticket]) -> str:
    return "".join(ticket.tenant for ticket in found)


def test_one_tenant_is_served_in_the_order_of_asking() -> None:
    assert [one.number for one in order(reversed(tickets("aaa")), {})] == [1, 2, 3]


def test_a_tenant_with_many_does_not_hold_up_another() -> None:
    assert tenants(order(tickets("aaaab"), {})) == "abaaa"
    assert tenants(order(tickets("aaab"), {"a": 2})) == "baaa", "those under way count"
    assert tenants(order(tickets("aabbcc"), {})) == "abcabc"


def test_the_places_in_words() -> None:
    assert doctest.testmod(queue).failed == 0


async def _settle() -> None:
    """Until every task that can go on has done so: each round wakes those that the one before has set free."""
    for _ in range(10):
        await asyncio.sleep(0)


class Launches:
    """Launches that end when they are told to."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.queue = LaunchQueue(lambda: self.limit)
        self.said: dict[str, list[str]] = {}
        self.running: list[str] = []
        self.most = 0
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def ask(self, *names: str) -> None:
        for name in names:
            self.said[name], self._ends[name] = [], asyncio.Event()
            self._tasks[name] = asyncio.create_task(self._launch(name))
            await _settle()

    async def _launch(self, name: str) -> None:
        async with self.queue.turn(name[0], self.said[name].append):
            self.running.append(name)
            self.most = max(self.most, len(self.running))
            try:
                await self._ends[name].wait()
            finally:
                self.running.remove(name)

    async def end(self, *names: str) -> None:
        for name in names:
            self._ends[name].set()
        await _settle()

    async def cancel(self, name: str) -> None:
        self._tasks[name].cancel()
        with suppress(asyncio.CancelledError):
            await self._tasks[name]
        await _settle()


def test_beyond_the_limit_they_wait_and_are_told_their_place() -> None:
    async def run() -> None:
        launches = Launches(2)
        await launches.ask("a1", "a2", "a3", "a4", "b1")
        assert launches.running == ["a1", "a2"]
        assert launches.said == {
            "a1": [],
            "a2": [],
            "a3": ["1st in line", "2nd in line"],
            "a4": ["2nd in line", "3rd in line"],
            "b1": ["1st in line"],
        }
        await launches.end("a1")
        assert launches.running == ["a2", "b1"]
        await launches.end("a2", "b1")
        assert launches.running == ["a3", "a4"]
        await launches.end("a3", "a4")
        assert (launches.most, launches.queue.under_way, launches.queue.waiting) == (2, 0, 0)

    asyncio.run(run())


def test_who_leaves_the_line_leaves_no_gap() -> None:
    async def run() -> None:
        launches = Launches(1)
        await launches.ask("a1", "a2", "a3", "a4")
        await launches.cancel("a2")
        assert launches.said["a3"][-1] == "1st in line"
        assert launches.said["a4"][-1] == "2nd in line"
        await launches.cancel("a1")
        assert launches.running == ["a3"], "who was under way gives its turn back too"

    asyncio.run(run())


def test_who_is_cancelled_in_the_moment_of_its_turn_takes_no_turn_along() -> None:
    async def run() -> None:
        launches = Launches(1)
        await launches.ask("a1", "a2", "a3")
        launches._ends["a1"].set()
        await asyncio.sleep(0)  # a1 ends, and a2 is woken after us
        assert launches.queue.waiting == 1
        assert launches.running == [], "its turn has been given out, and it has not woken yet"
        await launches.cancel("a2")
        assert launches.running == ["a3"]
        await launches.end("a3")
        assert launches.queue.under_way == 0

    asyncio.run(run())


def test_a_limit_may_change_and_none_is_none() -> None:
    async def run() -> None:
        launches = Launches(1)
        await launches.ask("a1", "a2", "a3")
        launches.limit = 2
        launches.queue.changed()
        await _settle()
        assert launches.running == ["a1", "a2"]
        launches.limit = 0
        await launches.ask("a4")
        assert sorted(launches.running) == ["a1", "a2", "a3", "a4"]

    asyncio.run(run())
