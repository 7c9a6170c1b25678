"""One run: a schedule is sent, and what became of it is found out."""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.load.histogram import Histogram
from benchmarks.load.open_loop import drive
from benchmarks.load.reconciling import Reconciled, Reconciliation
from benchmarks.load.schedule import Arrivals, offsets
from benchmarks.load.submitting import Submitting
from benchmarks.load.wire import Wire

_LEAD_SECONDS = 0.2


@dataclass(frozen=True)
class Plan:
    """What is sent.

    Attributes:
        body: Of each submit.
        rate: Tasks a second.
        connections: Requests under way at a time.
        patience_seconds: How long tasks may take to end after the last was sent.
        logs: Logs that are read event by event at the end.
        replays: Keys that are sent again at the end.
    """

    body: Mapping[str, Any]
    rate: float
    seconds: float
    arrivals: Arrivals = "poisson"
    connections: int = 64
    patience_seconds: float = 120.0
    logs: int = 100
    replays: int = 20
    seed: int = 1


@dataclass(frozen=True)
class Result:
    """What came of a plan.

    Attributes:
        sent: Submits.
        words: Submits by how they went.
        seconds: From the first that was due to the last answer.
        submit: Latency of all but the refused, from when each was due until it was answered or given up.
        service: The same from when it was sent.
        late: How long after each was due the harness had got to it.
        reconciled: What became of the tasks.
    """

    plan: Plan
    sent: int
    words: Mapping[str, int]
    seconds: float
    submit: Histogram
    service: Histogram
    late: Histogram
    reconciled: Reconciled

    def to_json(self) -> dict[str, Any]:
        """All of it."""
        done = self.reconciled
        return {
            "plan": {**vars(self.plan), "body": dict(self.plan.body)},
            "sent": self.sent,
            "words": dict(self.words),
            "seconds": self.seconds,
            "submit": self.submit.to_json(),
            "service": self.service.to_json(),
            "harness_late": self.late.to_json(),
            "accepted": done.accepted,
            "unknown": done.unknown,
            "unknown_that_had_been_accepted": done.found,
            "ends": dict(done.ends),
            "lost": done.lost,
            "doubled": done.doubled,
            "logs_read": done.logs,
            "logs_with_more_than_one_attempt": done.again,
            "keys_sent_again": done.replays,
            "calls_to_reconcile": done.calls,
            "accepted_to_started": done.to_start.to_json(),
            "accepted_to_finished": done.to_finish.to_json(),
        }


async def run(url: str, key: str, plan: Plan) -> Result:
    """Send it and reconcile it."""
    due = offsets(plan.arrivals, rate=plan.rate, seconds=plan.seconds, seed=plan.seed)
    headers = {"authorization": f"Bearer {key}"}
    async with Wire(url, headers, connections=plan.connections) as wire:
        submitting = Submitting(wire, plan.body, secrets.token_hex(8))
        begin = time.monotonic() + _LEAD_SECONDS
        samples = await drive(due, submitting, connections=plan.connections, begin=begin, now=time.monotonic)
        ended = max((sample.answered for sample in samples), default=begin)
        reconciliation = Reconciliation(wire, submitting, patience_seconds=plan.patience_seconds, seed=plan.seed)
        reconciled = await reconciliation.run(samples, logs=plan.logs, replays=plan.replays)
    # What brought no answer took at least until it was given up: left out, the worst would be missing.
    waited = [sample for sample in samples if not sample.outcome.word.startswith("refused")]
    return Result(
        plan=plan,
        sent=len(samples),
        words=Counter(sample.outcome.word for sample in samples),
        seconds=ended - begin,
        submit=Histogram.of_ms(sample.latency_ms for sample in waited),
        service=Histogram.of_ms(sample.service_ms for sample in waited),
        late=Histogram.of_ms(sample.late * 1000 for sample in samples),
        reconciled=reconciled,
    )
