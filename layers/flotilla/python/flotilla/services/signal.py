"""Giving a task the signal that it waits for.

    … ── waiting(4) ── signalled(5)        whoever writes to this place has ended the wait,
                    └─ resumed(5)          and it is ended once: by a signal, by its time,
                    └─ cancelled(5)        by a cancel, or by the task's deadline

Invariant: a signal that was answered is in the log, and the attempt that it wakes is told of it and of no other. The
event comes before the message: whoever dies in between leaves a queued task without a message, which a repeat of the
call (or the reconciler) sends. What was given once may be given again; what says otherwise is refused.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from flotilla.clock import Clock
from flotilla.errors import PermanentError, RetryableError
from flotilla.events import Kind, TaskState, fold
from flotilla.models import Status, canonical_json
from flotilla.services.dispatch import Dispatch, message_for
from flotilla.services.open_logs import Found, OpenLogs
from flotilla.services.successor import successor

logger = logging.getLogger("flotilla.signal")

MAX_PAYLOAD_BYTES = 32_768
"""Of a signal's canonical JSON: it lies in the event, whatever the fleet keeps outside of its log."""

_TRIES = 4
"""A waiting task's log changes by the end of the wait and what follows from it, and by nothing else."""


class NotWaitingError(PermanentError):
    """The task does not wait for this signal: not yet, no more, or never."""

    default_code = "not-waiting"

    def __init__(self, state: TaskState) -> None:
        super().__init__(f"the task is {state.status.value}")
        self.state = state


class AlreadySignalledError(PermanentError):
    """The signal was given, with another payload."""

    default_code = "already-signalled"


@dataclass(frozen=True, slots=True)
class Signal:
    """What is told a task.

    Attributes:
        name: As the task waits for it.
        payload: JSON values, of at most `MAX_PAYLOAD_BYTES`.
        actor: Who: `key:<id>`, or `link:<endpoint id>`.
        request_id: Of the very call, by which its event is told from that of any other.
        waiting_seq: Number of the `waiting` event that it answers; None for whichever wait of that name is on.
    """

    name: str
    payload: Any
    actor: str
    request_id: str
    waiting_seq: int | None = None


@dataclass(frozen=True, slots=True)
class Signalled:
    """The answer to a signal.

    Attributes:
        state: The task as it is now.
        changed: This call gave it; else one before did, and said the same.
    """

    state: TaskState
    changed: bool


class SignalService:
    """Gives signals.

    Args:
        logs: Finds logs and adds to them.
        dispatch: Sends the messages.
        lanes: The deployed lanes. A deployment may have removed one that a task was accepted for.
        clock: Dates the events.
    """

    def __init__(self, *, logs: OpenLogs, dispatch: Dispatch, lanes: Collection[str], clock: Clock) -> None:
        self._logs = logs
        self._dispatch = dispatch
        self._lanes = lanes
        self._clock = clock

    async def signal(self, task_id: str, signal: Signal, *, tenant: str | None) -> Signalled | None:
        """Give a task a signal.

        Args:
            task_id: The task.
            signal: The signal.
            tenant: Whose task; None anybody's.

        Returns:
            The task, or None where there is no such task.

        Raises:
            NotWaitingError: It does not wait for it.
            AlreadySignalledError: It was given otherwise.
            RetryableError: A store did not answer; it may be given, and repeating the call does no harm.
            CorruptLogError: The log breaks its own rules.
        """
        for _ in range(_TRIES):
            found = await self._logs.find(task_id, tenant=tenant)
            if found is None:
                return None
            state = found.state
            if not self._waits(found, signal):
                return await self._given_before(state, signal)
            body = {"name": signal.name, "payload": signal.payload, "request_id": signal.request_id}
            event = successor(state, Kind.SIGNALLED, body, actor=signal.actor, at_ms=self._clock.now_ms())
            if await self._logs.append(event):
                signalled = fold([*found.events, event])
                await self._send(signalled)
                return Signalled(signalled, changed=True)
        raise RetryableError("the task's log is changing", code="log_contended", retry_after_seconds=1.0)

    def _waits(self, found: Found, signal: Signal) -> bool:
        state = found.state
        if not found.open or state.status is not Status.WAITING or state.waiting_for != signal.name:
            return False
        if state.deadline_ms is not None and state.deadline_ms <= self._clock.now_ms():
            return False  # no attempt will start any more
        return signal.waiting_seq in (None, state.head_seq)

    async def _given_before(self, state: TaskState, signal: Signal) -> Signalled:
        end = state.waits.get(signal.name)
        if end is None or end.timed_out:
            raise NotWaitingError(state)
        if canonical_json(end.payload) != canonical_json(signal.payload):
            raise AlreadySignalledError("it was given with another payload")
        if state.head_kind is Kind.SIGNALLED:
            # Nothing has happened since: who wrote that may have died before it sent the message.
            await self._send(state)
        return Signalled(state, changed=False)

    async def _send(self, state: TaskState) -> None:
        if state.lane in self._lanes:
            await self._dispatch(message_for(state))
        else:
            logger.error("a task waits for a lane that is not there", extra={"task_id": state.task_id})
