"""One event of a task's log, and the hash chain that makes the log tamper-evident.

Invariant: an event's hash covers the hash before it and everything the event says, so no event
can be altered, left out or put in without every later hash telling.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flotilla.errors import CorruptLogError
from flotilla.events.kinds import Kind
from flotilla.models import canonical_json

GENESIS_HASH = "0" * 64
"""What event 0 chains to."""


@dataclass(frozen=True, slots=True)
class Event:
    """An immutable fact about one task.

    Attributes:
        seq: Position in the task's log, from 0, without gaps.
        at_ms: When the writer wrote it, by the writer's clock.
        actor: Who: `key:<id>`, `worker:<function>/<request id>`, `operator:<id>`.
        attempt: Number of the attempt it belongs to; 0 before the first.
        body: What the kind needs, JSON only.
        hash: Hex SHA-256 over `prev_hash` and the rest of the event.
    """

    task_id: str
    seq: int
    kind: Kind
    at_ms: int
    actor: str
    attempt: int
    body: dict[str, Any]
    prev_hash: str
    hash: str


def sealed(body: dict[str, Any]) -> dict[str, Any]:
    """`body` without what is told to nobody: the digest of a workflow's token stands in the token's place.

    Hashes are made of this form, so that whoever was told a log can verify it. What is sealed already stays so.
    """
    step = body.get("workflow")
    if not isinstance(step, dict) or "token" not in step:
        return body
    digest = hashlib.sha256(str(step["token"]).encode()).hexdigest()
    return {**body, "workflow": {"run": step.get("run"), "step": step.get("step"), "token_sha256": digest}}


def _digest(prev_hash: str, fields: list[Any]) -> str:
    return hashlib.sha256(f"{prev_hash}\n{canonical_json(fields)}".encode()).hexdigest()


def chain(
    *,
    task_id: str,
    seq: int,
    kind: Kind,
    at_ms: int,
    actor: str,
    attempt: int,
    body: dict[str, Any],
    prev_hash: str,
) -> Event:
    """Make the event that follows `prev_hash`.

    Raises:
        ValueError: `body` is not JSON (a NaN, an infinity).
        TypeError: `body` is not JSON (another type).
    """
    digest = _digest(prev_hash, [task_id, seq, kind.value, at_ms, actor, attempt, sealed(body)])
    return Event(task_id, seq, kind, at_ms, actor, attempt, body, prev_hash, digest)


def verify_chain(events: Iterable[Event]) -> None:
    """Check that `events` are a whole log from event 0: no gap, no change, one task.

    Raises:
        CorruptLogError: Names the first event that does not fit.
    """
    expected_hash = GENESIS_HASH
    task_id: str | None = None
    for position, event in enumerate(events):
        task_id = task_id or event.task_id
        if event.seq != position or event.task_id != task_id:
            raise CorruptLogError(f"{task_id}: expected event {position}, found {event.task_id}/{event.seq}")
        body = sealed(event.body)
        fields = [event.task_id, event.seq, event.kind.value, event.at_ms, event.actor, event.attempt, body]
        if event.prev_hash != expected_hash or event.hash != _digest(event.prev_hash, fields):
            raise CorruptLogError(f"{task_id}: event {position} does not fit the hash chain")
        expected_hash = event.hash
