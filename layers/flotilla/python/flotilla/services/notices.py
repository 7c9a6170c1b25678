"""What is told of a transition: a task as the API shows it, as it was when the event was recorded, without its input.

A notice is a pure function of the log up to the event (and of an output that lies beside it), so telling it twice is
telling the same.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from flotilla.broadcast import Notice
from flotilla.clock import rfc3339
from flotilla.errors import RetryableError, StoreUnavailableError
from flotilla.events import Event, Kind, TaskState, fold
from flotilla.events.kinds import STATUS_AFTER
from flotilla.models import Payload, Status, canonical_json
from flotilla.services.claim_check import ClaimCheck

MAX_OUTPUT_BYTES = 32_768
"""A larger output is not told, but where to read it."""

MAX_PAYLOAD_BYTES = 200_000
"""Buses and topics take 256 KiB in all."""


def status_after(event: Event) -> Status | None:
    """The status that an event leads to; None where it is no transition. Needs no other event."""
    if event.kind is Kind.STEP_RECORDED:
        return None
    if event.kind is Kind.ACCEPTED and event.body.get("due_at_ms") is not None:
        return Status.SCHEDULED
    return STATUS_AFTER[event.kind]


class Notices:
    """Makes notices.

    Args:
        claim_check: Fetches outputs that lie outside the log.
    """

    def __init__(self, claim_check: ClaimCheck) -> None:
        self._claim_check = claim_check

    async def make(self, log: Sequence[Event], seq: int) -> tuple[TaskState, Notice]:
        """The task as of its event `seq`, and what is told of it.

        Args:
            log: The task's events in order, at least up to `seq`.
            seq: Number of the event.

        Raises:
            CorruptLogError: The log breaks its own rules.
            RetryableError: The payload store did not answer.
        """
        state = fold(log[: seq + 1])
        event = log[seq]
        told, output = await self._output(state.output)
        data = _data(state, event, told=told, output=output)
        payload = _payload(state, event, data)
        if len(payload) > MAX_PAYLOAD_BYTES:
            payload = _payload(state, event, data | {"output": None, "output_omitted": True})
        return state, Notice(
            id=f"{event.task_id}-{event.seq}",
            type=f"task.{state.status.value}",
            at_ms=event.at_ms,
            attributes={
                "kind": event.kind.value,
                "status": state.status.value,
                "agent": state.agent,
                "lane": state.lane,
                "tenant": state.tenant,
            },
            payload=payload,
        )

    async def _output(self, output: Payload | None) -> tuple[bool, Any]:
        """Whether the output is told, and what it is."""
        if output is None:
            return True, None
        if output.ref is None:
            size = len(canonical_json(output.inline).encode())
            return (True, output.inline) if size <= MAX_OUTPUT_BYTES else (False, None)
        if output.size_bytes > MAX_OUTPUT_BYTES:
            return False, None
        try:
            return True, await self._claim_check.check_out(output)
        except StoreUnavailableError:
            raise
        except RetryableError:
            return False, None  # gone from the store: that the task ended is told all the same


def _payload(state: TaskState, event: Event, data: dict[str, Any]) -> str:
    # In ASCII: SQS and SNS refuse some characters that JSON strings may hold.
    return json.dumps(
        {"type": f"task.{state.status.value}", "timestamp": rfc3339(event.at_ms), "data": data}, separators=(",", ":")
    )


def _data(state: TaskState, event: Event, *, told: bool, output: Any) -> dict[str, Any]:
    due_ms = state.due_at_ms if state.next_attempt_ms is None else state.next_attempt_ms
    path = f"/v1/tasks/{state.task_id}"
    step = state.workflow
    return {
        "id": state.task_id,
        "seq": event.seq,
        "kind": event.kind.value,
        "tenant": state.tenant,
        "agent": state.agent,
        "agent_version": state.agent_version,
        "lane": state.lane,
        "session": state.session,
        "status": state.status.value,
        "attempt": state.attempt,
        "max_attempts": state.max_attempts,
        "created_at": rfc3339(state.created_at_ms),
        "due_at": _time(due_ms),
        "started_at": _time(state.started_at_ms),
        "finished_at": _time(state.finished_at_ms),
        "deadline": _time(state.deadline_ms),
        "waiting": waiting_view(state),
        "output": output,
        "output_omitted": not told,
        "error": None if state.error is None else state.error.to_json(),
        "usage": state.usage,
        "labels": state.labels,
        **({} if step is None else {"workflow": {"run": step.run, "step": step.step}}),
        "links": {"self": path, "events": f"{path}/events"},
    }


def waiting_view(state: TaskState) -> dict[str, Any] | None:
    """What a task waits for, as clients are told; None while it does not."""
    if state.status is not Status.WAITING:
        return None
    return {
        "for": state.waiting_for,
        "since": rfc3339(state.head_at_ms),
        "until": _time(state.waiting_until_ms),
        "detail": state.waiting_detail,
    }


def _time(at_ms: int | None) -> str | None:
    return None if at_ms is None else rfc3339(at_ms)
