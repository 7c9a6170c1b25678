"""The one way a message gets to where it will be run: its lane, the delay ladder, a schedule, or Step Functions.

Invariant: what a message says of its time (`not_before_ms`) decides alone where it goes, so that
sending the same state of a task again is the same message in the same place, or one more that
finds its work done. A session's messages always go straight to their lane, where a delayed one
waits at the head of its session: the order of a session is the order in which its tasks were
accepted, whatever their delays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from flotilla.clock import Clock
from flotilla.errors import RetryableError
from flotilla.events import TaskState
from flotilla.models import Status, TaskMessage
from flotilla.ports import Delays, Lanes, Schedules
from flotilla.primitives.ladder import SCHEDULE_LEAD_SECONDS, Beyond, Ladder, Tier, ToLane
from flotilla.workflows.order import is_run

StartRun = Callable[[TaskMessage], Awaitable[None]]
"""Has Step Functions do a run of a workflow; what cannot be started is an end in the run's log, and no error."""


def message_for(state: TaskState) -> TaskMessage:
    """The message that gets a task run, at its time, from where its log stands."""
    return TaskMessage(
        task_id=state.task_id,
        tenant=state.tenant,
        agent=state.agent,
        agent_version=state.agent_version,
        lane=state.lane,
        session=state.session,
        seq=state.head_seq,
        hash=state.head_hash,
        attempt=state.attempt,
        charged=state.attempts_charged,
        max_attempts=state.max_attempts,
        accepted_at_ms=state.created_at_ms,
        deadline_ms=state.deadline_ms,
        input=state.input,
        trace=state.trace,
        not_before_ms=_not_before_ms(state),
        root=state.root,
        depth=state.depth,
        revision=state.revision,
        budgets=state.budgets,
        workflow=state.workflow,
    )


def _not_before_ms(state: TaskState) -> int | None:
    if state.status is Status.WAITING:
        return state.wait_ends_ms
    due_ms = state.due_at_ms if state.status is Status.SCHEDULED else state.next_attempt_ms
    return wake_ms(due_ms, state.deadline_ms)


def wake_ms(due_ms: int | None, deadline_ms: int | None) -> int | None:
    """When a worker must look at a task that is due at `due_ms`: then, or at its deadline, to close it."""
    if due_ms is None or deadline_ms is None:
        return due_ms
    return min(due_ms, deadline_ms)


@dataclass(frozen=True, slots=True)
class _Schedule:
    """Beyond the ladder: a schedule brings it there."""

    schedules: Schedules
    at_ms: int


class _ToStepFunctions:
    """A run of a workflow waits on no lane."""


class Dispatch:
    """Sends messages to where they will be run.

    Args:
        schedules: None for who may not make schedules: what lies beyond the ladder goes into its longest tier,
            and the relay sends it round again.
        start_run: None for who meets no runs of workflows.
    """

    def __init__(
        self,
        *,
        lanes: Lanes,
        delays: Delays,
        schedules: Schedules | None,
        ladder: Ladder,
        clock: Clock,
        start_run: StartRun | None = None,
    ) -> None:
        self._lanes = lanes
        self._delays = delays
        self._schedules = schedules
        self._ladder = ladder
        self._clock = clock
        self._start_run = start_run

    async def __call__(self, message: TaskMessage, *, in_order: bool = True) -> None:
        """Send `message` so that it is run at its time; durable when this returns.

        Args:
            message: The message.
            in_order: It keeps its place in its session, if it has one, and what is behind it waits with it. False for
                a task that waits for a signal: it comes back to its session when its time is over.

        Raises:
            RetryableError: A queue or the scheduler did not answer. The message may or may not be there.
        """
        match self._place(message, in_order=in_order):
            case ToLane():
                await self._lanes.send(message)
            case Tier(seconds):
                await self._delays.send(message, seconds)
            case _Schedule(schedules, at_ms):
                await schedules.put(message, at_ms)
            case _ToStepFunctions():
                if self._start_run is None:
                    raise RetryableError("no runs of workflows are started here", code="runs_elsewhere")
                await self._start_run(message)

    async def batch(self, messages: Sequence[TaskMessage]) -> list[bool]:
        """Send any number of messages; those of one session stay in the order given.

        Returns:
            For each message whether it is surely durable.
        """
        to_lane = [position for position, message in enumerate(messages) if isinstance(self._place(message), ToLane)]
        later = sorted(set(range(len(messages))) - set(to_lane))
        sent, delayed = await asyncio.gather(
            self._batch_to_lanes([messages[position] for position in to_lane]),
            asyncio.gather(*(self._sent(messages[position]) for position in later)),
        )
        durable = dict(zip(to_lane, sent, strict=True)) | dict(zip(later, delayed, strict=True))
        return [durable[position] for position in range(len(messages))]

    async def _batch_to_lanes(self, messages: Sequence[TaskMessage]) -> list[bool]:
        return await self._lanes.send_batch(messages) if messages else []

    async def _sent(self, message: TaskMessage) -> bool:
        try:
            await self(message)
        except RetryableError:
            return False
        return True

    def _place(self, message: TaskMessage, *, in_order: bool = True) -> ToLane | Tier | _Schedule | _ToStepFunctions:
        if is_run(message.agent):
            return _ToStepFunctions()
        due_ms = message.not_before_ms
        if due_ms is None or (in_order and message.session is not None):
            return ToLane()
        remaining = (due_ms - self._clock.now_ms()) / 1000
        place = self._ladder.place(remaining)
        if not isinstance(place, Beyond):
            return place
        if self._schedules is None:
            return Tier(self._ladder.tiers_seconds[-1])
        return _Schedule(self._schedules, due_ms - SCHEDULE_LEAD_SECONDS * 1000)
