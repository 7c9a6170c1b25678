"""What an outage came to, by the event log and by what the server saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fault_lab.server import Received
from flotilla.events import Event, Kind, fold

PEAK_SECONDS = 5.0
"""Rates and peaks are those of so long a time: within a second, chance alone makes twice the rate of a few calls."""

MOST_OF_NORMAL = 1.5


@dataclass(frozen=True, slots=True)
class Outage:
    """When the server was dead, on its own clock.

    Attributes:
        first_request: Number of the first request that counts.
        per_second: The rate at which tasks came.
    """

    first_request: int
    dead_at: float
    well_at: float
    per_second: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What it came to. Seconds are since the server was well again, where nothing else is said.

    Attributes:
        parked_as: How often tasks were parked, by the reason.
        charged: Attempts that were charged, by the error.
        wasted: Calls to the dead server, and of them those after the circuit first refused one.
        normal_peak: Of the server's requests before the outage; `recovery_peak`: after it.
    """

    tasks: int
    statuses: Counter[str]
    parked_as: Counter[str]
    charged: Counter[str]
    duplicates: int
    missing: int
    wasted: int
    wasted_open: int
    first_success: float
    drained: float
    waiting: int
    normal_rate: float
    normal_peak: float
    recovery_peak: float
    normal_second: int
    recovery_second: int
    events: int

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        whole = self.statuses == Counter({"succeeded": self.tasks}) and self.missing == self.duplicates == 0
        return whole and self.stampede <= MOST_OF_NORMAL

    @property
    def stampede(self) -> float:
        """The highest rate after the outage, in normal rates."""
        return self.recovery_peak / self.normal_rate

    def rows(self) -> list[list[str]]:
        """As rows of a table: what, what it came to, what is aimed at."""
        return [
            ["tasks that succeeded", f"{self.statuses['succeeded']} of {self.tasks}", "all"],
            ["dead letters", f"{self.statuses['dead_lettered']}", "0"],
            ["effects without their task's success, or the other way round", f"{self.missing}", "0"],
            ["effects made twice, by idempotency key", f"{self.duplicates}", "0"],
            ["attempts charged", _named(self.charged), "0 by parking"],
            ["times tasks were parked", _named(self.parked_as), ""],
            ["events a task, on average", f"{self.events / self.tasks:.1f}", ""],
            ["calls to the dead server", f"{self.wasted}", ""],
            ["… after the circuit opened", f"{self.wasted_open}", ""],
            ["tasks that waited when it was well again", f"{self.waiting}", ""],
            ["seconds from then to the first success", f"{self.first_success:.1f}", ""],
            ["… until all that had waited were done", f"{self.drained:.1f}", ""],
            ["calls a second before the outage", f"{self.normal_rate:.1f}", ""],
            ["… at their peak", f"{self.normal_peak:.1f}", ""],
            ["peak after the outage", f"{self.recovery_peak:.1f}", ""],
            ["… in normal rates", f"{self.stampede:.2f}", f"at most {MOST_OF_NORMAL}"],
            ["most calls in one second, before and after", f"{self.normal_second}, {self.recovery_second}", ""],
        ]


def judge(
    logs: Mapping[str, Sequence[Event]], task_ids: Sequence[str], received: Sequence[Received], outage: Outage
) -> Judgement:
    """Count."""
    own = [logs[task_id] for task_id in task_ids]
    requests = received[outage.first_request :]
    before = [one.at_seconds for one in requests if one.at_seconds < outage.dead_at]
    dead = [one.at_seconds for one in requests if outage.dead_at <= one.at_seconds < outage.well_at]
    after = [one.at_seconds for one in requests if one.at_seconds >= outage.well_at]
    done = Counter(one.headers["idempotency-key"] for one in requests if one.status == 200)
    # The server's clock and the log's are of one machine, and the first success is in both.
    first_ms = min(_ended_ms(events) for events in own)
    offset_ms = first_ms - before[0] * 1000
    well_ms, dead_ms = outage.well_at * 1000 + offset_ms, outage.dead_at * 1000 + offset_ms
    waited = [events for events in own if events[0].at_ms < well_ms and _ended_ms(events) >= well_ms]
    opened_ms = min((event.at_ms for events in own for event in events if _refused(event)), default=well_ms)
    succeeded = sum(events[-1].kind is Kind.SUCCEEDED for events in own)
    return Judgement(
        tasks=len(own),
        statuses=Counter(fold(list(events)).status.value for events in own),
        parked_as=Counter(e.body["reason"] for events in own for e in events if e.kind is Kind.PARKED),
        charged=Counter(e.body["error"]["code"] for events in own for e in events if e.kind is Kind.ATTEMPT_FAILED),
        duplicates=sum(count - 1 for count in done.values()),
        missing=abs(len(done) - succeeded),
        wasted=len(dead),
        wasted_open=sum(at * 1000 + offset_ms > max(opened_ms, dead_ms) for at in dead),
        first_success=min((one.at_seconds for one in requests if one.at_seconds >= outage.well_at), default=0.0)
        - outage.well_at,
        drained=max((_ended_ms(events) - well_ms) / 1000 for events in waited) if waited else 0.0,
        waiting=len(waited),
        normal_rate=outage.per_second,
        normal_peak=peak(before, PEAK_SECONDS) / PEAK_SECONDS,
        recovery_peak=peak(after, PEAK_SECONDS) / PEAK_SECONDS,
        normal_second=peak(before, 1.0),
        recovery_second=peak(after, 1.0),
        events=sum(len(events) for events in own),
    )


def peak(times: Sequence[float], seconds: float) -> int:
    """The most of `times` (in order) that lie within any span so long."""
    most = first = 0
    for last, time in enumerate(times):
        while times[first] <= time - seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def _ended_ms(events: Sequence[Event]) -> int:
    return events[-1].at_ms


def _refused(event: Event) -> bool:
    return event.kind is Kind.PARKED and event.body["reason"] == "circuit_open"


def _named(counts: Counter[str]) -> str:
    whole = f"{sum(counts.values())}"
    return f"{whole} ({', '.join(f'{count} {name}' for name, count in counts.most_common())})" if counts else whole
