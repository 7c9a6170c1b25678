"""What becomes of a limit while its store refuses most calls, and then answers none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from benchmarks.fault_lab.limits.contest import Contest, Outcome, run_contest
from benchmarks.fault_lab.limits.contestants import Flotilla
from benchmarks.fault_lab.limits.stores import Outage
from flotilla.metric_ports import Unit
from flotilla.primitives.token_bucket import Limit

OUTAGE = Outage(throttled_from=40, down_from=55, until=75)
CONTEST = Contest(Limit(600, 100), 16, seconds=120)
PHASES = (
    ("answers", 15.0, 40.0),
    ("refuses 80 %", 40.0, 55.0),
    ("is down", 55.0, 75.0),
    ("answers again", 80.0, 120.0),
)


class CountedMetrics:
    """`Metrics` that can be asked what was counted."""

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()

    def count(self, name: str, amount: float = 1, unit: Unit = "Count", **dimensions: str) -> None:  # noqa: ARG002
        """See `Metrics.count`."""
        self.counted[name] += int(amount)

    def measure(self, name: str, value: float, unit: Unit = "Milliseconds", **dimensions: str) -> None:
        """See `Metrics.measure`."""


@dataclass(frozen=True, slots=True)
class Outlived:
    """A contest during which the store failed."""

    name: str
    outcome: Outcome
    metrics: CountedMetrics

    def a_minute(self, since: float, until: float) -> float:
        """Admissions a minute between these times."""
        return 60 * sum(since <= at < until for at, _ in self.outcome.admitted) / (until - since)


def outlive(*, leases: bool, contest: Contest = CONTEST, outage: Outage = OUTAGE) -> Outlived:
    """Run it; what an ask raises beside a refusal ends it."""
    metrics = CountedMetrics()
    contestant = Flotilla(leases, outage=outage, metrics=metrics)
    return Outlived(contestant.name, run_contest(contest, contestant), metrics)
