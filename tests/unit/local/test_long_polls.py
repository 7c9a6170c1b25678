"""Waiting receives wake at once when something was sent, and by one timer otherwise."""

from __future__ import annotations

import asyncio
import threading

from local.engine_patches import Wake

LONG = 60.0
SHORT = 0.01


async def waiting(wake: Wake, count: int, seconds: float) -> list[asyncio.Task[None]]:
    tasks = [asyncio.create_task(wake.wait(seconds)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


def test_all_who_wait_wake_when_it_is_fired_from_another_thread() -> None:
    async def scene() -> None:
        wake = Wake()
        tasks = await waiting(wake, 3, LONG)
        threading.Thread(target=wake.fire).start()
        await asyncio.wait_for(asyncio.gather(*tasks), LONG / 2)

    asyncio.run(scene())


def test_one_timer_wakes_all_when_nothing_is_fired() -> None:
    async def scene() -> None:
        wake = Wake()
        first = await waiting(wake, 1, SHORT)
        others = await waiting(wake, 3, LONG)
        await asyncio.wait_for(asyncio.gather(*first, *others), LONG / 2)
        await asyncio.wait_for(wake.wait(SHORT), LONG / 2)

    asyncio.run(scene())


def test_one_that_gives_up_takes_no_other_with_it() -> None:
    async def scene() -> None:
        wake = Wake()
        given_up, other = await waiting(wake, 2, LONG)
        given_up.cancel()
        await asyncio.sleep(0)
        assert not other.done()
        wake.fire()
        await asyncio.wait_for(other, LONG / 2)

    asyncio.run(scene())


def test_firing_with_nobody_waiting_is_nothing() -> None:
    Wake().fire()
