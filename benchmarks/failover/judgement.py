"""What a route's failover came to, by the event log and by what the models' servers saw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.fault_lab.scripted_model import answer, asked_of_openai
from benchmarks.fault_lab.server import Received
from benchmarks.fleet import percentile
from flotilla.events import Event, Kind, fold

PERIODS = ("before", "while it was dead", "after")


@dataclass(frozen=True, slots=True)
class Price:
    """Millionths of a dollar for a million tokens."""

    input: int
    output: int


@dataclass(frozen=True, slots=True)
class Death:
    """When the first model was dead, in milliseconds since the epoch."""

    from_ms: float
    until_ms: float

    def period(self, at_ms: float) -> str:
        """Which of `PERIODS` a time is in."""
        return PERIODS[(at_ms >= self.from_ms) + (at_ms >= self.until_ms)]


@dataclass(frozen=True, slots=True)
class Ledger:
    """What one model's server saw.

    Attributes:
        began_ms: When its clock began, in milliseconds since the epoch.
        requests: All that count, in order.
    """

    price: Price
    began_ms: float
    requests: Sequence[Received]

    def at_ms(self, request: Received) -> float:
        """When it came, in milliseconds since the epoch."""
        return self.began_ms + request.at_seconds * 1000

    @property
    def charged_micros(self) -> int:
        """What the server charges: for each answer, by its tokens."""
        total = 0
        for request in self.requests:
            if request.status == 200:
                found = answer(asked_of_openai(request.json()))
                total += -(-(found.read * self.price.input + found.written * self.price.output) // 1_000_000)
        return total


@dataclass(frozen=True, slots=True)
class _Task:
    """One task.

    Attributes:
        served: The model that answered; None where the task did not succeed.
        why: What kept the first from it.
    """

    period: str
    took_ms: int
    kinds: Counter[Kind]
    status: str
    served: str | None
    why: str | None
    ended_ms: int
    cost_micros: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """What it came to.

    Attributes:
        wasted: Calls to the dead model, and of them those after its circuit first refused one.
        first_ms: From when it was well to its first answer; `last_ms`: to the last task that another model served.
    """

    tasks: Sequence[_Task]
    wasted: int
    wasted_open: int
    first_ms: float
    last_ms: float
    used_micros: int
    charged_micros: int

    @property
    def kept(self) -> bool:
        """Whether every promise was kept."""
        succeeded = all(task.status == "succeeded" and task.kinds[Kind.STARTED] == 1 for task in self.tasks)
        return succeeded and self._count(Kind.PARKED) == 0 and self.used_micros == self.charged_micros

    def _count(self, kind: Kind) -> int:
        return sum(task.kinds[kind] for task in self.tasks)

    def rows(self) -> list[list[str]]:
        """As rows of a table: what, what it came to, what is aimed at."""
        whys = Counter(task.why for task in self.tasks if task.why is not None)
        reasons = ", ".join(f"{count} {why}" for why, count in whys.most_common())
        again = Counter(task.served for task in self.tasks if task.period == PERIODS[2])
        return [
            ["tasks that succeeded", f"{sum(t.status == 'succeeded' for t in self.tasks)} of {len(self.tasks)}", "all"],
            ["attempts", f"{self._count(Kind.STARTED)}", f"{len(self.tasks)}"],
            ["times tasks were parked", f"{self._count(Kind.PARKED)}", "0"],
            ["tasks whose `usage` says that another model served, and why", f"{sum(whys.values())} ({reasons})", ""],
            ["calls to the dead model", f"{self.wasted}", ""],
            ["… after its circuit opened", f"{self.wasted_open}", ""],
            ["seconds from when it was well until it served", f"{self.first_ms / 1000:.1f}", ""],
            ["… until it served all", f"{self.last_ms / 1000:.1f}", ""],
            ["tasks that came after it was well: by it, by the second", _served(again), ""],
            [
                "dollars by `usage`; aim: by the servers' ledgers",
                f"{self.used_micros / 1e6:.6f}",
                f"{self.charged_micros / 1e6:.6f}",
            ],
        ]

    def periods(self) -> list[list[str]]:
        """As rows of a table: the period, its tasks, by whom they were served, how long they took."""
        rows = []
        for period in PERIODS:
            own = [task for task in self.tasks if task.period == period]
            took = [task.took_ms for task in own]
            p50, p95, most = (f"{percentile(took, percent):.0f}" for percent in (50, 95, 100))
            rows.append([period, f"{len(own)}", _served(Counter(task.served for task in own)), p50, p95, most])
        return rows


def judge(
    logs: Mapping[str, Sequence[Event]], task_ids: Sequence[str], ledgers: Mapping[str, Ledger], death: Death
) -> Judgement:
    """Count.

    Args:
        logs: Every task's log.
        task_ids: The tasks that count.
        ledgers: By the models' names; the first one died.
        death: When.
    """
    tasks = [_task(logs[task_id], death) for task_id in task_ids]
    first = next(iter(ledgers.values()))
    dead = [at for at in map(first.at_ms, first.requests) if death.from_ms <= at < death.until_ms]
    opened_ms = min((task.ended_ms for task in tasks if task.why == "circuit_open"), default=death.until_ms)
    well = [
        at for request in first.requests if request.status == 200 and (at := first.at_ms(request)) >= death.until_ms
    ]
    others = [task.ended_ms for task in tasks if task.why is not None and task.ended_ms >= death.until_ms]
    return Judgement(
        tasks=tasks,
        wasted=len(dead),
        wasted_open=sum(at >= opened_ms for at in dead),
        first_ms=min(well, default=float("inf")) - death.until_ms,
        last_ms=max(others, default=death.until_ms) - death.until_ms,
        used_micros=sum(task.cost_micros for task in tasks),
        charged_micros=sum(ledger.charged_micros for ledger in ledgers.values()),
    )


def _task(events: Sequence[Event], death: Death) -> _Task:
    state = fold(list(events))
    failovers = state.usage.get("failovers", [])
    succeeded = state.status.value == "succeeded"
    return _Task(
        period=death.period(events[0].at_ms),
        took_ms=events[-1].at_ms - events[0].at_ms,
        kinds=Counter(event.kind for event in events),
        status=state.status.value,
        served=(failovers[0]["served"] if failovers else "primary") if succeeded else None,
        why=failovers[0]["why"] if failovers else None,
        ended_ms=events[-1].at_ms,
        cost_micros=round(state.usage.get("cost_usd", 0.0) * 1_000_000),
    )


def _served(counts: Counter[str | None]) -> str:
    return f"{counts['primary']}, {counts['second']}"
