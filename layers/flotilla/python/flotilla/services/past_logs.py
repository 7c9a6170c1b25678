"""Logs that are no longer in the table, or not all of them: from the archive.

Retention drops a task's events one by one, in no promised order. So a log from which something may have been dropped
is not believed on its own: what the task's entry says was archived is read instead, whenever that tells more.
"""

from __future__ import annotations

from flotilla.clock import Clock
from flotilla.events import Event
from flotilla.ports import Archive, ReadModel
from flotilla.primitives.retention import dropped_before_ms, live_until_ms
from flotilla.read_model import Entry


class PastLogs:
    """Finds logs in the archive.

    Args:
        views: Knows where a task's log is archived.
        archive: The archive.
        clock: Tells which logs are old.
        retention_days: How long a finished task's log is promised to be kept in the table.
    """

    def __init__(self, *, views: ReadModel, archive: Archive, clock: Clock, retention_days: int) -> None:
        self._views = views
        self._archive = archive
        self._clock = clock
        self._retention_days = retention_days

    async def whole(self, live: list[Event], entry: Entry) -> list[Event]:
        """The task's log, of which `live` is what the table has; empty where there is none of it any more.

        Raises:
            RetryableError: The archive did not answer.
            CorruptLogError: What is archived is no log.
        """
        if entry.archive_key is None or _reaches(live, entry.head_seq):
            return live if live and live[0].seq == 0 else []
        archived = await self._archive.get(entry.archive_key, entry.task_id)
        return archived if archived and archived[0].body.get("tenant") == entry.tenant else []

    async def find(
        self, tenant: str, task_id: str, live: list[Event], created_at_ms: int | None = None
    ) -> list[Event] | None:
        """The log of a task, of which `live` is what the table has; None where this tenant has no such task.

        Args:
            tenant: Whose task it is said to be.
            task_id: The task.
            live: What the table has of its log.
            created_at_ms: When it was created, if whoever asks knows. Without it, a task of which the table has
                nothing is looked for among the tenant's latest entries that are so old, and no further.

        Raises:
            RetryableError: A store did not answer.
            CorruptLogError: What is archived is no log.
        """
        first = live[0] if live and live[0].seq == 0 else None
        if first is not None and first.body.get("tenant") != tenant:
            return None
        now_ms = self._clock.now_ms()
        if first is not None and now_ms < live_until_ms(first.at_ms, self._retention_days):
            return live
        if first is not None:
            created_at_ms = first.at_ms
        if created_at_ms is not None:
            entry = await self._views.get(tenant, task_id, created_at_ms)
        else:
            before_ms = dropped_before_ms(now_ms, self._retention_days)
            entry = await self._views.find(tenant, task_id, created_before_ms=before_ms)
        if entry is None:
            return live if first is not None else None
        return await self.whole(live, entry) or None


def _reaches(live: list[Event], head_seq: int) -> bool:
    """Whether the table has all of a log up to its entry's head."""
    return len(live) > head_seq and live[0].seq == 0 and live[-1].seq == len(live) - 1
