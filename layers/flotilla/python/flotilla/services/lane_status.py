"""How the lanes stand, for who operates the fleet.

Invariant: a number is what it says, or it is None, or it is named as a lower bound. Looking at the lanes is bounded
in what it reads, however much there is.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

from flotilla.coordination import Pause, holding
from flotilla.errors import RetryableError
from flotilla.models import LaneCounts, LaneReading, Status
from flotilla.ports import LaneMeter, LaneQueues, Pauses, ReadModel
from flotilla.read_model import DeadFilter, EntryFilter, EntryPage

logger = logging.getLogger("flotilla.lane_status")

MAX_PAGES = 40
"""Pages of the read model that are read to count what is delayed, and as many to count the dead."""

_PAGE = 100


@dataclass(frozen=True, slots=True)
class LaneStatus:
    """How one lane stands.

    Attributes:
        pause: What holds it up.
        waiting: Messages that could be handed out now.
        in_flight: Messages handed out, or hidden until a retry.
        oldest_seconds: Age of the oldest message on it; None where there is none or it is not known.
        delayed: Tasks that are not due yet; None where it is not known.
        dead: Tasks that were dead-lettered and not redriven since, and messages on their way there or not readable;
            None where it is not known.
        at_least: Which of `delayed` and `dead` count only a part, the newest.
        running: Invocations of its worker at once; None where it is not known.
    """

    lane: str
    pause: Pause | None
    waiting: int
    in_flight: int
    oldest_seconds: int | None
    delayed: int | None
    dead: int | None
    at_least: tuple[str, ...]
    running: int | None


@dataclass(slots=True)
class _Count:
    """Entries of the read model by lane.

    Attributes:
        complete: There are no others.
    """

    by_lane: Counter[str] = field(default_factory=Counter)
    complete: bool = False


class LaneStatusService:
    """Answers how the lanes stand.

    Args:
        lanes: Their names.
        queues: Counts their messages.
        meter: Knows what is measured of them.
        pauses: What is paused.
        read_model: Knows which tasks are delayed or dead.
    """

    def __init__(
        self, *, lanes: Sequence[str], queues: LaneQueues, meter: LaneMeter, pauses: Pauses, read_model: ReadModel
    ) -> None:
        self._lanes = list(lanes)
        self._queues = queues
        self._meter = meter
        self._pauses = pauses
        self._read_model = read_model

    async def all(self) -> list[LaneStatus]:
        """Every lane.

        Raises:
            RetryableError: A queue, or the store of pauses, did not answer.
        """
        counts, pauses, readings, delayed, dead = await asyncio.gather(
            asyncio.gather(*map(self._queues.counts, self._lanes)),
            self._pauses.read(),
            self._meter.latest(),
            _counted(self._scheduled()),
            _counted(self._dead()),
        )
        return [
            _status(lane, holding(pauses, lane=lane, agent=None), count, readings.get(lane), delayed, dead)
            for lane, count in zip(self._lanes, counts, strict=True)
        ]

    async def _scheduled(self) -> AsyncGenerator[EntryPage, None]:
        for tenant in await self._read_model.tenants():
            wanted = EntryFilter(tenant, status=Status.SCHEDULED)

            def page_at(cursor: str | None, wanted: EntryFilter = wanted) -> Awaitable[EntryPage]:
                return self._read_model.list(wanted, limit=_PAGE, cursor=cursor)

            async for page in _pages(page_at):
                yield page

    def _dead(self) -> AsyncGenerator[EntryPage, None]:
        return _pages(lambda cursor: self._read_model.dead(DeadFilter(), limit=_PAGE, cursor=cursor))


async def _pages(page_at: Callable[[str | None], Awaitable[EntryPage]]) -> AsyncGenerator[EntryPage, None]:
    cursor: str | None = None
    while True:
        page = await page_at(cursor)
        yield page
        cursor = page.next_cursor
        if cursor is None:
            return


async def _counted(pages: AsyncGenerator[EntryPage, None]) -> _Count | None:
    """The entries of these pages, as many as may be read; None where the read model does not answer."""
    count, read = _Count(), 0
    try:
        async with aclosing(pages):
            async for page in pages:
                read += 1
                if read > MAX_PAGES:
                    return count
                count.by_lane.update(item.lane for item in page.items)
    except RetryableError as error:
        logger.warning("the read model did not answer", extra={"error": error.message})
        return None
    count.complete = True
    return count


def _status(
    lane: str,
    pause: Pause | None,
    count: LaneCounts,
    reading: LaneReading | None,
    delayed: _Count | None,
    dead: _Count | None,
) -> LaneStatus:
    reading = reading or LaneReading()
    nothing_waits = count.waiting == count.in_flight == 0
    counts = {"delayed": delayed, "dead": dead}
    return LaneStatus(
        lane=lane,
        pause=pause,
        waiting=count.waiting,
        in_flight=count.in_flight,
        # A metric is minutes old: what it says of messages that are gone by now is no longer so.
        oldest_seconds=None if nothing_waits else reading.oldest_seconds,
        delayed=None if delayed is None else delayed.by_lane[lane],
        dead=None if dead is None else dead.by_lane[lane] + count.undeliverable,
        at_least=tuple(name for name, found in counts.items() if found is not None and not found.complete),
        # Who runs holds a message: where none is in flight nobody does.
        running=0 if count.in_flight == 0 else reading.concurrency,
    )
