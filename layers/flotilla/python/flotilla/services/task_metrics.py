"""What is counted of tasks: from their logs, by whoever follows them, and by nobody else.

    accepted(0) ── started(1) ── attempt_failed(2) ── started(3) ── succeeded(4)
    TasksAccepted                AttemptsFailed                     TasksSucceeded, EndToEnd
                                 AttemptDuration, QueueDelay        AttemptDuration

Invariant: what is told of an event follows from it and what is before it in its log. So it is counted whoever wrote
it, a worker that died over the next line included, and never before it is durable. Who appends an event may never
learn that it did, and would have to guess; here it is an event like any other.

What an attempt took is told when it ends. One that is never heard of again is told, as a takeover, with the attempt
after it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flotilla.events import Event, Kind
from flotilla.metric_ports import Metrics
from flotilla.primitives.canary import CANARY_AGENT
from flotilla.workflows.order import is_run

EVERYBODY = "default"
"""The class of tenants that have none of their own."""

_BEGINS = frozenset({Kind.ACCEPTED, Kind.REDRIVEN})
_UNDER_WAY = frozenset({Kind.STARTED, Kind.STEP_RECORDED})
_COUNTED_AS = {
    Kind.SUCCEEDED: "TasksSucceeded",
    Kind.DEAD_LETTERED: "TasksDeadLettered",
    Kind.EXPIRED: "TasksExpired",
    Kind.PARKED: "TasksParked",
}
_BY_CLASS = frozenset({Kind.SUCCEEDED, Kind.DEAD_LETTERED})
_FAILURES = frozenset({Kind.ATTEMPT_FAILED, Kind.DEAD_LETTERED})
_ENDS_OF_ATTEMPTS = _FAILURES | {Kind.SUCCEEDED}
"""By who made it. Others end a task too, the triage for one: then nobody knows how long its attempt took."""


class TaskMetrics:
    """Counts what logs say.

    Args:
        metrics: Where.
        classes: The class of each tenant that has one.
    """

    def __init__(self, metrics: Metrics, classes: Mapping[str, str]) -> None:
        self._metrics = metrics
        self._classes = classes

    def tell(self, log: Sequence[Event], since_seq: int) -> None:
        """Count what the events of a log tell, from that of `since_seq` on.

        Args:
            log: A task's log from its beginning, of which no attempt is under way at the end.
            since_seq: What is before it has been counted.
        """
        accepted = log[0].body
        # Step Functions counts its executions; and canaries have metrics of their own, and are no clients' work: a
        # fleet that only they keep busy is idle, and pays for no metric of tasks.
        if is_run(accepted["agent"]) or accepted["agent"] == CANARY_AGENT:
            return
        by = {"lane": str(accepted["lane"]), "agent": str(accepted["agent"])}
        of_class = {"class": self._classes.get(accepted["tenant"], EVERYBODY)}
        for event in log[since_seq:]:
            if event.kind in _UNDER_WAY:
                continue
            if event.kind is Kind.ACCEPTED:
                self._metrics.count("TasksAccepted", lane=by["lane"])
            if (name := _COUNTED_AS.get(event.kind)) is not None:
                self._metrics.count(name, 1, "Count", **by, **(of_class if event.kind in _BY_CLASS else {}))
            starts = _starts_before(log, event.seq)
            if len(starts) > 1:
                self._metrics.count("Takeovers", len(starts) - 1, "Count", **by)
            if starts:
                self._attempt(log, starts, event, by, of_class)
            self._used(event, by, of_class)
            if event.kind in _BY_CLASS:
                took_ms = max(0, event.at_ms - _due_ms(log, event.seq))
                self._metrics.measure("EndToEnd", took_ms, "Milliseconds", **by)

    def _attempt(
        self, log: Sequence[Event], starts: Sequence[Event], end: Event, by: dict[str, str], of_class: dict[str, str]
    ) -> None:
        """What the attempt was that `end` is the end of."""
        first = starts[0]
        if not _has_run(log, first.seq):
            delay_ms = max(0, first.at_ms - _due_ms(log, first.seq))
            self._metrics.measure("QueueDelay", delay_ms, "Milliseconds", lane=by["lane"], **of_class)
        if end.kind not in _ENDS_OF_ATTEMPTS or "usage" not in end.body:
            return
        if end.kind in _FAILURES:
            self._metrics.count("AttemptsFailed", 1, "Count", **by)
        self._metrics.measure("AttemptDuration", end.body["usage"]["duration_ms"], agent=by["agent"])

    def _used(self, event: Event, by: dict[str, str], of_class: dict[str, str]) -> None:
        usage: dict[str, Any] = event.body.get("usage") or {}
        if cost_usd := usage.get("cost_usd", 0) + usage.get("compute_usd", 0):
            self._metrics.count("CostUsd", cost_usd, "None", agent=by["agent"], **of_class)
        if (peak_mb := usage.get("peak_memory_mb")) is not None:
            self._metrics.measure("PeakMemory", peak_mb, "Megabytes", lane=by["lane"])


def _starts_before(log: Sequence[Event], seq: int) -> list[Event]:
    """The starts of which the event is the first to say what became of them."""
    starts: list[Event] = []
    for event in reversed(log[:seq]):
        if event.kind not in _UNDER_WAY:
            break
        if event.kind is Kind.STARTED:
            starts.append(event)
    return starts[::-1]


def _beginning(log: Sequence[Event], seq: int) -> int:
    """Where what the event is part of began: at event 0, or where the task was begun anew."""
    return next(event.seq for event in reversed(log[:seq]) if event.kind in _BEGINS)


def _has_run(log: Sequence[Event], seq: int) -> bool:
    """Whether there was an attempt before the event, since it began."""
    return any(event.kind is Kind.STARTED for event in log[_beginning(log, seq) : seq])


def _due_ms(log: Sequence[Event], seq: int) -> int:
    """From when on the task could have run."""
    began = log[_beginning(log, seq)]
    due_ms: int | None = began.body.get("due_at_ms") if began.kind is Kind.ACCEPTED else None
    return began.at_ms if due_ms is None else due_ms
