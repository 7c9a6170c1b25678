"""How canaries ended, as their logs tell it. Reads, and writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from flotilla.clock import Clock
from flotilla.errors import CorruptLogError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import Status
from flotilla.ports import EventLog
from flotilla.primitives.canary import CANARY_TENANT, CanaryPlan, canary_key
from flotilla.services.submit import task_id_for

_PAUSED = "paused"


class CanaryEnd(StrEnum):
    """What came of a canary.

    `HELD` is neither good nor bad: an operator had paused what it was on, so it says nothing of the lane.
    """

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Canary:
    """One canary.

    Attributes:
        accepted_ms: When it was accepted.
        decided_ms: When it ended, or its time was up; None while neither.
        latency_ms: From accepted to finished, of one that succeeded.
        why: Of one that did not, in a word.
    """

    lane: str
    task_id: str
    accepted_ms: int
    end: CanaryEnd
    decided_ms: int | None = None
    latency_ms: int | None = None
    why: str = ""


def judged(events: Sequence[Event], *, now_ms: int, patience_ms: int, paused: bool = False) -> Canary:
    """What a canary's log says of it.

    Args:
        events: The whole log.
        now_ms: What has not ended by then is pending, or late.
        patience_ms: How long it may take.
        paused: Its lane is paused now.

    Raises:
        CorruptLogError: The log breaks its own rules.
    """
    state = fold(events)
    up_ms = state.created_at_ms + patience_ms
    finished_ms = state.finished_at_ms
    in_time = finished_ms is not None and finished_ms <= up_ms
    if not in_time and now_ms < up_ms and finished_ms is None:
        return _canary(state, CanaryEnd.PENDING)
    decided_ms = finished_ms if in_time and finished_ms is not None else up_ms
    if _was_held(events) or (paused and finished_ms is None):
        return _canary(state, CanaryEnd.HELD, decided_ms, why=_PAUSED)
    if not in_time:
        return _canary(state, CanaryEnd.FAILED, decided_ms, why="late")
    if state.status is not Status.SUCCEEDED:
        return _canary(state, CanaryEnd.FAILED, decided_ms, why=state.status.value)
    if state.output is None or state.output.inline != state.input.inline:
        return _canary(state, CanaryEnd.FAILED, decided_ms, why="wrong_answer")
    return _canary(state, CanaryEnd.SUCCEEDED, decided_ms, latency_ms=decided_ms - state.created_at_ms)


def _was_held(events: Sequence[Event]) -> bool:
    return any(event.kind is Kind.PARKED and event.body.get("reason") == _PAUSED for event in events)


def _canary(
    state: TaskState, end: CanaryEnd, decided_ms: int | None = None, *, latency_ms: int | None = None, why: str = ""
) -> Canary:
    return Canary(state.lane, state.task_id, state.created_at_ms, end, decided_ms, latency_ms, why)


class Canaries:
    """Looks canaries up.

    Args:
        log: Where their logs are.
        plan: When they are due.
        clock: Tells whether one is late.
    """

    def __init__(self, log: EventLog, plan: CanaryPlan, clock: Clock) -> None:
        self._log = log
        self._plan = plan
        self._clock = clock

    async def find(self, lane: str, period_ms: int, *, paused: bool = False) -> Canary | None:
        """The canary of a lane and a period; None where there is none.

        Raises:
            RetryableError: The log did not answer.
        """
        task_id = task_id_for(CANARY_TENANT, canary_key(lane, period_ms))
        events = await self._log.read(task_id)
        if not events:
            return None
        patience_ms = self._plan.patience_ms(lane)
        try:
            return judged(events, now_ms=self._clock.now_ms(), patience_ms=patience_ms, paused=paused)
        except CorruptLogError:
            decided_ms = events[0].at_ms + patience_ms
            return Canary(lane, task_id, events[0].at_ms, CanaryEnd.FAILED, decided_ms, why="corrupt_log")

    async def decided_before(self, lane: str, at_ms: int, *, paused: bool = False) -> list[Canary]:
        """The lane's canaries that were decided in the period before that of `at_ms`, the oldest first.

        Raises:
            RetryableError: The log did not answer.
        """
        begins_ms, ends_ms = self._plan.window_before(at_ms)
        found = []
        for period_ms in reversed(self._plan.periods_before(lane, at_ms)):
            canary = await self.find(lane, period_ms, paused=paused)
            if canary is not None and canary.decided_ms is not None and begins_ms <= canary.decided_ms < ends_ms:
                found.append(canary)
        return found

    async def newest(self, lane: str, *, paused: bool = False) -> Canary | None:
        """The lane's newest canary that has been decided; the newest of all where none has; None without any.

        Raises:
            RetryableError: The log did not answer.
        """
        now_ms = self._clock.now_ms()
        pending = None
        for period_ms in [self._plan.period_of(now_ms), *self._plan.periods_before(lane, now_ms)]:
            canary = await self.find(lane, period_ms, paused=paused)
            if canary is None:
                continue
            if canary.end is not CanaryEnd.PENDING:
                return canary
            pending = pending or canary
        return pending
