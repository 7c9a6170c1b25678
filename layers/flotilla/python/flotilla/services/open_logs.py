"""Logs for who would add to one without being its worker: whole, of the right tenant, and not about to be dropped.

Retention drops a log's events one by one. An event added to what is left would begin a log with a gap, and one added to
a log that ended long ago might outlive all that came before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.events import Event, TaskState, fold
from flotilla.ports import EventLog
from flotilla.primitives.retention import DAY_MS, expires_at
from flotilla.services.past_logs import PastLogs

_NOTICE_DAYS = 2
"""So long before events may be dropped nothing is added any more: the retention keeper comes once a day."""


@dataclass(frozen=True, slots=True)
class Found:
    """A task's log.

    Attributes:
        state: Its fold.
        open: It may be added to. Else it has ended, and is archived or about to be dropped.
    """

    events: list[Event]
    state: TaskState
    open: bool


class OpenLogs:
    """Finds logs.

    Args:
        log: The event log.
        past: Finds logs that are no longer in it; None for who adds to none but those of tasks that have not ended,
            which are kept.
        clock: Tells which logs are old.
        retention_days: How long a finished task's log is promised to be kept.
    """

    def __init__(self, *, log: EventLog, past: PastLogs | None, clock: Clock, retention_days: int) -> None:
        self._log = log
        self._past = past
        self._clock = clock
        self._retention_days = retention_days

    async def find(self, task_id: str, *, tenant: str | None) -> Found | None:
        """A task's log: of `tenant`, or with None of any; None where there is no such task.

        Raises:
            RetryableError: A store did not answer.
            CorruptLogError: The log breaks its own rules.
        """
        live = await self._log.read(task_id)
        if tenant is None:
            if not live or live[0].seq != 0:
                return None
            tenant = str(live[0].body.get("tenant"))
        events = await self._whole(tenant, task_id, live)
        if events is None:
            return None
        state = fold(events)
        return Found(events, state, open=events == live and (not state.status.terminal or self._is_kept(events[0])))

    async def _whole(self, tenant: str, task_id: str, live: list[Event]) -> list[Event] | None:
        if self._past is not None:
            return await self._past.find(tenant, task_id, live)
        return live if live and live[0].seq == 0 and live[0].body.get("tenant") == tenant else None

    async def append(self, event: Event) -> bool:
        """Append `event` to a log that was found open; False where another event holds its place.

        Raises:
            RetryableError: The store did not answer. The event may or may not be in the log.
        """
        return await self._log.append(event) is None

    def _is_kept(self, first: Event) -> bool:
        dropped_ms = expires_at(first, self._retention_days) * 1000
        return self._clock.now_ms() < dropped_ms - _NOTICE_DAYS * DAY_MS
