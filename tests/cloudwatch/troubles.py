"""What metrics look like on a good day, on an idle night, and in each trouble that has an alarm.

A trouble is what a metric's value is in each minute while it lasts; what it does not name goes on as on a good day. A
new symptom needs its trouble here: the tests fail without.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from tests.cloudwatch.deployed import Alarm
from tests.cloudwatch.recorded import Recording, Series

SILENCE = None
"""No data at all."""

TROUBLES: Mapping[str, Mapping[str, float | None]] = {
    "late-1h": {"ApproximateAgeOfOldestMessage": 40_000, "ApproximateNumberOfMessagesVisible": 90_000},
    "late-5m": {"ApproximateAgeOfOldestMessage": 40_000},
    "late-6h": {
        "ApproximateAgeOfOldestMessage": 40_000,
        "ApproximateNumberOfMessagesVisible": 3,
        "NumberOfMessagesDeleted": 0,
    },
    "late-30m": {"ApproximateAgeOfOldestMessage": 40_000},
    "dead-letters-rising": {"TasksDeadLettered": 30},
    # All of them: none succeeds, and no success is counted.
    "tasks-dying": {"TasksDeadLettered": 60, "TasksSucceeded": SILENCE},
    "messages-unreadable": {"MessagesUnreadable": 1},
    "triage-stuck": {"ApproximateAgeOfOldestMessage": 5000},
    "api-failing": {"5xx": 60},
    "canary-failing": {"CanaryFailed": 1, "CanarySucceeded": SILENCE},
    "not-ready": {"ReadinessFailed": 1},
    "canary-missing": {"CanarySucceeded": SILENCE},
    "workflow-failing": {"ExecutionsFailed": 2},
    "protection-unavailable": {"ProtectionUnavailable": 7},
    "persistent-failover": {"ModelFailovers": 12},
    "circuit-open-long": {"CircuitOpenSeconds": 1500},
    "budget-refusals": {"BudgetRefusals": 1},
    "errors": {"Errors": 4},
    "throttled": {"Throttles": 2},
    "reconciler-not-running": {"ReconcilerRuns": SILENCE},
    "scaler-not-running": {"ScalerRuns": SILENCE},
    "projector-lag": {"IteratorAge": 900_000},
    "broadcaster-lag": {"IteratorAge": 900_000},
    "failures-kept": {"ApproximateNumberOfMessagesVisible": 1},
    "table-throttled": {"ReadThrottleEvents": 40, "WriteThrottleEvents": 40},
}
"""By symptom."""


@dataclass(frozen=True)
class Usual:
    """What a metric is while everything is well.

    Attributes:
        steady: Mostly.
        rough: Now and then, as nothing is ever quite smooth.
        now_and_then: In which minutes.
        every: It has data only in each so-manieth minute.
    """

    steady: float | None
    rough: float | None = SILENCE
    now_and_then: Callable[[int], bool] = lambda _minute: False
    every: int = 1

    def at(self, minute: int, *, smooth: bool) -> float | None:
        """In a minute."""
        if minute % self.every:
            return SILENCE
        return self.rough if not smooth and self.now_and_then(minute) else self.steady


USUAL: Mapping[str, Usual] = {
    # A lane that is late for a minute once in two hours.
    "ApproximateAgeOfOldestMessage": Usual(4, 9000, lambda minute: minute % 120 == 7),
    "ApproximateNumberOfMessagesVisible": Usual(6, 5000, lambda minute: minute % 120 == 7),
    "NumberOfMessagesDeleted": Usual(600, 20, lambda minute: minute % 120 == 7),
    "TasksSucceeded": Usual(500),
    "TasksDeadLettered": Usual(SILENCE, 4, lambda minute: minute % 3 == 0),
    "Count": Usual(340),
    "5xx": Usual(0, 20, lambda minute: minute % 50 < 2),
    "CanarySucceeded": Usual(3, every=5),
    "CanaryFailed": Usual(SILENCE, 1, lambda minute: minute % 700 == 300),
    "ReadinessFailed": Usual(SILENCE, 1, lambda minute: minute % 300 == 2),
    "ExecutionsFailed": Usual(0, 1, lambda minute: minute % 9 == 0),
    "ProtectionUnavailable": Usual(SILENCE, 4, lambda minute: minute % 600 in (100, 101)),
    "ModelFailovers": Usual(SILENCE, 1, lambda minute: minute % 30 == 4),
    "CircuitOpenSeconds": Usual(SILENCE, 400, lambda minute: minute % 60 > 50),
    "Errors": Usual(0, 2, lambda minute: minute % 40 == 3),
    "Throttles": Usual(0, 5, lambda minute: minute % 30 in (9, 10)),
    "ReconcilerRuns": Usual(1, SILENCE, lambda minute: minute % 47 < 4),
    "ScalerRuns": Usual(1, SILENCE, lambda minute: minute % 47 < 4),
    "IteratorAge": Usual(1800, 400_000, lambda minute: minute % 200 in (17, 18, 19)),
    "ReadThrottleEvents": Usual(SILENCE, 30, lambda minute: minute % 100 < 2),
    "WriteThrottleEvents": Usual(SILENCE, 30, lambda minute: minute % 100 < 2),
    "MessagesUnreadable": Usual(SILENCE),
    "BudgetRefusals": Usual(SILENCE),
}
"""By metric, where there is much to do."""

_SELDOM = ("keeper", "rollup")
_BY_SCHEDULE = ("CanarySucceeded", "ReconcilerRuns", "ScalerRuns")


def good_day(recording: Recording, alarms: Iterable[Alarm], minutes: range) -> None:
    """Writes what all metrics of these alarms are while everything is well, and nothing quite smooth."""
    for series in _series(alarms):
        for minute in minutes:
            _put(recording, series, minute, _usual(series, minute, smooth=False))


def idle_night(recording: Recording, alarms: Iterable[Alarm], minutes: range) -> None:
    """Writes what they are when nobody asks for anything: what runs by schedule runs, and all else is silent."""
    for series in _series(alarms):
        if series.metric in _BY_SCHEDULE:
            for minute in minutes:
                _put(recording, series, minute, USUAL[series.metric].at(minute, smooth=True))


def trouble(recording: Recording, alarms: Mapping[str, Iterable[Alarm]], minutes: range, during: range) -> None:
    """Writes a smooth day in which troubles last for a while.

    Args:
        recording: Where to.
        alarms: Those that have their trouble, by symptom.
        minutes: The day.
        during: The while.
    """
    changed = {
        series: TROUBLES[symptom][series.metric]
        for symptom, troubled in alarms.items()
        for series in _series(troubled)
        if series.metric in TROUBLES[symptom]
    }
    for series in _series(each for troubled in alarms.values() for each in troubled):
        for minute in minutes:
            if series in changed and minute in during:
                _put(recording, series, minute, changed[series])
            else:
                _put(recording, series, minute, _usual(series, minute, smooth=True))


def waiting_on_purpose(recording: Recording, alarms: Iterable[Alarm], minutes: range) -> None:
    """Writes a lane at whose head a delayed task of a session waits for hours, and which has nothing else to do."""
    values = {"ApproximateAgeOfOldestMessage": 40_000, "ApproximateNumberOfMessagesVisible": 0}
    for series in _series(alarms):
        for minute in minutes:
            recording.put(series, minute, values.get(series.metric, 0))


def _series(alarms: Iterable[Alarm]) -> set[Series]:
    return {series for alarm in alarms for series, _ in alarm.inputs.values()}


def _put(recording: Recording, series: Series, minute: int, value: float | None) -> None:
    if value is not SILENCE:
        recording.put(series, minute, value)


def _usual(series: Series, minute: int, *, smooth: bool) -> float | None:
    of = next((value for name, value in series.dimensions if name in ("QueueName", "FunctionName")), "")
    if series.metric == "Errors" and of.endswith(_SELDOM):
        return SILENCE if minute % 60 else 0
    if "dlq" in of or of.endswith("-failures"):
        return 0 if series.metric == "ApproximateNumberOfMessagesVisible" else SILENCE
    return USUAL[series.metric].at(minute, smooth=smooth)
