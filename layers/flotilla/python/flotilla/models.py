"""The values that travel between the functions of a fleet.

Plain frozen dataclasses: they are built and read once per task on the hot path, where what
they hold was validated at the API. A message must stay readable one version back and forward,
so readers ignore members they do not know and default those they do not find.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from flotilla.errors import UnreadableMessageError

MESSAGE_VERSION = 1

TaskBudgets = tuple[tuple[str, int], ...]
"""Ids of tasks, and what each may cost with all below it."""


def task_budgets(value: Any) -> TaskBudgets:
    """Read budgets as messages and events hold them.

    Raises:
        ValueError, TypeError: They are none.
    """
    budgets = tuple((task_id, micros) for task_id, micros in value)
    if not all(isinstance(task_id, str) and isinstance(micros, int) and micros > 0 for task_id, micros in budgets):
        raise ValueError("not budgets")
    return budgets


class Status(StrEnum):
    """Where a task is in its life; a pure function of its log."""

    SCHEDULED = "scheduled"
    QUEUED = "queued"
    RUNNING = "running"
    RETRYING = "retrying"
    PARKED = "parked"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    DEAD_LETTERED = "dead_lettered"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def terminal(self) -> bool:
        """True where a task stays unless an operator redrives it."""
        return self in _TERMINAL


_TERMINAL = frozenset({Status.SUCCEEDED, Status.DEAD_LETTERED, Status.CANCELLED, Status.EXPIRED})


def canonical_json(value: Any) -> str:
    """The one way a value is written where bytes are compared, hashed or signed.

    Raises:
        ValueError: `value` holds a NaN or an infinity, which JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Payload:
    """An input or output: the value itself, or where in the payload store it lies (claim check).

    Attributes:
        inline: The value, where `ref` is None.
        ref: Key in the payload store of the value's canonical JSON.
        size_bytes: Length of the canonical JSON; 0 for inline values, where nobody asks.
        sha256: Hex digest of the canonical JSON, so that the hash chain covers what lies outside the log.
    """

    inline: Any = None
    ref: str | None = None
    size_bytes: int = 0
    sha256: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The form in events and messages."""
        if self.ref is None:
            return {"inline": self.inline}
        return {"ref": self.ref, "bytes": self.size_bytes, "sha256": self.sha256}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Payload:
        """Read what `to_json` wrote."""
        if "ref" in value:
            return cls(ref=value["ref"], size_bytes=value["bytes"], sha256=value["sha256"])
        return cls(inline=value["inline"])


def payload_key(tenant: str, task_id: str, sha256: str) -> str:
    """Where in the payload store a value of a task lies, by the digest of its canonical JSON."""
    return f"tenants/{tenant}/tasks/{task_id}/{sha256}.json"


@dataclass(frozen=True, slots=True)
class WorkflowStep:
    """Where in a workflow's run a task stands.

    Attributes:
        run: Id of the run, which is a task too.
        step: Name of the state that asked for the task.
        token: What the state is answered by, once. Whoever has it and may use Step Functions can end the state, so it
            is told to nobody: events are hashed and shown with its digest in its place (`events.sealed`).
    """

    run: str
    step: str
    token: str

    def to_json(self) -> dict[str, Any]:
        """The form in events and messages."""
        return {"run": self.run, "step": self.step, "token": self.token}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> WorkflowStep:
        """Read what `to_json` wrote, or an event's sealed form of it, whose token is empty.

        Raises:
            KeyError, TypeError, ValueError: It is neither.
        """
        step = cls(value["run"], value["step"], value.get("token", ""))
        if not all(isinstance(member, str) for member in (step.run, step.step, step.token)):
            raise ValueError("not a step of a workflow")
        return step


@dataclass(frozen=True, slots=True)
class TaskMessage:
    """What lies on a lane: enough to run the task without reading its log.

    Attributes:
        seq: Sequence number of the newest event when this was sent; the worker writes seq + 1.
        hash: Hash of that event (hex); the next event chains to it.
        attempt: Attempts already in the log when this was sent.
        charged: How many of them count against `max_attempts`.
        deadline_ms: Do not start after this time.
        trace: Trace header of the request that caused it.
        not_before_ms: Do not start before this time.
        hops: How often the delay ladder has passed it on.
        root: The task at the top, of which this one descends; None where it is that itself.
        depth: How many tasks are above it.
        revision: How often its input was replaced.
        budgets: What its calls count against: ids of tasks, itself and those above it, the nearest first, and what each
            may cost with all below it, in millionths of a dollar. Only those that have a bound.
        workflow: The state that waits for how it ends; None where no workflow does.
    """

    task_id: str
    tenant: str
    agent: str
    agent_version: str
    lane: str
    session: str | None
    seq: int
    hash: str
    attempt: int
    max_attempts: int
    accepted_at_ms: int
    deadline_ms: int | None
    input: Payload
    charged: int = 0
    trace: str | None = None
    not_before_ms: int | None = None
    hops: int = 0
    root: str | None = None
    depth: int = 0
    revision: int = 0
    budgets: TaskBudgets = ()
    workflow: WorkflowStep | None = None

    @property
    def group(self) -> str:
        """Message group: the tenant's session, in strict order, or the task alone.

        A session is hashed with its tenant: SQS allows 128 characters of a narrow alphabet, and
        two tenants that pick the same session name must not wait for each other.
        """
        if self.session is None:
            return self.task_id
        return "s-" + hashlib.sha256(f"{self.tenant}\0{self.session}".encode()).hexdigest()[:40]

    @property
    def deduplication_id(self) -> str:
        """Two sends of the same state of the same task are one message."""
        return f"{self.task_id}-{self.seq}"

    def to_body(self) -> str:
        """The message body."""
        return json.dumps(
            {
                "v": MESSAGE_VERSION,
                "task_id": self.task_id,
                "tenant": self.tenant,
                "agent": self.agent,
                "agent_version": self.agent_version,
                "lane": self.lane,
                "session": self.session,
                "seq": self.seq,
                "hash": self.hash,
                "attempt": self.attempt,
                "charged": self.charged,
                "max_attempts": self.max_attempts,
                "accepted_at_ms": self.accepted_at_ms,
                "deadline_ms": self.deadline_ms,
                "input": self.input.to_json(),
                "trace": self.trace,
                "not_before_ms": self.not_before_ms,
                "hops": self.hops,
                "root": self.root,
                "depth": self.depth,
                "revision": self.revision,
                "budgets": self.budgets,
                **({} if self.workflow is None else {"workflow": self.workflow.to_json()}),
            },
            separators=(",", ":"),
            # Escaped to ASCII: SQS refuses some characters that JSON strings may hold (U+FFFE, U+FFFF).
            ensure_ascii=True,
        )

    @classmethod
    def from_body(cls, body: str) -> TaskMessage:
        """Read a message body.

        Raises:
            UnreadableMessageError: It is not JSON, or not a task message.
        """
        try:
            value = json.loads(body)
            # What is absent is from another version and takes its default; what is there must fit.
            members = {name: value[name] for name in _MESSAGE_TYPES if name in value}
            misfits = [name for name, found in members.items() if not isinstance(found, _MESSAGE_TYPES[name])]
            misfits += [name for name in _COUNTS if members.get(name, 0) < 0] if not misfits else []
            misfits += ["hash"] if not misfits and not _HASH.fullmatch(members["hash"]) else []
            if misfits:
                raise UnreadableMessageError(f"not a task message: {', '.join(misfits)}")
            read: dict[str, Any] = {"input": _payload(value), "budgets": task_budgets(value.get("budgets", ()))}
            if "workflow" in value:
                read["workflow"] = WorkflowStep.from_json(value["workflow"])
            return cls(**{"session": None, "deadline_ms": None, "attempt": 0} | members | read)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UnreadableMessageError(f"not a task message: {type(error).__name__}") from error


_COUNTS = ("seq", "attempt", "charged", "hops", "depth", "revision")
_HASH = re.compile(r"[0-9a-f]{64}")
_MESSAGE_TYPES: dict[str, Any] = {
    "task_id": str,
    "tenant": str,
    "agent": str,
    "agent_version": str,
    "lane": str,
    "session": str | None,
    "seq": int,
    "hash": str,
    "attempt": int,
    "charged": int,
    "max_attempts": int,
    "accepted_at_ms": int,
    "deadline_ms": int | None,
    "trace": str | None,
    "not_before_ms": int | None,
    "hops": int,
    "root": str | None,
    "depth": int,
    "revision": int,
}


def _payload(value: dict[str, Any]) -> Payload:
    payload = Payload.from_json(value["input"])
    if not isinstance(payload.ref, str | None):
        raise UnreadableMessageError("not a task message: input")
    return payload


@dataclass(frozen=True, slots=True)
class Delivery:
    """One receipt of one message.

    Attributes:
        receive_count: How often the queue has handed this message out, this time included.
    """

    message_id: str
    receipt_handle: str
    group: str
    receive_count: int
    body: str


@dataclass(frozen=True, slots=True)
class ErrorInfo:
    """Why an attempt or a task failed, as the client sees it."""

    code: str
    message: str
    retryable: bool

    def to_json(self) -> dict[str, Any]:
        """The form in events and in the API."""
        return {"code": self.code, "message": self.message, "retryable": self.retryable}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ErrorInfo:
        """Read what `to_json` wrote."""
        return cls(value["code"], value["message"], value["retryable"])


@dataclass(frozen=True, slots=True)
class LaneCounts:
    """Messages of one lane, as its queues estimate them.

    Attributes:
        waiting: Could be handed out now.
        in_flight: Handed out, or hidden until a retry.
        undeliverable: In the dead letter queue, on their way into the tasks' logs.
    """

    waiting: int
    in_flight: int
    undeliverable: int


@dataclass(frozen=True, slots=True)
class LaneReading:
    """What is measured of one lane, some minutes old at the most; None where nothing was.

    Attributes:
        oldest_seconds: Age of the oldest message on it.
        concurrency: Invocations of its worker at once.
    """

    oldest_seconds: int | None = None
    concurrency: int | None = None
