"""Accepting a task: event 0, then the message, then the promise.

Invariant: when `submit` returns, event 0 and the message are durable. Whatever died in between
leaves event 0 at most, and a repeat with the same idempotency key finds it and sends the message
again; deduplication and the conditional start make a second message harmless.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Any

from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.errors import IdempotencyKeyReusedError
from flotilla.events import GENESIS_HASH, Event, Kind, TaskState, chain, fold
from flotilla.models import Payload, TaskMessage, canonical_json
from flotilla.ports import EventLog, Lanes
from flotilla.services.claim_check import ClaimCheck

_ID_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request for a task.

    Attributes:
        request_id: Id of this very call, by which its event is told from that of any other.
        request: The client's own words (the validated body), for the fingerprint.
        idempotency_key: None makes every call a new task.
        max_attempts: The client's wish; None takes the agent's own.
    """

    tenant: str
    actor: str
    request_id: str
    agent: AgentSpec
    lane: str
    input: Any
    request: dict[str, Any]
    session: str | None = None
    idempotency_key: str | None = None
    max_attempts: int | None = None
    deadline_ms: int | None = None
    labels: dict[str, str] = field(default_factory=dict)
    trace: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a submission.

    Attributes:
        replayed: The task was there already; this call made nothing new.
    """

    state: TaskState
    replayed: bool


def task_id_for(tenant: str, idempotency_key: str | None) -> str:
    """The id of the task that (tenant, idempotency key) stands for; a random one without a key.

    Deriving it is what makes a submit idempotent: the second call meets event 0 of the first.
    """
    if idempotency_key is None:
        return "tsk_" + secrets.token_hex(_ID_CHARACTERS // 2)
    return "tsk_" + hashlib.sha256(f"{tenant}\0{idempotency_key}".encode()).hexdigest()[:_ID_CHARACTERS]


def message_for(state: TaskState) -> TaskMessage:
    """The message that gets a task run from where its log stands."""
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
    )


class SubmitService:
    """Accepts tasks."""

    def __init__(self, *, log: EventLog, lanes: Lanes, claim_check: ClaimCheck, clock: Clock) -> None:
        self._log = log
        self._lanes = lanes
        self._claim_check = claim_check
        self._clock = clock

    async def submit(self, submission: Submission) -> Accepted:
        """Accept a task, or find the one that this idempotency key already stands for.

        Raises:
            IdempotencyKeyReusedError: The key stands for another request.
            RetryableError: A store did not answer; the client should repeat the call.
        """
        task_id = task_id_for(submission.tenant, submission.idempotency_key)
        payload = await self._claim_check.check_in(submission.tenant, task_id, submission.input)
        event = self._accepted_event(task_id, payload, submission)
        existing = await self._log.append(event)
        if existing is None:
            state = fold([event])
            await self._lanes.send(message_for(state))
            return Accepted(state, replayed=False)
        return await self._replay(existing, event)

    def _accepted_event(self, task_id: str, payload: Payload, submission: Submission) -> Event:
        body: dict[str, Any] = {
            "tenant": submission.tenant,
            "agent": submission.agent.name,
            "agent_version": submission.agent.version,
            "lane": submission.lane,
            "input": payload.to_json(),
            "max_attempts": submission.max_attempts or submission.agent.max_attempts,
            "fingerprint": fingerprint(submission.request),
            "request_id": submission.request_id,
        }
        # Absent rather than null: every byte of an event is stored and, past 1 KB, paid for.
        optional = {
            "session": submission.session,
            "deadline_ms": submission.deadline_ms,
            "labels": submission.labels or None,
            "trace": submission.trace,
        }
        body.update({name: value for name, value in optional.items() if value is not None})
        return chain(
            task_id=task_id,
            seq=0,
            kind=Kind.ACCEPTED,
            at_ms=self._clock.now_ms(),
            actor=submission.actor,
            attempt=0,
            body=body,
            prev_hash=GENESIS_HASH,
        )

    async def _replay(self, first: Event, repeated: Event) -> Accepted:
        if first.body["fingerprint"] != repeated.body["fingerprint"]:
            raise IdempotencyKeyReusedError("this Idempotency-Key was used with another request")
        state = fold(await self._log.read(first.task_id))
        if state.head_kind is Kind.ACCEPTED:
            # Nothing has happened since event 0: the call that wrote it may have died before it sent the
            # message. Sending again is harmless where it did not.
            await self._lanes.send(message_for(state))
        return Accepted(state, replayed=True)


def fingerprint(request: dict[str, Any]) -> str:
    """Hex digest that tells two requests apart."""
    return hashlib.sha256(canonical_json(request).encode()).hexdigest()
