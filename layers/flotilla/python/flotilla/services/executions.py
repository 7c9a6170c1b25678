"""Executions of state machines, and the logs of the runs that they do: started from the log, and their ends recorded.

    accepted(0) ── StartExecution <id>-0 ── … ── SUCCEEDED   ── succeeded(1)
                                                FAILED      ── dead_lettered(1), with the execution's error
                                                TIMED_OUT   ── expired(1)
                                                ABORTED     ── cancelled(1), where nobody cancelled the run

Invariant: a run that has ended stays as it is, and only the execution that its log waits for can end it: what is left
of an earlier start changes nothing. All of it may be done again, by two at once, or be cut off anywhere: an append that
is refused brings what the other wrote, and a run whose start or end was lost is found by the reconciler, which starts
it again and learns that it runs, or how it ended.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from flotilla.clock import Clock
from flotilla.errors import PermanentError, RetryableError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.models import ErrorInfo, Payload, TaskMessage, canonical_json
from flotilla.ports import EventLog
from flotilla.services.claim_check import ClaimCheck
from flotilla.services.run_state import begun_at, execution_name, header_of, run_of_execution
from flotilla.services.successor import successor
from flotilla.workflow_ports import Execution, Executions, ExecutionStatus
from flotilla.workflows.order import is_run, workflow_of

logger = logging.getLogger("flotilla.runs")

_TRIES = 4
"""Of an append: a run's log changes by its end and a redrive, and by nothing else."""

_CODE_CHARACTERS = 128
_MESSAGE_CHARACTERS = 1000
_DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class _End:
    """What comes next in a run's log."""

    kind: Kind
    body: dict[str, Any]


class RunEnds:
    """Records how runs ended.

    Args:
        log: The event log.
        executions: Tells of executions what their events left out.
        claim_check: Takes large outputs.
        clock: Dates the events.
    """

    def __init__(self, *, log: EventLog, executions: Executions, claim_check: ClaimCheck, clock: Clock) -> None:
        self._log = log
        self._executions = executions
        self._claim_check = claim_check
        self._clock = clock

    async def record(self, execution: Execution) -> bool:
        """Record the end of an execution in its run's log, if it is the one that the log waits for.

        Returns:
            Whether this call ended the run.

        Raises:
            RetryableError: A store or Step Functions did not answer; doing it again is harmless.
            CorruptLogError: The log breaks its own rules.
        """
        run = run_of_execution(execution.name)
        if run is None or execution.status is ExecutionStatus.RUNNING:
            return False
        run_id, begun_seq = run
        whole = False
        for _ in range(_TRIES):
            events = await self._log.read(run_id)
            if not _waits_for(events, execution.workflow, begun_seq):
                return False
            if not whole:
                execution, whole = await self._whole(execution), True
            state = fold(events)
            if await self._append(state, await self._end_of(execution, state)):
                return True
        raise RetryableError("the run's log is changing", code="log_contended", retry_after_seconds=1.0)

    async def catch_up(self, workflow: str, name: str) -> bool:
        """Record the end of an execution of which only the name is known; one that goes on is left alone.

        Returns:
            Whether this call ended the run.

        Raises:
            RetryableError: See `record`.
        """
        found = await self._executions.find(workflow, name)
        return found is not None and await self.record(found)

    async def refuse(self, state: TaskState, error: PermanentError) -> None:
        """Record that a run cannot be started, unless its log has gone on.

        Raises:
            RetryableError: The log did not answer.
        """
        info = ErrorInfo(error.code, error.message[:_MESSAGE_CHARACTERS], retryable=False)
        await self._append(state, _dead(info))

    async def expire(self, state: TaskState) -> None:
        """Record that a run's deadline has passed, unless its log has gone on.

        Raises:
            RetryableError: The log did not answer.
        """
        await self._append(state, _expired(ErrorInfo(_DEADLINE, "the deadline passed before it was done", False)))

    async def _append(self, state: TaskState, end: _End) -> bool:
        event = successor(state, end.kind, end.body, actor=state.agent, at_ms=self._clock.now_ms())
        if await self._log.append(event) is not None:
            return False
        logger.info("run ended", extra={"task_id": state.task_id, "kind": end.kind.value})
        return True

    async def _whole(self, execution: Execution) -> Execution:
        """The execution with its output or its error, which an event leaves out where they are long."""
        lacks = {
            ExecutionStatus.SUCCEEDED: execution.output is None,
            ExecutionStatus.FAILED: execution.error is None,
        }
        if not lacks.get(execution.status, False):
            return execution
        return await self._executions.find(execution.workflow, execution.name) or execution

    async def _end_of(self, execution: Execution, state: TaskState) -> _End:
        match execution.status:
            case ExecutionStatus.SUCCEEDED:
                output = await self._output(execution, state)
                return _End(Kind.SUCCEEDED, {"output": output.to_json()})
            case ExecutionStatus.ABORTED:
                reason = (execution.cause or "")[:_MESSAGE_CHARACTERS]
                return _End(Kind.CANCELLED, {"reason": reason} if reason else {})
            case ExecutionStatus.TIMED_OUT:
                return _expired(ErrorInfo("timed_out", "the execution took longer than its definition allows", False))
            case _:
                error = _error_of(execution)
                late = state.deadline_ms is not None and state.deadline_ms <= self._clock.now_ms()
                return _expired(error) if late and error.code == _DEADLINE else _dead(error)

    async def _output(self, execution: Execution, state: TaskState) -> Payload:
        text = execution.output
        try:
            value = None if text is None else json.loads(text)
            return await self._claim_check.check_in(state.tenant, state.task_id, value)
        except (ValueError, RecursionError):
            return await self._claim_check.check_in(state.tenant, state.task_id, text)


class RunStarter:
    """Has Step Functions do runs: `dispatch.StartRun`.

    Args:
        log: The event log.
        executions: The state machines.
        claim_check: Gets inputs that lie outside of the log.
        ends: Records what cannot be started, and what has ended meanwhile.
        clock: Tells what comes too late.
    """

    def __init__(
        self, *, log: EventLog, executions: Executions, claim_check: ClaimCheck, ends: RunEnds, clock: Clock
    ) -> None:
        self._log = log
        self._executions = executions
        self._claim_check = claim_check
        self._ends = ends
        self._clock = clock

    async def __call__(self, message: TaskMessage) -> None:
        """Start a run's execution, or find that it runs, or record how it ended.

        Raises:
            RetryableError: A store or Step Functions did not answer; doing it again is harmless.
            CorruptLogError: The log breaks its own rules.
        """
        # A message does not say all that a run's states are told of it. One read of a run costs next to nothing
        # beside its execution, and whoever cancelled it meanwhile is heard.
        events = await self._log.read(message.task_id)
        workflow = workflow_of(message.agent)
        if not _waits_for(events, workflow, message.seq):
            return
        state = fold(events)
        if state.deadline_ms is not None and state.deadline_ms <= self._clock.now_ms():
            await self._ends.expire(state)
            return
        name = execution_name(state.task_id, message.seq)
        header = header_of(state, events[0]).to_json()
        # The same bytes each time: Step Functions takes what differs for another execution.
        document = canonical_json({"workflow": header, "input": await self._claim_check.check_out(state.input)})
        try:
            runs = await self._executions.start(workflow, name, document)
        except PermanentError as error:
            logger.error("a run cannot be started", extra={"task_id": state.task_id, "error": error.message})
            await self._ends.refuse(state, error)
            return
        if not runs:
            await self._ends.catch_up(workflow, name)


def _waits_for(events: Sequence[Event], workflow: str, begun_seq: int) -> bool:
    """Whether a log is that of a run of this workflow which goes on, from where it began with this event."""
    if not events or events[0].seq != 0:
        return False  # retention has begun to drop it
    agent = str(events[0].body.get("agent", ""))
    if not is_run(agent) or workflow_of(agent) != workflow:
        return False
    return begun_at(events).seq == begun_seq and not fold(events).status.terminal


def _dead(error: ErrorInfo) -> _End:
    return _End(Kind.DEAD_LETTERED, {"cause": "workflow", "error": error.to_json()})


def _expired(error: ErrorInfo) -> _End:
    return _End(Kind.EXPIRED, {"cause": error.code, "error": error.to_json()})


def _error_of(execution: Execution) -> ErrorInfo:
    code = (execution.error or "").strip()[:_CODE_CHARACTERS] or "workflow_failed"
    message = execution.cause or ""
    told = _told(message)
    if told is not None:
        message, task_id = told
        if task_id is not None:
            message = f"{message[: _MESSAGE_CHARACTERS - len(task_id) - 3]} ({task_id})".lstrip()
    return ErrorInfo(code, message[:_MESSAGE_CHARACTERS], retryable=False)


def _told(cause: str) -> tuple[str, str | None] | None:
    """The message, and the task that it is of, where the cause says them apart.

    As what a state was answered by does (`services.callbacks`), and what a definition makes of that; one that fails by
    itself names no task.
    """
    try:
        value = json.loads(cause)
        message, task_id = value["message"], value.get("task_id")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    if not isinstance(message, str) or not isinstance(task_id, str | None):
        return None
    return message, task_id
