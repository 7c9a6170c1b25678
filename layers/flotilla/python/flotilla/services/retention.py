"""The retention keeper: sees to it that no log is dropped that is not both finished and archived.

Events are written with the time after which they may be dropped, two weeks beyond what is promised; for nearly every
task that is right, and nobody looks at it again. Once a day the keeper looks at the tasks whose first events come
within a week of that time: what is finished and not archived it archives, what is not finished it extends, and
remembers until it is.

What a run costs: it reads the entries created on one more day (about $0.01 for a million, once in their life), and
for each log that it has to look after a read, an object shared with others, and a write for each of its events.
On most days that is none.

Invariant: a day is passed by only when all that was found in it was seen to, or is remembered to be seen to in the
next run. A run that is cut short, or a day without one, is made up for by the next.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, fold
from flotilla.ports import EventLog, ReadModel
from flotilla.primitives.retention import DAY_MS, extended_until, next_look_ms, noticed_before_ms
from flotilla.read_model import Entry, EntryFilter
from flotilla.retention_ports import Kept, LogRetention, RetentionLedger
from flotilla.services.archive_logs import LogArchiver
from flotilla.services.project import entry_of_log

logger = logging.getLogger("flotilla.keeper")

_PAGE = 1000
_LOGS_AT_ONCE = 100
_READS_AT_ONCE = 10


@dataclass(slots=True)
class KeeperReport:
    """What a run did.

    Attributes:
        looked_at: Logs that were read.
        archived: Logs.
        extended: Events.
        failed: Tasks that were not seen to; they come up again.
        complete: Every tenant was gone through.
    """

    looked_at: int = 0
    archived: int = 0
    extended: int = 0
    failed: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class _Due:
    """A task to be looked after.

    Attributes:
        remembered: From an earlier time.
    """

    task_id: str
    tenant: str
    created_at_ms: int
    remembered: bool


class RetentionKeeper:
    """Looks after the logs that are near to being dropped.

    Args:
        log: The event log.
        views: Knows which tasks there are.
        archiver: Archives.
        retention: Extends.
        ledger: Knows how far earlier runs got.
        clock: Tells the time.
        retention_days: How long a finished task's log is promised to be kept.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        views: ReadModel,
        archiver: LogArchiver,
        retention: LogRetention,
        ledger: RetentionLedger,
        clock: Clock,
        retention_days: int,
    ) -> None:
        self._log = log
        self._views = views
        self._archiver = archiver
        self._retention = retention
        self._ledger = ledger
        self._clock = clock
        self._retention_days = retention_days

    async def run(self, give_up_ms: int) -> KeeperReport:
        """Look after all that needs it.

        Args:
            give_up_ms: Begin nothing after this time.

        Raises:
            RetryableError: A store did not answer. What was done is done.
        """
        report = KeeperReport()
        remembered = await self._ledger.due(self._clock.now_ms())
        await self._see_to_all([_due(task) for task in remembered], give_up_ms, report)
        for tenant in await self._views.tenants():
            await self._tenant(tenant, give_up_ms, report)
        return report

    async def _tenant(self, tenant: str, give_up_ms: int, report: KeeperReport) -> None:
        until_ms = noticed_before_ms(self._clock.now_ms(), self._retention_days)
        reached_ms = await self._ledger.reached(tenant)
        while reached_ms < until_ms:
            # By the day, so that a run that is cut short has got somewhere; all that is older than the newest days
            # in one go, because there is an end to it.
            to_ms = until_ms if reached_ms == 0 else min(until_ms, reached_ms + DAY_MS)
            async for entries in self._unarchived(tenant, reached_ms, to_ms):
                # Asked of an empty page too: most are.
                if not await self._see_to_all([_due(entry) for entry in entries], give_up_ms, report):
                    return
            await self._ledger.advance(tenant, to_ms)
            reached_ms = to_ms

    async def _unarchived(self, tenant: str, after_ms: int, before_ms: int) -> AsyncIterator[list[Entry]]:
        wanted = EntryFilter(tenant, created_after_ms=after_ms, created_before_ms=before_ms, archived=False)
        cursor: str | None = None
        while True:
            page = await self._views.list(wanted, limit=_PAGE, cursor=cursor)
            yield [entry for entry in page.items if isinstance(entry, Entry)]
            cursor = page.next_cursor
            if cursor is None:
                return

    async def _see_to_all(self, tasks: Sequence[_Due], give_up_ms: int, report: KeeperReport) -> bool:
        """See to them while there is time; False where it ran out."""
        for start in range(0, max(len(tasks), 1), _LOGS_AT_ONCE):
            if self._clock.now_ms() >= give_up_ms:
                report.complete = False
                return False
            await self._see_to(tasks[start : start + _LOGS_AT_ONCE], report)
        return True

    async def _see_to(self, tasks: Sequence[_Due], report: KeeperReport) -> None:
        room = asyncio.Semaphore(_READS_AT_ONCE)

        async def one(task: _Due) -> list[Event] | None:
            async with room:
                return await self._unless_finished(task, report)

        logs = await asyncio.gather(*(one(task) for task in tasks))
        finished = [(task, log) for task, log in zip(tasks, logs, strict=True) if log is not None]
        keys = await self._archiver.archive([log for _, log in finished])
        await asyncio.gather(*(self._archived(task, log, keys.get(task.task_id), report) for task, log in finished))

    async def _unless_finished(self, task: _Due, report: KeeperReport) -> list[Event] | None:
        """Look after a log that has not come to its end; gives back one that has."""
        report.looked_at += 1
        log: list[Event] = []
        try:
            log = await self._log.read(task.task_id)
            if not log or log[0].seq != 0:
                # Somebody else saw to it, or it is too late; either way there is nothing left to keep.
                logger.warning("log already dropped", extra={"task_id": task.task_id})
                await self._forget(task)
                return None
            if not fold(log).status.terminal:
                await self._extend(task, log, report)
                return None
        except RetryableError as error:
            logger.warning("not looked after", extra={"task_id": task.task_id, "code": error.code})
            await self._failed(task, report)
            return None
        except CorruptLogError as error:
            # Evidence: kept until somebody has looked at it.
            logger.error("log corrupt", extra={"task_id": task.task_id, "error": error.message})
            await self._extend(task, log, report)
            return None
        return log

    async def _extend(self, task: _Due, log: Sequence[Event], report: KeeperReport) -> None:
        now_ms = self._clock.now_ms()
        # Remembered first: an extended log that nobody remembers would be dropped the next time.
        look_at_ms = next_look_ms(now_ms, self._retention_days)
        await self._ledger.remember(Kept(task.task_id, task.tenant, task.created_at_ms, now_ms))
        until = extended_until(now_ms, self._retention_days)
        extended = await self._retention.extend(log, until)
        report.extended += extended  # not in one line with the wait, during which others count
        await self._ledger.remember(Kept(task.task_id, task.tenant, task.created_at_ms, look_at_ms))

    async def _archived(self, task: _Due, log: list[Event], key: str | None, report: KeeperReport) -> None:
        if key is None:
            await self._failed(task, report)
            return
        try:
            await self._views.put(replace(entry_of_log(log), archive_key=key))
        except RetryableError as error:
            logger.warning("not looked after", extra={"task_id": task.task_id, "code": error.code})
            await self._failed(task, report)
            return
        await self._forget(task)
        report.archived += 1

    async def _failed(self, task: _Due, report: KeeperReport) -> None:
        """Have the task come up in the next run. If even that fails, so does this run, before it passes the day by."""
        report.failed += 1
        await self._ledger.remember(Kept(task.task_id, task.tenant, task.created_at_ms, self._clock.now_ms()))

    async def _forget(self, task: _Due) -> None:
        if task.remembered:
            await self._ledger.forget(task.task_id)


def _due(task: Kept | Entry) -> _Due:
    return _Due(task.task_id, task.tenant, task.created_at_ms, remembered=isinstance(task, Kept))
