"""Listing a tenant's tasks: the read model says which, their logs say how they stand.

Invariant: what is listed is what the log said at that moment. The read model may be a second behind and does not
follow attempts that are under way; so whatever it names is read and held against the filter again, and a task that
does not fit (any more) is left out.

A call reads a bounded number of entries and logs. Where few of them fit, a page is short, or empty, and its cursor
leads on. Pages are stable: of the tasks older than the first page's, each that goes on fitting comes exactly once.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from flotilla.errors import CorruptLogError
from flotilla.events import Event, TaskState, fold
from flotilla.models import Status
from flotilla.ports import EventLog, ReadModel
from flotilla.primitives.cursor import cursor_after, position
from flotilla.read_model import Entry, EntryFilter
from flotilla.services.past_logs import PastLogs

logger = logging.getLogger("flotilla.listing")

_LOGS_OF_A_CALL = 200
"""Logs read before a page is answered, full or not."""

_ROUNDS = 6
"""Pages of entries looked at, likewise."""

_ENTRIES_AT_ONCE = 50
_READS_AT_ONCE = 10


class TaskPage(NamedTuple):
    """A page of tasks; with a cursor there may be more, even where there are none."""

    tasks: list[TaskState]
    next_cursor: str | None


class Listed(NamedTuple):
    """A task with its log."""

    events: list[Event]
    state: TaskState


class ListService:
    """Lists tasks.

    Args:
        views: The read model.
        log: The event log.
        past: Finds the logs of tasks that are no longer in it; None where nothing is archived.
    """

    def __init__(self, *, views: ReadModel, log: EventLog, past: PastLogs | None = None) -> None:
        self._views = views
        self._log = log
        self._past = past

    async def list(self, tenant: str, wanted: EntryFilter, limit: int, cursor: str | None) -> TaskPage:
        """A page of the tenant's tasks, the newest first.

        Args:
            tenant: Whose; nobody else's are listed, whatever the filter says.
            wanted: Which of them.
            limit: Tasks at the most.
            cursor: The page before this one's `next_cursor`.

        Raises:
            ValueError: The cursor is none of this list's.
            RetryableError: A store did not answer.
        """
        wanted = replace(wanted, tenant=tenant)
        candidates = _candidates(wanted)
        tasks: list[TaskState] = []
        room = _LOGS_OF_A_CALL
        for _ in range(_ROUNDS):
            # What most likely fits is not asked for beyond the page; of what has to be tried more is.
            missing = limit - len(tasks)
            at_once = missing if candidates.status is wanted.status else max(missing, _ENTRIES_AT_ONCE)
            page = await self._views.list(candidates, limit=min(at_once, room), cursor=cursor)
            entries = [entry for entry in page.items if isinstance(entry, Entry) and entry.tenant == tenant]
            for entry, state in zip(entries, await self.states(entries), strict=True):
                if state is None or not fits(state, wanted):
                    continue
                tasks.append(state)
                if len(tasks) == limit:
                    if entry is entries[-1]:
                        return TaskPage(tasks, page.next_cursor)
                    place = position(entry.created_at_ms, entry.task_id)
                    return TaskPage(tasks, cursor_after(candidates, place))
            room -= len(entries)
            cursor = page.next_cursor
            if cursor is None or room <= 0:
                break
        return TaskPage(tasks, cursor)

    async def states(self, entries: Sequence[Entry]) -> Sequence[TaskState | None]:
        """The tasks of these entries as their logs say they are; None for one that is gone, or whose log is corrupt.

        Raises:
            RetryableError: A store did not answer.
        """
        return [None if found is None else found.state for found in await self.logs(entries)]

    async def logs(self, entries: Sequence[Entry]) -> Sequence[Listed | None]:
        """The same with their logs.

        Raises:
            RetryableError: A store did not answer.
        """
        room = asyncio.Semaphore(_READS_AT_ONCE)

        async def log(entry: Entry) -> Listed | None:
            async with room:
                return await self._log_of(entry)

        return await asyncio.gather(*(log(entry) for entry in entries))

    async def _log_of(self, entry: Entry) -> Listed | None:
        events = await self._log.read(entry.task_id)
        try:
            if self._past is not None:
                events = await self._past.whole(events, entry)
            return Listed(events, fold(events)) if events else None
        except CorruptLogError as error:
            # One log that is broken must not hide all the others of its tenant.
            logger.error("log corrupt, not listed", extra={"task_id": entry.task_id, "error": error.message})
            return None


def fits(state: TaskState, wanted: EntryFilter) -> bool:
    """Whether a task is one of those that are wanted."""
    return (
        state.tenant == wanted.tenant
        and wanted.status in (None, state.status)
        and wanted.agent in (None, state.agent)
        and wanted.lane in (None, state.lane)
        and wanted.session in (None, state.session)
        and (wanted.created_after_ms is None or state.created_at_ms >= wanted.created_after_ms)
        and (wanted.created_before_ms is None or state.created_at_ms < wanted.created_before_ms)
        and wanted.finished in (None, state.status.terminal)
    )


def _candidates(wanted: EntryFilter) -> EntryFilter:
    """Which entries may be of tasks that are wanted."""
    if wanted.status is Status.RUNNING:
        # Entries do not follow attempts: what runs is among all that has not ended.
        return replace(wanted, status=None, finished=False)
    return wanted
