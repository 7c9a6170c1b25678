"""Sends at fixed times, whatever becomes of what was sent before.

    due          when the schedule says so; latencies count from here
    sent         when a connection was free for it
    answered     when its answer was there, or given up

Between due and sent lies what a closed loop hides: a client that waits for an answer before it sends again leaves out
just those requests that would have met the stall (coordinated omission).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sample(Generic[T]):
    """What became of one request; times are in seconds of the clock that was given.

    Attributes:
        number: Its place in the schedule.
        late: How long after it was due the harness itself had got to it.
    """

    number: int
    due: float
    late: float
    sent: float
    answered: float
    outcome: T

    @property
    def latency_ms(self) -> float:
        """From when it was due."""
        return (self.answered - self.due) * 1000

    @property
    def service_ms(self) -> float:
        """From when it was sent: what a closed loop would take for the latency."""
        return (self.answered - self.sent) * 1000


async def drive(
    offsets: Sequence[float],
    send: Callable[[int], Awaitable[T]],
    *,
    connections: int,
    begin: float,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> list[Sample[T]]:
    """Send all of them; what became of each, in the schedule's order.

    Args:
        offsets: When each is due, in seconds from `begin`.
        send: Sends the one of that number. Raises nothing: how it went is its outcome.
        connections: Under way at a time; what is due beyond it waits, and its latency runs.
        begin: When the first second begins, of `now`'s time.
        now: Reads a clock that never goes back, in seconds.
        sleep: Lets seconds pass.
    """
    free = asyncio.Semaphore(connections)

    async def one(number: int, due: float, late: float) -> Sample[T]:
        async with free:
            sent = now()
            outcome = await send(number)
            return Sample(number, due, late, sent, now(), outcome)

    under_way: list[asyncio.Task[Sample[T]]] = []
    for number, offset in enumerate(offsets):
        due = begin + offset
        # Those that are due together are all begun before anybody gets a turn.
        if (ahead := due - now()) > 0:
            await sleep(ahead)
        under_way.append(asyncio.create_task(one(number, due, max(0.0, now() - due))))
    return list(await asyncio.gather(*under_way))
