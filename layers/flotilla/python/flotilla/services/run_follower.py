"""What follows, for workflows, from the ends of tasks: from the events of a stream.

    end of a run's task, by the API or the triage     the state that waits for it is answered
    end of a run, but its success                     what it left is cleared up

The ends that workers write they answer themselves, before they give up the message; and those by which a run's tasks
were cleared up nobody waits for.

Invariant: what did not surely get done is reported, and the stream brings it again with all that came after it. Doing
any of it again is harmless.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from flotilla.errors import CorruptLogError, RetryableError
from flotilla.events import Event, fold
from flotilla.models import Status
from flotilla.ports import EventLog
from flotilla.services.callbacks import Callbacks, ended_state, is_workers
from flotilla.services.notices import status_after
from flotilla.services.run_remains import RunRemains
from flotilla.services.run_state import is_run_id
from flotilla.workflows.order import is_run

logger = logging.getLogger("flotilla.runs")

_AT_ONCE = 8


class RunFollower:
    """Does for workflows what follows from a batch of a stream.

    Args:
        log: For the events before those of a batch.
        callbacks: Answers states.
        remains: Clears up behind runs.
    """

    def __init__(self, *, log: EventLog, callbacks: Callbacks, remains: RunRemains) -> None:
        self._log = log
        self._callbacks = callbacks
        self._remains = remains

    async def run(self, events: Sequence[Event], *, give_up_ms: int) -> int | None:
        """Do what follows from a batch.

        Args:
            events: In the stream's order.
            give_up_ms: No more is begun of clearing up after this time; it comes again.

        Returns:
            Position of the first event that must come again; None where all is done.
        """
        room = asyncio.Semaphore(_AT_ONCE)

        async def follow(position: int, event: Event) -> int | None:
            async with room:
                return None if await self._followed(event, give_up_ms) else position

        wanted = [(position, event) for position, event in enumerate(events) if _tells(event)]
        positions = await asyncio.gather(*(follow(position, event) for position, event in wanted))
        return min((position for position in positions if position is not None), default=None)

    async def _followed(self, event: Event, give_up_ms: int) -> bool:
        extra = {"task_id": event.task_id, "seq": event.seq}
        try:
            log = await self._log.read(event.task_id)
            # Retention drops a task's events one by one; what lacks its first event is gone.
            if len(log) <= event.seq or log[0].seq != 0:
                return True
            # As it was then: it may have been redriven since.
            log = log[: event.seq + 1]
            if is_run_id(event.task_id):
                return await self._remains.clear(log, give_up_ms=give_up_ms)
            end = ended_state(fold(log))
            if end is not None:
                await self._callbacks.answer(end)
        except RetryableError as error:
            logger.warning("what follows from an end is not done", extra={**extra, "error": error.message})
            return False
        except CorruptLogError as error:
            # It stays corrupt however often the stream brings it, and others wait behind it.
            logger.error("log corrupt", extra={**extra, "error": error.message})
        return True


def _tells(event: Event) -> bool:
    """Whether something may follow from it; which of the tasks are a workflow's, only their logs say."""
    status = status_after(event)
    if status is None or not status.terminal:
        return False
    if is_run_id(event.task_id):
        return status is not Status.SUCCEEDED
    return not is_workers(event.actor) and not is_run(event.actor)
