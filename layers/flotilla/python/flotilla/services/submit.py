"""Accepting a task: event 0, then the message, then the promise.

Invariant: when a task is answered as accepted, event 0 and the message are durable. Whatever died
in between leaves event 0 at most, and a repeat with the same idempotency key finds it and sends the
message again; deduplication and the conditional start make a second message harmless.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flotilla import trace_context
from flotilla.agents.catalog import AgentSpec
from flotilla.clock import Clock
from flotilla.errors import CircuitOpenError, FlotillaError, IdempotencyKeyReusedError, RetryableError
from flotilla.events import GENESIS_HASH, Event, Kind, TaskState, chain, fold
from flotilla.models import Payload, TaskBudgets, WorkflowStep, canonical_json
from flotilla.ports import EventLog
from flotilla.primitives.budget import micros_of
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.dispatch import Dispatch, message_for

logger = logging.getLogger("flotilla.submit")

_ID_CHARACTERS = 32


@dataclass(frozen=True, slots=True)
class Descent:
    """Where a task comes from that another one submitted, or a workflow's state asked for.

    Attributes:
        task_id: The task's own id, which follows from its parent: whoever submits it again finds it.
        root: The task at the top.
        depth: How many tasks are above it.
        budgets: What its parent's calls count against, and so its own too.
        workflow: The state that waits for how it ends.
    """

    task_id: str
    parent: str
    root: str
    depth: int
    budgets: TaskBudgets
    workflow: WorkflowStep | None = None


@dataclass(frozen=True, slots=True)
class Submission:
    """A validated request for a task.

    Attributes:
        request_id: Id of this very call, by which its event is told from that of any other.
        request: The client's own words (the validated body), for the fingerprint.
        idempotency_key: None makes every call a new task.
        max_attempts: The client's wish; None takes the agent's own.
        due_at_ms: Not to be started before this time; None at once.
        webhook: Id of the endpoint that is told how it ends.
        held: Why no new task is accepted now; one that was accepted before is answered all the same.
        budget_micros: What it may cost with all below it, in millionths of a dollar; None takes the agent's own.
        descent: None for a client's.
        lane_asked: The lane is the client's own choice. Recorded of runs of workflows, whose states have lanes too.
        task_id: The task's id, where it follows from the idempotency key in another way than a task's.
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
    due_at_ms: int | None = None
    deadline_ms: int | None = None
    webhook: str | None = None
    held: CircuitOpenError | None = None
    labels: dict[str, str] = field(default_factory=dict)
    trace: str | None = None
    budget_micros: int | None = None
    descent: Descent | None = None
    lane_asked: bool = False
    task_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """The answer to a submission.

    Attributes:
        replayed: The task was there already; this call made nothing new.
    """

    state: TaskState
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Recorded:
    """A submission whose event 0 is in the log, by this call or an earlier one.

    Attributes:
        unsent: Nothing has happened since event 0: its message may not be there yet.
    """

    answer: Accepted
    unsent: bool


def random_id() -> str:
    """What tells a task without an idempotency key from all others."""
    return secrets.token_hex(_ID_CHARACTERS // 2)


def task_id_for(tenant: str, idempotency_key: str) -> str:
    """The id of the task that (tenant, idempotency key) stands for.

    Deriving it is what makes a submit idempotent: the second call meets event 0 of the first.
    """
    return "tsk_" + hashlib.sha256(f"{tenant}\0{idempotency_key}".encode()).hexdigest()[:_ID_CHARACTERS]


class SubmitService:
    """Accepts tasks.

    Args:
        new_id: Makes an id that no other task has, for a task without an idempotency key.
    """

    def __init__(
        self,
        *,
        log: EventLog,
        dispatch: Dispatch,
        claim_check: ClaimCheck,
        clock: Clock,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._log = log
        self._dispatch = dispatch
        self._claim_check = claim_check
        self._clock = clock
        self._new_id = new_id

    async def submit(self, submission: Submission) -> Accepted:
        """Accept a task, or find the one that this idempotency key already stands for.

        Raises:
            IdempotencyKeyReusedError: The key stands for another request.
            CircuitOpenError: No new task is accepted now, and this is one.
            RetryableError: A store did not answer; the client should repeat the call.
        """
        recorded = await self._record(self._task_id(submission), submission)
        if recorded.unsent:
            await self._dispatch(message_for(recorded.answer.state))
        return recorded.answer

    async def submit_batch(self, submissions: Sequence[Submission]) -> list[Accepted | FlotillaError]:
        """Accept tasks as so many calls of `submit` would, one after the other, but all at once.

        Returns:
            For each submission its answer, or the error that the call of its own would have raised.
        """
        # One after the other only where two have the same key: the first of them makes the task.
        same_task: dict[str, list[int]] = {}
        for position, submission in enumerate(submissions):
            same_task.setdefault(self._task_id(submission), []).append(position)
        outcomes: dict[int, _Recorded | FlotillaError] = {}

        async def record(task_id: str, positions: Sequence[int]) -> None:
            for earlier, position in enumerate(positions):
                submission = submissions[position]
                if earlier:
                    # Else the same request within a millisecond would be taken for the one before it sent again.
                    submission = replace(submission, request_id=f"{submission.request_id}/{earlier}")
                outcomes[position] = await self._outcome(task_id, submission)

        await asyncio.gather(*(record(task_id, positions) for task_id, positions in same_task.items()))
        await self._send_unsent(outcomes)
        return [
            found.answer if isinstance(found, _Recorded) else found
            for found in (outcomes[position] for position in range(len(submissions)))
        ]

    async def _outcome(self, task_id: str, submission: Submission) -> _Recorded | FlotillaError:
        try:
            return await self._record(task_id, submission)
        except FlotillaError as error:
            return error
        except Exception:
            # A fault of our own. It must not take the answers of the rest of the batch with it.
            logger.exception("submission failed", extra={"task_id": task_id, "request_id": submission.request_id})
            return FlotillaError("this task could not be accepted", code="internal-error")

    async def _send_unsent(self, outcomes: dict[int, _Recorded | FlotillaError]) -> None:
        """Send the messages in the order of the submissions, which is the order of their sessions."""
        unsent = {
            position: message_for(found.answer.state)
            for position, found in sorted(outcomes.items())
            if isinstance(found, _Recorded) and found.unsent
        }
        durable = await self._dispatch.batch(list(unsent.values()))
        for position, is_durable in zip(unsent, durable, strict=True):
            if not is_durable:
                outcomes[position] = RetryableError("the queue did not answer")

    def _task_id(self, submission: Submission) -> str:
        if submission.descent is not None:
            return submission.descent.task_id
        if submission.task_id is not None:
            return submission.task_id
        if submission.idempotency_key is None:
            return "tsk_" + self._new_id()
        return task_id_for(submission.tenant, submission.idempotency_key)

    async def _record(self, task_id: str, submission: Submission) -> _Recorded:
        if submission.held is not None:
            await self._only_if_accepted(task_id, submission, submission.held)
        payload = await self._claim_check.check_in(submission.tenant, task_id, submission.input)
        event = accepted_event(task_id, payload, submission, self._clock.now_ms())
        existing = await self._log.append(event)
        if existing is None:
            return _Recorded(Accepted(fold([event]), replayed=False), unsent=True)
        return await self._replayed(existing, event)

    async def _only_if_accepted(self, task_id: str, submission: Submission, refusal: CircuitOpenError) -> None:
        if submission.idempotency_key is None or await self._log.head(task_id) is None:
            raise refusal

    async def _replayed(self, first: Event, repeated: Event) -> _Recorded:
        if first.body["fingerprint"] != repeated.body["fingerprint"]:
            raise IdempotencyKeyReusedError("this Idempotency-Key was used with another request")
        state = fold(await self._log.read(first.task_id))
        # Where nothing has happened since event 0, the call that wrote it may have died before it sent the
        # message. Sending again is harmless where it did not.
        return _Recorded(Accepted(state, replayed=True), unsent=state.head_kind is Kind.ACCEPTED)


def accepted_event(task_id: str, payload: Payload, submission: Submission, at_ms: int) -> Event:
    """Event 0 of a task.

    Args:
        task_id: The task.
        payload: Its input.
        submission: The request for it.
        at_ms: When it is accepted.
    """
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
    optional: dict[str, Any] = {
        "session": submission.session,
        "due_at_ms": submission.due_at_ms,
        "deadline_ms": submission.deadline_ms,
        "webhook": submission.webhook,
        "labels": submission.labels or None,
        "trace": submission.trace or trace_context.made(_top(task_id, submission)).traceparent,
        "budgets": _budgets(task_id, submission) or None,
        "lane_asked": submission.lane_asked or None,
    }
    if submission.descent is not None:
        descent = submission.descent
        step = descent.workflow
        optional |= {"parent": descent.parent, "root": descent.root, "depth": descent.depth}
        optional["workflow"] = None if step is None else step.to_json()
    body.update({name: value for name, value in optional.items() if value is not None})
    return chain(
        task_id=task_id,
        seq=0,
        kind=Kind.ACCEPTED,
        at_ms=at_ms,
        actor=submission.actor,
        attempt=0,
        body=body,
        prev_hash=GENESIS_HASH,
    )


def _top(task_id: str, submission: Submission) -> str:
    descent = submission.descent
    return task_id if descent is None else descent.root


def _budgets(task_id: str, submission: Submission) -> list[list[Any]]:
    """What the task's calls count against, the nearest first, as its event holds it."""
    own = submission.budget_micros
    if own is None and submission.agent.budget_usd is not None:
        own = micros_of(submission.agent.budget_usd)
    above = () if submission.descent is None else submission.descent.budgets
    return [*([[task_id, own]] if own is not None else []), *([above_id, micros] for above_id, micros in above)]


def fingerprint(request: dict[str, Any]) -> str:
    """Hex digest that tells two requests apart."""
    return hashlib.sha256(canonical_json(request).encode()).hexdigest()
