"""Deciding, for one message, whether this worker runs its task now.

    accepted(0) ── started(1) ── … ── succeeded(n)
         ^             ^                    ^
    the message    whoever writes it     goes to exactly the place after
    says seq 0     owns the task         the owner's last event

On the happy path nothing is read: the message says which event comes next and what it chains to,
and the conditional append of `started` is lock, fence and record in one. Only a refused append,
or a message that was handed out before, costs a read of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flotilla.clock import Clock
from flotilla.errors import AttemptRevokedError
from flotilla.events import Kind, TaskState, fold
from flotilla.models import Delivery, ErrorInfo, Payload, Status, TaskMessage
from flotilla.ports import EventLog
from flotilla.primitives.lease import GRACE_SECONDS, lease_until_ms, seconds_until_takeover
from flotilla.services.journal import Journal

_READS = 3
"""Reads of a log that changes under our eyes before the message is left for later."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """The task is ours.

    Attributes:
        steps: What earlier attempts recorded.
        charged: Earlier attempts that count against `max_attempts`.
        started_ms: When the start was dated, before it was written.
        ends_ms: When the agent is stopped.
    """

    journal: Journal
    input: Payload
    steps: dict[str, Payload]
    attempt: int
    charged: int
    max_attempts: int
    started_ms: int
    ends_ms: int
    lease_until_ms: int

    def late(self, now_ms: int) -> bool:
        """The log took so long over the start that the agent would be stopped for lack of time, not for its own."""
        return now_ms - self.started_ms > GRACE_SECONDS * 1000


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do for this message."""

    why: str


@dataclass(frozen=True, slots=True)
class NotNow:
    """Someone else is at work, or it is too early."""

    after_seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """The worker before us died over it: to be run when nothing else shares the process."""


@dataclass(frozen=True, slots=True)
class Unlogged:
    """The message speaks of a task that has no log."""


Claim = Claimed | Finished | NotNow | Suspect | Unlogged


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a task's log stands, as far as claiming it needs to know."""

    head_seq: int
    head_hash: str
    attempt: int
    charged: int
    max_attempts: int
    input: Payload
    steps: dict[str, Payload]
    lost: dict[str, Any] | None


class Claims:
    """Claims tasks for one invocation's worker.

    Args:
        actor: Who writes, unique to the invocation.
    """

    def __init__(self, log: EventLog, clock: Clock, actor: str) -> None:
        self._log = log
        self._clock = clock
        self._actor = actor

    async def claim(self, delivery: Delivery, message: TaskMessage, *, budget_seconds: float, solo: bool) -> Claim:
        """Try to make the task ours.

        Args:
            delivery: The message's receipt.
            message: The message.
            budget_seconds: How long the agent may run.
            solo: Nothing else runs in this process.

        Raises:
            RetryableError: The log did not answer.
        """
        # A message handed out before, or sent after earlier attempts, may find recorded steps in the log:
        # those are read. So is the log of a task that is too late, to be closed as such.
        fresh = delivery.receive_count == 1 and message.attempt == 0
        if fresh and not self._too_late(message.deadline_ms):
            claimed = await self._start(message, _standing_of_message(message), budget_seconds, solo)
            if claimed is not None:
                return claimed
        for _ in range(_READS):
            events = await self._log.read(message.task_id)
            if not events:
                return Unlogged()
            state = fold(events)
            refusal = self._refusal(state, solo=solo)
            if refusal is not None:
                return refusal
            if self._too_late(state.deadline_ms):
                late = "the deadline passed before it could be done"
                if await self._close(state, Kind.EXPIRED, "deadline", late):
                    return Finished("expired")
                continue
            if state.attempt_lost() and state.charge_if_lost() >= state.max_attempts:
                lost = f"the worker died during attempt {state.attempt} and no attempt is left"
                if await self._close(state, Kind.DEAD_LETTERED, "worker_lost", lost):
                    return Finished("worker lost, no attempt left")
                continue
            claimed = await self._start(message, _standing_of_state(state), budget_seconds, solo)
            if claimed is not None:
                return claimed
        return NotNow(1.0, "the log is changing")

    async def is_suspect(self, message: TaskMessage) -> bool:
        """True if the task's last worker died over it, as far as its log tells now.

        Raises:
            RetryableError: The log did not answer.
            CorruptLogError: The log breaks its own rules.
        """
        events = await self._log.read(message.task_id)
        return bool(events) and isinstance(self._refusal(fold(events), solo=False), Suspect)

    def _refusal(self, state: TaskState, *, solo: bool) -> Claim | None:
        now_ms = self._clock.now_ms()
        if state.status.terminal:
            return Finished(state.status.value)
        if state.lease_until_ms is not None:
            wait = seconds_until_takeover(state.lease_until_ms, now_ms)
            if wait > 0:
                return NotNow(wait, "another worker holds the lease")
            if not solo:
                return Suspect()
        if state.next_attempt_ms is not None and state.next_attempt_ms > now_ms:
            return NotNow((state.next_attempt_ms - now_ms) / 1000, "too early")
        if state.status in (Status.SCHEDULED, Status.WAITING):
            return Finished(f"{state.status.value}: another message will come")
        return None

    async def _start(
        self, message: TaskMessage, standing: _Standing, budget_seconds: float, solo: bool
    ) -> Claimed | None:
        now_ms = self._clock.now_ms()
        lease_until = lease_until_ms(now_ms, budget_seconds)
        journal = self._journal(message.task_id, standing, lease_until)
        body: dict[str, Any] = {"lease_until_ms": lease_until}
        if solo:
            body["solo"] = True
        if standing.lost is not None:
            body["takes_over"] = standing.lost
        try:
            # Tried no longer than the grace allows: later there would be no time left for the agent.
            await journal.append(Kind.STARTED, body, give_up_ms=now_ms + int(GRACE_SECONDS * 1000))
        except AttemptRevokedError:
            return None
        return Claimed(
            journal=journal,
            input=standing.input,
            steps=standing.steps,
            attempt=journal.attempt,
            charged=standing.charged,
            max_attempts=standing.max_attempts,
            started_ms=now_ms,
            ends_ms=now_ms + int(budget_seconds * 1000),
            lease_until_ms=lease_until,
        )

    def _too_late(self, deadline_ms: int | None) -> bool:
        return deadline_ms is not None and deadline_ms <= self._clock.now_ms()

    async def _close(self, state: TaskState, kind: Kind, cause: str, why: str) -> bool:
        """End a task that gets no further attempt; False where another worker wrote first."""
        lease_until = lease_until_ms(self._clock.now_ms(), 0.0)
        journal = self._journal(state.task_id, _standing_of_state(state), lease_until)
        journal.attempt = state.attempt
        error = ErrorInfo(cause, why, retryable=False)
        try:
            await journal.append(kind, {"cause": cause, "error": error.to_json()})
        except AttemptRevokedError:
            return False
        return True

    def _journal(self, task_id: str, standing: _Standing, lease_until: int) -> Journal:
        return Journal(
            self._log,
            self._clock,
            task_id=task_id,
            actor=self._actor,
            attempt=standing.attempt + 1,
            head_seq=standing.head_seq,
            head_hash=standing.head_hash,
            lease_until_ms=lease_until,
        )


def _standing_of_message(message: TaskMessage) -> _Standing:
    return _Standing(
        head_seq=message.seq,
        head_hash=message.hash,
        attempt=message.attempt,
        charged=message.charged,
        max_attempts=message.max_attempts,
        input=message.input,
        steps={},
        lost=None,
    )


def _standing_of_state(state: TaskState) -> _Standing:
    lost = None
    if state.attempt_lost():
        lost = {"attempt": state.attempt, "worker": state.worker}
    return _Standing(
        head_seq=state.head_seq,
        head_hash=state.head_hash,
        attempt=state.attempt,
        charged=state.charge_if_lost(),
        max_attempts=state.max_attempts,
        input=state.input,
        steps=state.steps,
        lost=lost,
    )
