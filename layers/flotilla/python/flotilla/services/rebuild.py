"""The read model made again from the logs, while everything goes on.

First from the archive, then from the table: a log that has begun to be dropped tells less than what is archived of it.

Safe at any time and any number of times: what is put follows from a log, and whoever writes meanwhile, the projector
included, is not set back. An entry that says more than every log of its task does is set back to what they say, and
named: either it was altered or the log was cut. Nothing is deleted: an entry of which there is no log stays.

Where a task that the retention keeper may have passed by is not archived, the keeper is told of it again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError, StoreUnavailableError
from flotilla.events import Event
from flotilla.models import Status
from flotilla.ports import ReadModel
from flotilla.read_model import Entry
from flotilla.retention_ports import ScanPage
from flotilla.services.project import entry_of_log
from flotilla.services.settle import Settlement, Sources, patiently

logger = logging.getLogger("flotilla.rebuild")

SEGMENTS = 4
EVENTS_PER_SECOND = 2_000.0
"""Of a few hundred bytes each: some 100 read units a second for the logs, and a read of an entry for each task."""

_PAGE_EVENTS = 500
_PAGE_KEYS = 1000
_TASKS_AT_ONCE = 10


@dataclass(slots=True)
class RebuildReport:
    """What a rebuild did.

    Attributes:
        objects: Of the archive, read.
        events: Read.
        logs: Read; of a task that is in the archive and in the table more than one.
        stored: Entries written that were missing, behind or wrong.
        set_back: Tasks whose entries said more than their logs.
        failed: Tasks whose log is corrupt or of a later version, and objects of the archive that hold no logs; of these
            the entries are as they were.
    """

    objects: int = 0
    events: int = 0
    logs: int = 0
    stored: int = 0
    set_back: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


class Rebuild:
    """Makes the read model again.

    Args:
        sources: The logs.
        views: The read model.
        settlement: Settles its entries.
        clock: Keeps the rate.
        segments: Parts of the table that are read side by side.
        events_per_second: No more than this on average, of all segments together.
        told: Is given the report as it grows.
    """

    def __init__(
        self,
        *,
        sources: Sources,
        views: ReadModel,
        settlement: Settlement,
        clock: Clock,
        segments: int = SEGMENTS,
        events_per_second: float = EVENTS_PER_SECOND,
        told: Callable[[RebuildReport], None] = lambda _report: None,
    ) -> None:
        self._sources = sources
        self._views = views
        self._settlement = settlement
        self._clock = clock
        self._segments = segments
        self._events_per_second = events_per_second
        self._told = told
        self._report = RebuildReport()
        self._keys: set[str] | None = None
        self._introduced: set[tuple[str, str]] = set()

    async def run(self, *, archive: bool = True) -> RebuildReport:
        """Read every log there is and have its entry say what it says.

        Args:
            archive: Read the archive too; else entries of tasks that the table has no more stay as they are.

        Raises:
            RetryableError: A store did not answer for half a minute. What was done is done; a repeat begins anew.
        """
        self._report, self._keys, self._introduced = RebuildReport(), None, set()
        if archive:
            self._keys = await self._archive()
        try:
            async with asyncio.TaskGroup() as group:
                for segment in range(self._segments):
                    group.create_task(self._segment(segment))
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return self._report

    async def _archive(self) -> set[str]:
        """Go through the archive; gives back its keys."""
        seen: set[str] = set()
        page = await self._key_page(None)
        while page:
            for key in page:
                seen.add(key)
                await self._object(key)
            page = await self._key_page(page[-1])
        return seen

    async def _key_page(self, after: str | None) -> list[str]:
        return await patiently(self._clock, lambda: self._sources.archive.keys(after, limit=_PAGE_KEYS))

    async def _object(self, key: str) -> None:
        try:
            logs = await patiently(self._clock, lambda: self._sources.archive.logs(key))
        except CorruptLogError as error:
            logger.error("archived object corrupt", extra={"key": key, "error": error.message})
            self._report.failed.add(key)
            return
        events = sum(map(len, logs))
        self._report.objects += 1
        self._report.events += events
        await self._in_turns(logs, lambda log: self._archived(log, key))
        self._told(self._report)
        await self._clock.sleep(events / self._events_per_second)

    async def _archived(self, log: list[Event], key: str) -> None:
        await self._settle(replace(entry_of_log(log), archive_key=key))

    async def _segment(self, segment: int) -> None:
        together: list[list[Event]] = []
        async for log in self._logs(segment):
            together.append(log)
            if len(together) == _TASKS_AT_ONCE:
                await self._in_turns(together, self._live)
                together = []
        await self._in_turns(together, self._live)
        self._told(self._report)

    async def _logs(self, segment: int) -> AsyncIterator[list[Event]]:
        """The logs of a segment, each whole as far as the scan saw it."""
        cursor: str | None = None
        current: list[Event] = []
        while True:
            page = await self._page(segment, cursor)
            self._report.events += len(page.events)
            self._report.failed |= page.unreadable
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
            self._told(self._report)
            await self._clock.sleep(len(page.events) * self._segments / self._events_per_second)

    async def _page(self, segment: int, cursor: str | None) -> ScanPage:
        scan = self._sources.scan
        return await patiently(self._clock, lambda: scan.page(segment, self._segments, cursor, limit=_PAGE_EVENTS))

    async def _in_turns(self, logs: list[list[Event]], work: Callable[[list[Event]], Awaitable[None]]) -> None:
        """Do it for all of `logs`, some at once; what is wrong with one holds up no other."""

        async def one(log: list[Event]) -> None:
            task_id = log[0].task_id
            if task_id in self._report.failed:
                return
            self._report.logs += 1
            try:
                await work(log)
            except StoreUnavailableError:
                raise
            except (CorruptLogError, RetryableError) as error:
                logger.error("log not projected", extra={"task_id": task_id, "error": error.message})
                self._report.failed.add(task_id)

        for start in range(0, len(logs), _TASKS_AT_ONCE):
            await asyncio.gather(*map(one, logs[start : start + _TASKS_AT_ONCE]))

    async def _live(self, log: list[Event]) -> None:
        task_id = log[0].task_id
        if not _whole(log):
            # Written while it was read, or begun to be dropped; the log itself knows.
            log = await patiently(self._clock, lambda: self._sources.log.read(task_id))
            if not log or log[0].seq != 0:
                return  # what is left of it says nothing
        try:
            if not _whole(log):  # also behind the part of it that an entry follows
                raise CorruptLogError(f"{task_id}: events are missing")
            entry = entry_of_log(log)
        except CorruptLogError:
            if await self._begun_to_be_dropped(log):
                return
            raise
        await self._settle(entry)

    async def _begun_to_be_dropped(self, log: list[Event]) -> bool:
        """Whether all that the table has of a log is archived, as its entry says."""
        first = log[0]
        tenant = str(first.body.get("tenant"))
        entry = await patiently(self._clock, lambda: self._views.get(tenant, first.task_id, first.at_ms))
        if entry is None or entry.archive_key is None:
            return False
        return await self._settlement.is_archived(entry.archive_key, log)

    async def _settle(self, entry: Entry) -> None:
        await self._introduce(entry)
        settled = await self._settlement.settle(entry, self._keys)
        self._report.stored += settled.stored
        if settled.set_back:
            self._report.set_back.add(entry.task_id)

    async def _introduce(self, entry: Entry) -> None:
        """Have the read model know of the tenant, and of the agent that has dead letters: it learns of them by puts."""
        member = (entry.tenant, entry.agent if entry.status is Status.DEAD_LETTERED else "")
        if member in self._introduced:
            return
        self._introduced.add(member)
        stored = await patiently(self._clock, lambda: self._views.put(entry))
        self._report.stored += stored


def _whole(log: list[Event]) -> bool:
    return [event.seq for event in log] == list(range(len(log)))
