"""Cancelling a task, in whatever state it is.

    … ── started(4) ── cancelled(5)          the attempt that began at 4 cannot commit: its place is taken
    … ── succeeded(5)                        came first: there is nothing to cancel

Invariant: a cancelled task never commits a result, and what has ended stays as it is. Which of
the two it is, the conditional append decides; nothing is locked and no worker is asked.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.events import Kind, TaskState, fold
from flotilla.models import Status
from flotilla.ports import Schedules
from flotilla.primitives.ladder import REACH_SECONDS, SCHEDULE_LEAD_SECONDS
from flotilla.services.open_logs import OpenLogs
from flotilla.services.successor import successor

logger = logging.getLogger("flotilla.cancel")

TRIES = 12
"""Appends that are tried against a worker that records step after step, before the caller is asked to come again."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The answer to a cancel.

    Attributes:
        state: The task as it is now; ended in any case.
        changed: This call ended it.
    """

    state: TaskState
    changed: bool


class CancelService:
    """Cancels tasks.

    Args:
        logs: Finds logs and adds to them.
        schedules: Where what is due far from now waits; None for who cancels nothing of that kind.
        clock: Dates the events.
    """

    def __init__(self, *, logs: OpenLogs, schedules: Schedules | None, clock: Clock) -> None:
        self._logs = logs
        self._schedules = schedules
        self._clock = clock

    async def cancel(self, tenant: str, task_id: str, *, actor: str, request_id: str) -> Cancelled | None:
        """End a task that has not ended.

        Args:
            tenant: Whose task.
            task_id: The task.
            actor: Who cancels: `key:<id>`.
            request_id: Id of this very call, by which its event is told from that of any other.

        Returns:
            The task, or None where this tenant has no such task.

        Raises:
            RetryableError: The log did not answer (the task may be cancelled), or kept changing under our eyes.
            CorruptLogError: The log breaks its own rules.
        """
        for _ in range(TRIES):
            found = await self._logs.find(task_id, tenant=tenant)
            if found is None:
                return None
            state = found.state
            if state.status.terminal or not found.open:
                return Cancelled(state, changed=False)
            body = {"request_id": request_id}
            event = successor(state, Kind.CANCELLED, body, actor=actor, at_ms=self._clock.now_ms())
            if await self._logs.append(event):
                await self._forget_schedule(state)
                return Cancelled(fold([*found.events, event]), changed=True)
        raise RetryableError("the task's log is changing", code="log_contended", retry_after_seconds=1.0)

    async def _forget_schedule(self, state: TaskState) -> None:
        """Take back the schedule of a task that is due far from now; if it fires all the same, the log tells."""
        if self._schedules is None or state.status is not Status.SCHEDULED or state.session is not None:
            return
        if state.due_at_ms is None:
            return
        fires_ms = state.due_at_ms - SCHEDULE_LEAD_SECONDS * 1000
        if state.due_at_ms - state.created_at_ms <= REACH_SECONDS * 1000 or fires_ms <= self._clock.now_ms():
            return
        try:
            await self._schedules.remove(state.task_id, state.head_seq)
        except RetryableError as error:
            logger.warning("schedule not removed", extra={"task_id": state.task_id, "error": error.message})
