"""The read model made again from the log, while everything goes on.

Safe at any time and any number of times: what is put follows from a log and yields to an entry that follows more of
it. Whoever writes meanwhile, the projector included, is never set back. Nothing is deleted; an archive key that an
entry has stays, and what is archived without an entry saying so the retention keeper archives again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event
from flotilla.ports import EventLog, ReadModel
from flotilla.retention_ports import LogScan, ScanPage
from flotilla.services.project import entry_of_log

T = TypeVar("T")

logger = logging.getLogger("flotilla.rebuild")

SEGMENTS = 4
EVENTS_PER_SECOND = 2_000.0
"""Of a few hundred bytes each: some 100 read units a second, and up to a third as many write units as events."""

_PAGE_EVENTS = 500
_PUTS_AT_ONCE = 10
_TRIES = 8
_FIRST_PAUSE_SECONDS = 0.2


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild did.

    Attributes:
        events: Read.
        tasks: Whose logs were read.
        stored: Entries that were missing or behind.
        failed: Tasks whose log is corrupt or of a later version; their entries are as they were.
    """

    events: int = 0
    tasks: int = 0
    stored: int = 0
    failed: list[str] = field(default_factory=list)


class Rebuild:
    """Makes the read model again.

    Args:
        scan: Reads every log.
        log: Reads one, where the scan saw a part of it only.
        views: The read model.
        clock: Keeps the rate.
        segments: Parts of the table that are read side by side.
        events_per_second: No more than this on average, of all segments together.
    """

    def __init__(
        self,
        *,
        scan: LogScan,
        log: EventLog,
        views: ReadModel,
        clock: Clock,
        segments: int = SEGMENTS,
        events_per_second: float = EVENTS_PER_SECOND,
    ) -> None:
        self._scan = scan
        self._log = log
        self._views = views
        self._clock = clock
        self._segments = segments
        self._events_per_second = events_per_second

    async def run(self) -> RebuildReport:
        """Read every log there is and bring its entry up to it.

        Raises:
            RetryableError: A store did not answer for about a minute. What was done is done; a repeat begins anew.
        """
        report = RebuildReport()
        try:
            async with asyncio.TaskGroup() as group:
                for segment in range(self._segments):
                    group.create_task(self._segment(segment, report))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return report

    async def _segment(self, segment: int, report: RebuildReport) -> None:
        together: list[list[Event]] = []
        async for log in self._logs(segment, report):
            together.append(log)
            if len(together) == _PUTS_AT_ONCE:
                await self._store(together, report)
                together = []
        await self._store(together, report)

    async def _logs(self, segment: int, report: RebuildReport) -> AsyncIterator[list[Event]]:
        """The logs of a segment, each whole as far as the scan saw it."""
        cursor: str | None = None
        current: list[Event] = []
        while True:
            page = await self._page(segment, cursor)
            report.events += len(page.events)
            report.failed += sorted(page.unreadable)
            for event in page.events:
                if current and event.task_id != current[0].task_id:
                    yield current
                    current = []
                current.append(event)
            cursor = page.next_cursor
            if cursor is None:
                if current:
                    yield current
                return
            await self._clock.sleep(len(page.events) * self._segments / self._events_per_second)

    async def _page(self, segment: int, cursor: str | None) -> ScanPage:
        return await self._patiently(lambda: self._scan.page(segment, self._segments, cursor, limit=_PAGE_EVENTS))

    async def _store(self, logs: list[list[Event]], report: RebuildReport) -> None:
        await asyncio.gather(*(self._store_one(log, report) for log in logs))

    async def _store_one(self, log: list[Event], report: RebuildReport) -> None:
        task_id = log[0].task_id
        if task_id in report.failed:
            return
        report.tasks += 1
        try:
            if [event.seq for event in log] != list(range(len(log))):
                # Written while it was read, or dropped in part; the log itself knows.
                log = await self._patiently(lambda: self._log.read(task_id))
                if not log or log[0].seq != 0:
                    return
            entry = entry_of_log(log)
        except CorruptLogError as error:
            logger.error("log corrupt, not projected", extra={"task_id": task_id, "error": error.message})
            report.failed.append(task_id)
            return
        report.stored += await self._patiently(lambda: self._views.put(entry))

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        pause = _FIRST_PAUSE_SECONDS
        for _ in range(_TRIES - 1):
            try:
                return await call()
            except RetryableError as error:
                logger.warning("trying again", extra={"code": error.code})
            await self._clock.sleep(pause)
            pause *= 2
        return await call()
