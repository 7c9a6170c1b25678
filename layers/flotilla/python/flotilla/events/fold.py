"""From a task's log to its state: a pure function, the only definition of what a task's state is.

Refuses a log with a gap or with an event after the last: such a log was not written by this
code, and guessing on would hide it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from flotilla.errors import CorruptLogError, WaitTimeoutError
from flotilla.events.event import Event
from flotilla.events.kinds import STATUS_AFTER, Kind
from flotilla.events.usage import added_up
from flotilla.events.waits import WaitEnd
from flotilla.models import ErrorInfo, Payload, Status, TaskBudgets, WorkflowStep, task_budgets


@dataclass(slots=True)
class TaskState:
    """A task as its log tells it.

    Attributes:
        attempt: Number of the newest attempt.
        attempts_charged: Attempts that count against `max_attempts`. An attempt lost with its
            process while it shared it with other tasks is not charged: it may not have been its fault.
        started_at_ms: When the newest attempt started.
        lease_until_ms: While running, until when its worker may still be alive.
        next_attempt_ms: While retrying or parked, the earliest time of the next attempt.
        solo: The newest attempt had its process to itself.
        head_at_ms: When the newest event was written.
        webhook: Id of the endpoint that is told how it ends, if the client named one.
        usage: Time is the newest attempt's that ended the task; what models were used is that of all attempts.
        parent: The task that submitted it, if one did.
        root: The task at the top of these.
        depth: How many tasks are above it.
        revision: How often its input was replaced.
        budgets: See `TaskMessage.budgets`.
        steps: Recorded results by step name.
        workflow: The state of a workflow that waits for how it ends.
        waiting_for: While waiting, the name of the signal.
        waiting_until_ms: While waiting, when it goes on without; None where it waits for as long as it takes.
        waiting_detail: While waiting, what the agent says of it: JSON values.
        waits: How earlier waits ended, by the signal's name.
    """

    task_id: str
    tenant: str
    agent: str
    agent_version: str
    lane: str
    session: str | None
    status: Status
    attempt: int
    attempts_charged: int
    max_attempts: int
    created_at_ms: int
    due_at_ms: int | None
    deadline_ms: int | None
    input: Payload
    labels: dict[str, str]
    fingerprint: str
    head_seq: int
    head_hash: str
    head_kind: Kind
    head_at_ms: int
    started_at_ms: int | None = None
    finished_at_ms: int | None = None
    lease_until_ms: int | None = None
    next_attempt_ms: int | None = None
    worker: str | None = None
    solo: bool = False
    trace: str | None = None
    webhook: str | None = None
    output: Payload | None = None
    error: ErrorInfo | None = None
    usage: dict[str, Any] = field(default_factory=dict)
    steps: dict[str, Payload] = field(default_factory=dict)
    parent: str | None = None
    root: str | None = None
    depth: int = 0
    revision: int = 0
    budgets: TaskBudgets = ()
    workflow: WorkflowStep | None = None
    waiting_for: str | None = None
    waiting_until_ms: int | None = None
    waiting_detail: Any = None
    waits: dict[str, WaitEnd] = field(default_factory=dict)

    @property
    def wait_ends_ms(self) -> int | None:
        """While waiting, when that ends without a signal: in its time or at the task's deadline; None for never."""
        if self.status is not Status.WAITING:
            return None
        return min((at for at in (self.waiting_until_ms, self.deadline_ms) if at is not None), default=None)

    @property
    def budget_micros(self) -> int | None:
        """What the task itself may cost, with all below it."""
        return dict(self.budgets).get(self.task_id)

    def attempt_lost(self) -> bool:
        """True if the newest attempt started and nothing says how it ended."""
        return self.head_kind in (Kind.STARTED, Kind.STEP_RECORDED)

    def charge_if_lost(self) -> int:
        """Attempts charged once the newest one is given up for lost."""
        return self.attempts_charged + (1 if self.attempt_lost() and self.solo else 0)


def _initial(event: Event) -> TaskState:
    body = event.body
    return TaskState(
        task_id=event.task_id,
        tenant=body["tenant"],
        agent=body["agent"],
        agent_version=body["agent_version"],
        lane=body["lane"],
        session=body.get("session"),
        status=Status.QUEUED if body.get("due_at_ms") is None else Status.SCHEDULED,
        attempt=0,
        attempts_charged=0,
        max_attempts=body["max_attempts"],
        created_at_ms=event.at_ms,
        due_at_ms=body.get("due_at_ms"),
        deadline_ms=body.get("deadline_ms"),
        webhook=body.get("webhook"),
        input=Payload.from_json(body["input"]),
        labels=body.get("labels", {}),
        fingerprint=body["fingerprint"],
        head_seq=0,
        head_hash=event.hash,
        head_kind=event.kind,
        head_at_ms=event.at_ms,
        trace=body.get("trace"),
        parent=body.get("parent"),
        root=body.get("root"),
        depth=body.get("depth", 0),
        budgets=task_budgets(body.get("budgets", ())),
        workflow=WorkflowStep.from_json(body["workflow"]) if "workflow" in body else None,
    )


def _apply(state: TaskState, event: Event) -> None:
    body = event.body
    match event.kind:
        case Kind.STARTED:
            state.attempts_charged = state.charge_if_lost()
            state.attempt = event.attempt
            state.started_at_ms = event.at_ms
            state.lease_until_ms = body["lease_until_ms"]
            state.worker = event.actor
            state.solo = body.get("solo", False)
            state.next_attempt_ms = None
        case Kind.STEP_RECORDED:
            state.steps[body["step"]] = Payload.from_json(body["result"])
        case Kind.ATTEMPT_FAILED:
            state.attempts_charged += 1
            state.error = ErrorInfo.from_json(body["error"])
            state.next_attempt_ms = body["next_attempt_ms"]
            state.usage = added_up(state.usage, body.get("usage"), ended=False)
        case Kind.PARKED:
            state.next_attempt_ms = body["next_attempt_ms"]
            state.usage = added_up(state.usage, body.get("usage"), ended=False)
        case Kind.WAITING | Kind.SIGNALLED | Kind.RESUMED:
            _apply_wait(state, event)
        case Kind.SUCCEEDED:
            state.output = Payload.from_json(body["output"])
            state.usage = added_up(state.usage, body.get("usage", {}), ended=True)
            state.error = None
        case Kind.DEAD_LETTERED | Kind.EXPIRED | Kind.CANCELLED:
            state.error = ErrorInfo.from_json(body["error"]) if "error" in body else state.error
            state.usage = added_up(state.usage, body.get("usage"), ended=True)
        case Kind.REDRIVEN:
            _redrive(state, body)
        case _:
            pass
    state.status = STATUS_AFTER[event.kind]
    state.head_seq = event.seq
    state.head_hash = event.hash
    state.head_kind = event.kind
    state.head_at_ms = event.at_ms
    _leave_behind(state)


def _leave_behind(state: TaskState) -> None:
    """Drop what is only so in a status that the task is no longer in."""
    if state.status.terminal:
        state.finished_at_ms = state.head_at_ms
    if state.status is not Status.RUNNING:
        state.lease_until_ms = None
    if state.status not in (Status.RETRYING, Status.PARKED):
        state.next_attempt_ms = None
    if state.status is not Status.WAITING:
        state.waiting_for = state.waiting_until_ms = state.waiting_detail = None


def _redrive(state: TaskState, body: dict[str, Any]) -> None:
    # A fresh start of the same task: same id, same recorded steps and signals unless the input changed, full attempts.
    if state.error is not None and state.error.code == WaitTimeoutError.default_code:
        # It died of it, and would again: so it waits anew.
        state.waits = {name: end for name, end in state.waits.items() if not end.timed_out}
    state.attempts_charged = 0
    state.due_at_ms = None
    state.error = None
    state.finished_at_ms = None
    if "input" in body:
        state.input = Payload.from_json(body["input"])
        state.steps = {}
        state.waits = {}
        state.revision += 1


def _apply_wait(state: TaskState, event: Event) -> None:
    body = event.body
    if event.kind is Kind.WAITING:
        state.waiting_for = body["for"]
        state.waiting_until_ms = body.get("until_ms")
        state.waiting_detail = body.get("detail")
        state.usage = added_up(state.usage, body.get("usage"), ended=False)
    elif event.kind is Kind.SIGNALLED:
        state.waits[body["name"]] = WaitEnd(False, body["payload"], event.actor, event.at_ms)
    elif body["timed_out"]:
        state.waits[body["for"]] = WaitEnd(True, None, event.actor, event.at_ms)


def fold(events: Iterable[Event]) -> TaskState:
    """Fold a whole log, in order, into the task's state.

    Raises:
        CorruptLogError: The log is empty, has a gap, does not begin with `accepted`, goes on after
            its end by anything but `redriven`, or an event lacks what its kind needs.
    """
    state: TaskState | None = None
    for event in events:
        try:
            state = _folded(state, event)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CorruptLogError(f"{event.task_id}: event {event.seq} lacks what its kind needs: {error}") from error
    if state is None:
        raise CorruptLogError("the log is empty")
    return state


def _folded(state: TaskState | None, event: Event) -> TaskState:
    if state is None:
        if event.seq != 0 or event.kind is not Kind.ACCEPTED:
            raise CorruptLogError(f"{event.task_id}: the log begins with {event.kind}/{event.seq}")
        return _initial(event)
    if event.seq != state.head_seq + 1:
        raise CorruptLogError(f"{event.task_id}: event {event.seq} follows event {state.head_seq}")
    if event.prev_hash != state.head_hash:
        raise CorruptLogError(f"{event.task_id}: event {event.seq} belongs to another log")
    if state.status.terminal and event.kind is not Kind.REDRIVEN:
        raise CorruptLogError(f"{event.task_id}: {event.kind} after {state.status}")
    _apply(state, event)
    return state
