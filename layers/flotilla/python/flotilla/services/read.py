"""Reading tasks for clients: a tenant sees its own tasks and no trace of others'.

A task whose log the table no longer has is read from the archive.
"""

from __future__ import annotations

from flotilla.clock import Clock
from flotilla.events import Event, TaskState, fold
from flotilla.ports import EventLog
from flotilla.services.past_logs import PastLogs

_FIRST_POLL_SECONDS = 0.04
_SLOWEST_POLL_SECONDS = 0.5
_POLL_GROWTH = 1.4


class ReadService:
    """Answers what became of a task.

    Args:
        log: The event log.
        clock: Tells the time.
        past: Finds logs in the archive; None where nothing is archived.
    """

    def __init__(self, *, log: EventLog, clock: Clock, past: PastLogs | None = None) -> None:
        self._log = log
        self._clock = clock
        self._past = past

    async def events(self, tenant: str, task_id: str, created_at_ms: int | None = None) -> list[Event] | None:
        """The task's log in order, or None where this tenant has no such task.

        Args:
            tenant: Who asks.
            task_id: The task.
            created_at_ms: When it was created. Only asked for where the task is so old that the table has nothing
                of it; without it only the tenant's latest tasks of that age are found.

        Raises:
            RetryableError: A store did not answer.
        """
        events = await self._log.read(task_id)
        if self._past is not None:
            return await self._past.find(tenant, task_id, events, created_at_ms)
        # Retention drops a task's events one by one; what lacks its first event is gone.
        if not events or events[0].seq != 0 or events[0].body.get("tenant") != tenant:
            return None
        return events

    async def task(self, tenant: str, task_id: str, created_at_ms: int | None = None) -> TaskState | None:
        """The task's state, or None where this tenant has no such task. See `events`.

        Raises:
            RetryableError: A store did not answer.
            CorruptLogError: The log breaks its own rules.
        """
        events = await self.events(tenant, task_id, created_at_ms)
        return None if events is None else fold(events)

    async def wait(self, tenant: str, task_id: str, wait_seconds: float) -> TaskState | None:
        """As `task`, but wait up to `wait_seconds` for the task to end.

        Polls, first often and then less: most tasks that a client waits for end within a second,
        and a read of a short log costs one read unit.
        """
        give_up_ms = self._clock.now_ms() + int(wait_seconds * 1000)
        pause = _FIRST_POLL_SECONDS
        while True:
            state = await self.task(tenant, task_id)
            left = (give_up_ms - self._clock.now_ms()) / 1000
            if state is None or state.status.terminal or left <= 0:
                return state
            await self._clock.sleep(min(pause, left))
            pause = min(pause * _POLL_GROWTH, _SLOWEST_POLL_SECONDS)
