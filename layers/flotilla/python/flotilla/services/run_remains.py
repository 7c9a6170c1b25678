"""What is left of a run that has ended: its execution, and tasks that nobody waits for any more.

    cancelled, expired      stop mark ── StopExecution ── its tasks are cancelled
    dead_lettered           the tasks that it had are cancelled: another branch of it may have been at work

Invariant: nothing is done that the log does not say has ended, so all of it may be done again, by two at once, or be
cut off anywhere. The stop mark comes first: what is accepted after it is known is never started. What was accepted just
before that may not be in the read model yet; so the broadcaster, which does this at once, is not the last to do it: the
reconciler does it again a while later (`services.watch`), until nothing is left.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from flotilla.clock import Clock
from flotilla.coordination import stop_mark
from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, TaskState, fold
from flotilla.models import Status
from flotilla.ports import Pauses, ReadModel
from flotilla.read_model import Entry, RunFilter
from flotilla.services.cancel import CancelService
from flotilla.services.run_state import begun_at, execution_name, leaves_tasks
from flotilla.workflow_ports import Executions
from flotilla.workflows.order import workflow_of

logger = logging.getLogger("flotilla.runs")

_PAGE = 200
_AT_ONCE = 16
"""Cancels under way at a time: each is a read and an append."""


class RunRemains:
    """Clears up behind runs.

    Args:
        views: Knows the tasks of a run.
        executions: The state machines.
        pauses: Where the stop mark goes.
        cancel: Cancels tasks.
        clock: Tells when to leave off.
    """

    def __init__(
        self, *, views: ReadModel, executions: Executions, pauses: Pauses, cancel: CancelService, clock: Clock
    ) -> None:
        self._views = views
        self._executions = executions
        self._pauses = pauses
        self._cancel = cancel
        self._clock = clock

    async def clear(self, events: Sequence[Event], *, give_up_ms: int) -> bool:
        """Clear up what a run left.

        Args:
            events: Its log, up to the event by which it ended. One that did not end, or succeeded, left nothing.
            give_up_ms: No more tasks are looked for after this time.

        Returns:
            False where some may be left, for which there was no time.

        Raises:
            RetryableError: A store or Step Functions did not answer; doing it again is harmless.
            CorruptLogError: The log breaks its own rules.
        """
        state = fold(events)
        if not leaves_tasks(state):
            return True
        if state.status is not Status.DEAD_LETTERED:
            # A run that died may be redriven, and its execution has ended by itself.
            await self._pauses.put(stop_mark(state.task_id, state.agent, state.head_at_ms))
            name = execution_name(state.task_id, begun_at(events).seq)
            await self._executions.stop(workflow_of(state.agent), name, f"the run is {state.status.value}")
        return await self._cancel_tasks(state, give_up_ms)

    async def _cancel_tasks(self, state: TaskState, give_up_ms: int) -> bool:
        wanted = RunFilter(state.tenant, state.task_id, finished=False)
        cursor: str | None = None
        ended = 0
        while self._clock.now_ms() < give_up_ms:
            page = await self._views.tasks_of_run(wanted, limit=_PAGE, cursor=cursor)
            entries = [entry for entry in page.items if isinstance(entry, Entry) and _is_left(entry, state)]
            ended += await self._cancelled(entries, state)
            cursor = page.next_cursor
            if cursor is None:
                logger.info("run cleared up", extra={"task_id": state.task_id, "cancelled": ended})
                return True
        logger.warning("no time to clear up all of a run", extra={"task_id": state.task_id, "cancelled": ended})
        return False

    async def _cancelled(self, entries: Sequence[Entry], state: TaskState) -> int:
        """Cancel these tasks; how many of them this call ended."""
        room = asyncio.Semaphore(_AT_ONCE)
        request_id = f"{state.task_id}/{state.head_seq}"

        async def cancel(entry: Entry) -> bool:
            async with room:
                try:
                    done = await self._cancel.cancel(
                        entry.tenant, entry.task_id, actor=state.agent, request_id=request_id
                    )
                except CorruptLogError as error:
                    logger.error("log corrupt", extra={"task_id": entry.task_id, "error": error.message})
                    return False
            return done is not None and done.changed

        results = await asyncio.gather(*(cancel(entry) for entry in entries), return_exceptions=True)
        failed = [found for found in results if isinstance(found, BaseException)]
        for error in failed:
            if not isinstance(error, RetryableError):
                raise error
        if failed:
            raise failed[0]
        return sum(found is True for found in results)


def _is_left(entry: Entry, state: TaskState) -> bool:
    """A dead run that was redriven has new tasks, which are not what it left."""
    return state.status is not Status.DEAD_LETTERED or entry.created_at_ms <= state.head_at_ms
