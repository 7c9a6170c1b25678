"""Answering the states of workflows that wait for tasks.

    … ── succeeded(n)      the state goes on with        {"task_id", "agent", "output"}
    … ── dead_lettered(n)  its `Retry` and `Catch` see   the error's code; more is in the cause
    … ── cancelled(n)      the same                      `cancelled`
    … ── expired(n)        the same                      `deadline`

Invariant: what ended is in the log before its state is told. The worker whose event ended the task answers, before it
gives up the message: whatever dies in between leaves a message that finds the end in the log and answers again. What
others end (the API, the triage), the broadcaster answers, which has it from the stream.

A state is answered once: whatever comes later, or when the state's own time is over, finds nobody waiting. That is
counted, and never tried again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from flotilla.events import TaskState
from flotilla.metric_ports import Metrics
from flotilla.models import ErrorInfo, Payload, Status, TaskMessage, WorkflowStep, canonical_json
from flotilla.services.claim_check import ClaimCheck
from flotilla.workflow_ports import TaskTokens
from flotilla.workflows.errors import ANY_OTHER, CANCELLED
from flotilla.workflows.order import StepOrder
from flotilla.workflows.references import reference_to

logger = logging.getLogger("flotilla.callbacks")

INLINE_BYTES = 16_384
"""Larger outputs are told by reference: all that an execution hands on from state to state must fit 256 KiB."""

_WORKERS = "worker:"
_ERROR_CHARACTERS = 256
_MESSAGE_CHARACTERS = 4000
"""Of the error's message, at the most: as JSON, where a character may take six, it must fit the 32,768 of a cause."""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a task ended, for the state that waits for it.

    Attributes:
        output: Of a success.
        error: Of anything else.
    """

    task_id: str
    agent: str
    step: WorkflowStep
    status: Status
    output: Payload | None = None
    error: ErrorInfo | None = None


def ended(
    task: TaskMessage | TaskState, status: Status, *, output: Payload | None = None, error: ErrorInfo | None = None
) -> Ended | None:
    """The end of a task; None where no state can be answered."""
    step = task.workflow
    if step is None or not step.token:
        return None
    return Ended(task.task_id, task.agent, step, status, output, error)


def ended_state(state: TaskState) -> Ended | None:
    """The end of a task as its log tells it; None where it has none yet, or no state can be answered."""
    if not state.status.terminal:
        return None
    return ended(state, state.status, output=state.output, error=state.error)


def is_workers(actor: str) -> bool:
    """Whether it is a worker's event, so that a worker answers the state of the task that it ended."""
    return actor.startswith(_WORKERS)


class Callbacks:
    """Answers states.

    Args:
        tokens: How they are answered.
        claim_check: Gets outputs that lie outside of the log.
        metrics: Counts the answers that come too late (`CallbacksTooLate`).
    """

    def __init__(self, tokens: TaskTokens, claim_check: ClaimCheck, metrics: Metrics) -> None:
        self._tokens = tokens
        self._claim_check = claim_check
        self._metrics = metrics

    async def answer(self, end: Ended) -> bool:
        """Answer the state that waits for the task.

        Returns:
            False where it no longer waits.

        Raises:
            RetryableError: It is not known whether the answer arrived; giving it again is harmless.
        """
        if end.status is Status.SUCCEEDED and end.output is not None:
            waited = await self._tokens.succeed(end.step.token, await self._output(end, end.output))
        else:
            error, message, retryable = _failure(end)
            told = {"task_id": end.task_id, "message": message, "retryable": retryable, "status": end.status.value}
            waited = await self._tokens.fail(end.step.token, error, canonical_json(told))
        return self._counted(waited, {"task_id": end.task_id, "run": end.step.run, "step": end.step.step})

    async def refuse(self, order: StepOrder, error: ErrorInfo) -> bool:
        """Fail a state whose order is none that a task can be made of.

        Returns:
            False where it no longer waits.

        Raises:
            RetryableError: See `answer`.
        """
        told = {"task_id": None, "message": error.message[:_MESSAGE_CHARACTERS], "retryable": error.retryable}
        waited = await self._tokens.fail(order.token, error_name(error.code), canonical_json(told | {"status": None}))
        return self._counted(waited, {"run": order.header.run, "step": order.step})

    async def _output(self, end: Ended, payload: Payload) -> str:
        told: dict[str, Any] = {"task_id": end.task_id, "agent": end.agent, "output": reference_to(end.task_id)}
        if payload.ref is None or payload.size_bytes <= INLINE_BYTES:
            value = await self._claim_check.check_out(payload)
            if len(canonical_json(value).encode()) <= INLINE_BYTES:
                told["output"] = value
        return canonical_json(told)

    def _counted(self, waited: bool, keys: dict[str, str]) -> bool:
        if not waited:
            logger.warning("a state no longer waits", extra=keys)
            self._metrics.count("CallbacksTooLate")
        return waited


def error_name(code: str) -> str:
    """The code as the name of an error that a state can match. What begins with `States.` is Step Functions' own."""
    name = code.strip()[:_ERROR_CHARACTERS]
    return ANY_OTHER if not name or name.startswith("States.") else name


def _failure(end: Ended) -> tuple[str, str, bool]:
    """The name, the message, and whether the author called it retryable."""
    error = end.error
    if end.status is Status.CANCELLED and (error is None or error.code != CANCELLED):
        # What the last attempt failed with, if anything, is not why it ended.
        return CANCELLED, "it was cancelled", False
    if error is None:
        return ANY_OTHER, "", False
    return error_name(error.code), error.message[:_MESSAGE_CHARACTERS], error.retryable
