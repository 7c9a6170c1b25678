"""How a burst of requests is let in."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from local.admission import Admission, Window

NEVER = 1e6


class Visitors:
    """Requests that stay until they are told to leave."""

    def __init__(self, window: Window) -> None:
        self.admission = Admission(window)
        self.came_in: list[int] = []
        self.leave = [asyncio.Event() for _ in range(50)]
        self.tasks: list[asyncio.Task[None]] = []

    def come(self, count: int) -> None:
        first = len(self.tasks)
        self.tasks += [asyncio.create_task(self._visit(number)) for number in range(first, first + count)]

    async def _visit(self, number: int) -> None:
        async with self.admission.admit():
            self.came_in.append(number)
            await self.leave[number].wait()

    async def all_leave(self) -> None:
        for event in self.leave:
            event.set()
        await asyncio.gather(*self.tasks)


async def turns() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


async def until(visitors: Visitors, count: int) -> None:
    while len(visitors.came_in) < count:
        await asyncio.sleep(0)
    await turns()


def run(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def test_a_burst_meets_a_narrow_window_and_comes_in_in_order() -> None:
    async def scenario() -> None:
        visitors = Visitors(Window(first=2, settle_seconds=NEVER, step_seconds=NEVER))
        visitors.come(10)
        await turns()
        assert visitors.came_in == [0, 1]
        visitors.leave[1].set()
        await turns()
        assert visitors.came_in == [0, 1, 2]
        await visitors.all_leave()
        assert visitors.came_in == list(range(10))

    run(scenario())


def test_the_window_opens_while_somebody_waits_and_no_further_than_allowed() -> None:
    async def scenario() -> None:
        visitors = Visitors(Window(first=2, most=5, settle_seconds=NEVER, step_seconds=0))
        visitors.come(10)
        await until(visitors, 5)
        assert len(visitors.came_in) == 5
        await visitors.all_leave()

    run(scenario())


def test_the_window_stays_narrow_while_nobody_waits() -> None:
    async def scenario() -> None:
        visitors = Visitors(Window(first=2, most=5, settle_seconds=NEVER, step_seconds=0))
        visitors.come(2)
        await turns()
        visitors.come(1)
        assert visitors.came_in == [0, 1]
        await visitors.all_leave()

    run(scenario())


def test_requests_that_only_wait_let_others_in_up_to_the_total() -> None:
    async def scenario() -> None:
        visitors = Visitors(Window(first=2, most=2, total=6, settle_seconds=0, step_seconds=NEVER))
        visitors.come(10)
        await until(visitors, 6)
        assert len(visitors.came_in) == 6
        visitors.leave[0].set()
        await until(visitors, 7)
        assert len(visitors.came_in) == 7
        await visitors.all_leave()
        assert visitors.came_in == list(range(10))

    run(scenario())


def test_after_a_pause_the_window_is_narrow_again() -> None:
    async def scenario() -> None:
        visitors = Visitors(Window(first=1, most=9, settle_seconds=NEVER, step_seconds=0, idle_seconds=-1))
        visitors.come(9)
        await until(visitors, 9)
        assert visitors.admission.width == 9
        await visitors.all_leave()
        async with visitors.admission.admit():
            assert visitors.admission.width == 1

    run(scenario())


def test_who_gives_up_waiting_takes_no_place() -> None:
    async def scenario() -> None:
        visitors = Visitors(Window(first=1, settle_seconds=NEVER, step_seconds=NEVER))
        visitors.come(3)
        await turns()
        visitors.tasks.pop(1).cancel()
        await turns()
        visitors.leave[0].set()
        await turns()
        assert visitors.came_in == [0, 2]
        await visitors.all_leave()

    run(scenario())
