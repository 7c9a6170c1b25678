"""Builds a task's log event by event, for the tests that need one without running a fleet."""

from __future__ import annotations

from typing import Any

from flotilla.events import GENESIS_HASH, Event, Kind, chain

START_MS = 1_700_000_000_000

ERROR = {"code": "busy", "message": "the other side is busy", "retryable": True}

BODIES: dict[Kind, dict[str, Any]] = {
    Kind.ACCEPTED: {
        "tenant": "acme",
        "agent": "sample.echo",
        "agent_version": "1",
        "lane": "standard",
        "input": {"inline": {"value": 1}},
        "max_attempts": 4,
        "fingerprint": "f" * 64,
    },
    Kind.SCHEDULED: {"due_at_ms": START_MS + 60_000},
    Kind.STARTED: {"lease_until_ms": START_MS + 10_000},
    Kind.STEP_RECORDED: {"step": "first", "result": {"inline": "one"}, "duration_ms": 5},
    Kind.ATTEMPT_FAILED: {"error": ERROR, "next_attempt_ms": START_MS + 20_000, "usage": {"duration_ms": 1}},
    Kind.PARKED: {"reason": "circuit_open", "detail": "closed later", "next_attempt_ms": START_MS + 30_000},
    Kind.RESUMED: {"for": "decision", "timed_out": True},
    Kind.WAITING: {"for": "decision"},
    Kind.SIGNALLED: {"name": "decision", "payload": {"approved": True}},
    Kind.SUCCEEDED: {"output": {"inline": {"value": 2}}, "usage": {"duration_ms": 7}},
    Kind.DEAD_LETTERED: {"cause": "permanent", "error": ERROR | {"retryable": False}, "usage": {"duration_ms": 9}},
    Kind.CANCELLED: {},
    Kind.EXPIRED: {"cause": "deadline", "error": ERROR | {"code": "deadline", "retryable": False}},
    Kind.REDRIVEN: {},
}
"""The least that an event of each kind says."""


class LogBuilder:
    """One task's log, whole and rightly chained."""

    def __init__(self, task_id: str = "tsk_sample") -> None:
        self.task_id = task_id
        self.events: list[Event] = []

    def add(
        self, kind: Kind, *, attempt: int = 0, actor: str = "worker:w/1", at_ms: int | None = None, **body: Any
    ) -> Event:
        """Append an event whose body is the least of its kind with `body` laid over it."""
        event = chain(
            task_id=self.task_id,
            seq=len(self.events),
            kind=kind,
            at_ms=START_MS + 100 * len(self.events) if at_ms is None else at_ms,
            actor=actor,
            attempt=attempt,
            body=BODIES[kind] | body,
            prev_hash=self.events[-1].hash if self.events else GENESIS_HASH,
        )
        self.events.append(event)
        return event


def log_of(*kinds: Kind, task_id: str = "tsk_sample") -> list[Event]:
    """A log that begins with `accepted` and goes on with `kinds`."""
    builder = LogBuilder(task_id)
    builder.add(Kind.ACCEPTED, actor="key:k1")
    attempt = 0
    for kind in kinds:
        attempt += kind is Kind.STARTED
        builder.add(kind, attempt=attempt)
    return builder.events
