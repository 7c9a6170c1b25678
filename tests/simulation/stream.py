"""The event log's stream and its mapping: at least once, in order within a shard, until a fault says otherwise.

Invariant: what an invocation did not take comes again, from the first record that it names as failed, or all of the
batch where it died.
"""

from __future__ import annotations

from typing import Any

from flotilla.events import Event
from tests.simulation.faults import Faults
from tests.simulation.functions import Function
from tests.simulation.loop import Scheduler, Timer

BATCHES = (1, 5, 100, 100, 100)
SHORTEST_LAG_SECONDS = 0.05
RETRY_SECONDS = 1.0


class Shard:
    """One shard of the stream, read by one mapping."""

    def __init__(self, function: Function[Any], scheduler: Scheduler, faults: Faults) -> None:
        self.records: list[Event] = []
        self._function = function
        self._scheduler = scheduler
        self._faults = faults
        self._seen: list[Event] = []
        self._reading: Timer | None = None
        self._busy = False

    def add(self, event: Event) -> None:
        """An item was written."""
        self.records.append(event)
        self._plan(SHORTEST_LAG_SECONDS + self._faults.plan.stream_lag * self._faults.fraction() ** 2)

    def _plan(self, wait: float) -> None:
        if not self._busy and (self._reading is None or not self._reading.live):
            self._reading = self._scheduler.at(self._scheduler.now + wait, None, self._read)

    def _read(self) -> None:
        if self._reading is not None:
            self._reading.live = False
        if not self.records:
            return
        now = self._scheduler.now
        taken = self.records[: BATCHES[self._faults.choice(len(BATCHES))]]
        batch = list(enumerate(taken))
        if self._seen and self._faults.happens("twice", now):
            batch += [(len(taken), event) for event in self._seen[-self._faults.choice(5) - 1 :]]
        if self._faults.happens("shuffle", now):
            batch.sort(key=lambda _: self._faults.fraction())
        self._busy = True

        def finished(fine: bool, failed: Any) -> None:
            self._busy = False
            first = 0 if not fine else min((at for at, event in batch if event.task_id in failed), default=len(taken))
            done = min(first, len(taken))
            self._seen = (self._seen + self.records[:done])[-10:]
            del self.records[:done]
            if self.records:
                self._plan(self._faults.latency() if done else RETRY_SECONDS)

        self._function.invoke([event for _, event in batch], finished)
