"""Deciding, for one message, whether this worker runs its task now.

    accepted(0) ── started(1) ── … ── succeeded(n)
         ^             ^                    ^
    the message    whoever writes it     goes to exactly the place after
    says seq 0     owns the task         the owner's last event

On the happy path nothing of the task is read: the message says which event comes next and what it
chains to, and the conditional append of `started` is lock, fence and record in one. Only a refused
append, a message that was handed out before, or one sent after event 0, costs a read of the log.

Never early: an attempt starts at the time the task is due or later, by the clock that dates its
`started`, and whatever brought the message sooner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.errors import AttemptRevokedError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.events.kinds import STATUS_AFTER
from flotilla.models import Delivery, ErrorInfo, Status, TaskMessage
from flotilla.ports import EventLog
from flotilla.primitives.ladder import REACH_SECONDS
from flotilla.primitives.lease import GRACE_SECONDS, agent_budget_seconds, lease_until_ms, seconds_until_takeover
from flotilla.services.callbacks import ended, ended_state, is_workers
from flotilla.services.claimed import Claim, Claimed, Elsewhere, Finished, NotNow, Suspect, Unlogged
from flotilla.services.dispatch import message_for
from flotilla.services.gate import Answered, Gate, Held, Open, Stopped
from flotilla.services.journal import Journal
from flotilla.services.standing import Standing, standing_of_log, standing_of_message
from flotilla.workflows.errors import CANCELLED

_READS = 3
"""Reads of a log that changes under our eyes before the message is left for later."""

IN_PLACE_SECONDS = 60
"""The longest wait of parked or scheduled work that is spent on the lane; a longer one goes to the delay ladder."""

SHORT_WAIT_SECONDS = 15
"""The longest that the message which ends a wait is kept on its lane, where it holds up the signal's. More than clocks
differ by, and the smallest tier that a ladder may well have."""

CACHED_USAGE = {"duration_ms": 0, "billed_ms": 0, "cached": True}
"""What a task costs whose result is another's."""


@dataclass(frozen=True, slots=True)
class _Terms:
    """What an attempt would be made under.

    Attributes:
        asked_ms: When the claim was begun.
        ends_ms: When the invocation is over.
        solo: Nothing else runs in this process.
    """

    spec: AgentSpec
    asked_ms: int
    ends_ms: int
    solo: bool

    def budget_seconds(self, now_ms: int) -> float | None:
        """How long the agent may run; None where finding out whether it may took the time that it would need."""
        budget = agent_budget_seconds(self.spec.timeout_seconds, (self.ends_ms - now_ms) / 1000)
        took_long = now_ms - self.asked_ms > GRACE_SECONDS * 1000
        return None if took_long and budget < self.spec.timeout_seconds else budget


class Claims:
    """Claims tasks for one invocation's worker.

    Args:
        gate: Decides whether a task that could start should.
        actor: Who writes, unique to the invocation.
    """

    def __init__(self, *, log: EventLog, gate: Gate, clock: Clock, actor: str) -> None:
        self._log = log
        self._gate = gate
        self._clock = clock
        self._actor = actor

    async def claim(
        self, delivery: Delivery, message: TaskMessage, spec: AgentSpec, *, ends_ms: int, solo: bool
    ) -> Claim:
        """Try to make the task ours.

        Args:
            delivery: The message's receipt.
            message: The message.
            spec: The task's agent.
            ends_ms: When the invocation is over.
            solo: Nothing else runs in this process.

        Raises:
            RetryableError: A store did not answer.
            CorruptLogError: The log breaks its own rules.
        """
        terms = _Terms(spec, self._clock.now_ms(), ends_ms, solo)
        # A message handed out before, or sent after event 0, may find recorded steps in the log, or what the
        # task waits for: those are read. So is the log of a task that is too late, to be closed as such.
        fresh = delivery.receive_count == 1 and message.seq == 0
        if fresh and not self._too_late(message.deadline_ms):
            standing = standing_of_message(message)
            claim = self._too_early(message, message) or await self._enter(message, standing, terms)
            if claim is not None:
                return claim
        for _ in range(_READS):
            events = await self._log.read(message.task_id)
            if not events:
                return Unlogged()
            state = fold(events)
            claim = self._refusal(state, events[-1], solo=solo) or _left_over(state, events, message)
            if claim is not None:
                return claim
            end = self._end(state)
            if end is not None:
                if await self._write(standing_of_log(state, events), message, *end):
                    return _closed(message_for(state), *end)
                continue
            if state.status is Status.WAITING:
                claim = await self._waiting(state, events, message)
                if claim is not None:
                    return claim
                continue
            now = message_for(state)
            claim = self._too_early(now, message, parked=state.status is Status.PARKED)
            claim = claim or await self._enter(now, standing_of_log(state, events), terms)
            if claim is not None:
                return claim
        return NotNow(1.0, "the log is changing")

    async def is_suspect(self, task_id: str) -> bool:
        """True if the task's last worker died over it, as far as its log tells now.

        Raises:
            RetryableError: The log did not answer.
            CorruptLogError: The log breaks its own rules.
        """
        events = await self._log.read(task_id)
        return bool(events) and isinstance(self._refusal(fold(events), events[-1], solo=False), Suspect)

    def _refusal(self, state: TaskState, head: Event, *, solo: bool) -> Claim | None:
        """Why the task is nobody's to start, or another's."""
        if state.status.terminal:
            told = ended_state(state) if is_workers(head.actor) else None  # the broadcaster tells what others end
            return Finished(state.status.value, head if head.kind is Kind.SUCCEEDED else None, told)
        if state.lease_until_ms is not None:
            wait = seconds_until_takeover(state.lease_until_ms, self._clock.now_ms())
            if wait > 0:
                return NotNow(wait, "another worker holds the lease")
            if not solo:
                return Suspect()
        return None

    def _end(self, state: TaskState) -> tuple[Kind, dict[str, Any]] | None:
        """The event that ends a task which gets no further attempt."""
        if self._too_late(state.deadline_ms):
            return _ended(Kind.EXPIRED, "deadline", "the deadline passed before it could be done")
        if state.attempt_lost() and state.charge_if_lost() >= state.max_attempts:
            lost = f"the worker died during attempt {state.attempt} and no attempt is left"
            return _ended(Kind.DEAD_LETTERED, "worker_lost", lost)
        return None

    async def _waiting(self, state: TaskState, events: Sequence[Event], received: TaskMessage) -> Claim | None:
        """What to do with a task that waits for a signal; None where its time was over: then the log has gone on.

        Nothing is held on the lane while it waits: the message of the signal is of the same group, and could not be
        handed out. And only a message of the wait itself ends it: any other is of a place that the task has left.
        """
        now_ms, ends_ms = self._clock.now_ms(), state.wait_ends_ms
        if ends_ms is None:
            return Finished("it waits for a signal, which brings a message of its own")
        wait = (ends_ms - now_ms) / 1000
        if received.seq < state.head_seq and wait <= REACH_SECONDS:
            # Who wrote `waiting` may have died before it sent the message that ends it.
            return Elsewhere(message_for(state), in_order=False)
        if wait <= 0:
            if state.waiting_until_ms == ends_ms:
                # Whoever comes with the signal at this moment tries to write to the same place.
                body = {"for": state.waiting_for, "timed_out": True}
                await self._write(standing_of_log(state, events), received, Kind.RESUMED, body)
            return None
        if received.seq >= state.head_seq and wait <= SHORT_WAIT_SECONDS:
            return NotNow(wait, "too early")  # by what two clocks differ
        return Finished("it waits for a signal, and the reconciler knows until when")

    def _too_early(self, now: TaskMessage, received: TaskMessage, *, parked: bool = False) -> Claim | None:
        """What to do until the task is due.

        Args:
            now: The message as the log stands.
            received: The message as it was handed out.
            parked: The log was read, and says that the task is parked.
        """
        if now.not_before_ms is None:
            return None
        wait = (now.not_before_ms - self._clock.now_ms()) / 1000
        if wait <= 0:
            return None
        # A retry waits in place, which keeps the queue's count of its receives; and so does a session, for its
        # order. A parked task waits where waiting is free. But not if its own message is on the lane already: the
        # lane would take the one that comes back for the same and drop it, and this one would be gone.
        on_its_way = parked and now.session is None and now.seq > received.seq
        return Elsewhere(now) if on_its_way and wait > IN_PLACE_SECONDS else NotNow(wait, "too early")

    async def _enter(self, message: TaskMessage, standing: Standing, terms: _Terms) -> Claim | None:
        """Do with a task that is due what the gate says; None where the log has gone on meanwhile.

        Args:
            message: The task as its log stands.
            standing: The same, as far as the next event needs it.
            terms: What an attempt would be made under.
        """
        match await self._gate.decide(terms.spec, message, standing.parked):
            case Held() as held:
                return await self._hold(message, standing, held)
            case Answered(output):
                body = {"output": output.to_json(), "usage": dict(CACHED_USAGE)}
                answered = await self._write(standing, message, Kind.SUCCEEDED, body)
                told = ended(message, Status.SUCCEEDED, output=output)
                return Finished("an identical task's result is its own", ended=told) if answered else None
            case Stopped():
                end = _ended(Kind.CANCELLED, CANCELLED, "its workflow was cancelled")
                return _closed(message, *end) if await self._write(standing, message, *end) else None
            case Open():
                return await self._start(message, standing, terms)

    async def _hold(self, message: TaskMessage, standing: Standing, held: Held) -> Claim | None:
        after_seconds = math.ceil(held.after_seconds)
        # Said once. And not of a task whose last worker died over it: who takes that over must know.
        said = standing.parked is not None and standing.parked.reason == held.reason
        if not said and standing.lost is None:
            next_ms = self._clock.now_ms() + after_seconds * 1000
            body = {"reason": held.reason, "detail": held.detail, "next_attempt_ms": next_ms}
            if not await self._write(standing, message, Kind.PARKED, body):
                return None
        deadline_ms = message.deadline_ms
        if deadline_ms is None:
            return NotNow(after_seconds, held.detail)
        return NotNow(min(after_seconds, (deadline_ms - self._clock.now_ms()) / 1000), held.detail)

    async def _start(self, message: TaskMessage, standing: Standing, terms: _Terms) -> Claim | None:
        if self._too_late(message.deadline_ms):
            return None  # it passed while the gate decided; who reads the log next closes the task
        now_ms = self._clock.now_ms()
        budget_seconds = terms.budget_seconds(now_ms)
        if budget_seconds is None:
            return NotNow(0.0, "too little time is left")
        lease_until = lease_until_ms(now_ms, budget_seconds)
        journal = self._journal(message.task_id, standing, standing.attempt + 1, lease_until)
        body: dict[str, Any] = {"lease_until_ms": lease_until}
        if terms.solo:
            body["solo"] = True
        if standing.lost is not None:
            body["takes_over"] = standing.lost
        if terms.spec.version != message.agent_version:
            body["agent_version"] = terms.spec.version
        try:
            # Tried no longer than the grace allows: later there would be no time left for the agent.
            await journal.append(Kind.STARTED, body, give_up_ms=now_ms + int(GRACE_SECONDS * 1000))
        except AttemptRevokedError:
            return None
        return Claimed(
            message=message,
            journal=journal,
            input=standing.input,
            steps=standing.steps,
            waits=standing.waits,
            attempt=journal.attempt,
            charged=standing.charged,
            max_attempts=standing.max_attempts,
            started_ms=now_ms,
            ends_ms=now_ms + int(budget_seconds * 1000),
            lease_until_ms=lease_until,
        )

    def _too_late(self, deadline_ms: int | None) -> bool:
        return deadline_ms is not None and deadline_ms <= self._clock.now_ms()

    async def _write(self, standing: Standing, message: TaskMessage, kind: Kind, body: dict[str, Any]) -> bool:
        """Append an event of no attempt's; False where another worker wrote first."""
        lease_until = lease_until_ms(self._clock.now_ms(), 0.0)
        journal = self._journal(message.task_id, standing, standing.attempt, lease_until)
        try:
            await journal.append(kind, body)
        except AttemptRevokedError:
            return False
        return True

    def _journal(self, task_id: str, standing: Standing, attempt: int, lease_until: int) -> Journal:
        return Journal(
            self._log,
            self._clock,
            task_id=task_id,
            actor=self._actor,
            attempt=attempt,
            head_seq=standing.head_seq,
            head_hash=standing.head_hash,
            lease_until_ms=lease_until,
        )


def _left_over(state: TaskState, events: Sequence[Event], message: TaskMessage) -> Claim | None:
    """What to do with a message of a place in its session that the task has given up since; None for any other.

    A task that is redriven, or has waited, comes back at the end of its session, with a message of its own.
    """
    left = next((event.seq for event in reversed(events) if event.kind in (Kind.REDRIVEN, Kind.WAITING)), 0)
    if message.seq >= left or state.status is Status.WAITING:
        return None
    if state.head_kind is Kind.SIGNALLED:
        return Elsewhere(message_for(state))  # who wrote that may have died before it sent it
    return Finished("left over: another message will come")


def _closed(task: TaskMessage, kind: Kind, body: dict[str, Any]) -> Finished:
    return Finished(kind.value, ended=ended(task, STATUS_AFTER[kind], error=ErrorInfo.from_json(body["error"])))


def _ended(kind: Kind, cause: str, why: str) -> tuple[Kind, dict[str, Any]]:
    return kind, {"cause": cause, "error": ErrorInfo(cause, why, retryable=False).to_json()}
