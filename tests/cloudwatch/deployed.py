"""The alarms of synthesized templates, run over recorded series as CloudWatch would run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tests.cloudwatch.alarm_rule import alarms_in, holds
from tests.cloudwatch.alarm_state import EXTRA_PERIODS, Point, State, state
from tests.cloudwatch.metric_math import Expression
from tests.cloudwatch.recorded import MINUTE, Recording, Series
from tests.synthesis import Templates

_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "GreaterThanThreshold": lambda value, threshold: value > threshold,
    "GreaterThanOrEqualToThreshold": lambda value, threshold: value >= threshold,
    "LessThanThreshold": lambda value, threshold: value < threshold,
    "LessThanOrEqualToThreshold": lambda value, threshold: value <= threshold,
}


@dataclass(frozen=True)
class Alarm:
    """A metric alarm.

    Attributes:
        properties: As in the template, references resolved.
    """

    properties: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.properties["AlarmName"])

    @property
    def inputs(self) -> dict[str, tuple[Series, str]]:
        """The metrics it reads and their statistics, by what its expression calls them."""
        if "Metrics" not in self.properties:
            return {"m": (Series.of(self.properties), self.properties.get("Statistic") or self._extended)}
        found = [(each["Id"], each["MetricStat"]) for each in self.properties["Metrics"] if "MetricStat" in each]
        return {name: (Series.of(stat["Metric"]), stat["Stat"]) for name, stat in found}

    @property
    def period_seconds(self) -> int:
        """Of all of them."""
        if "Metrics" not in self.properties:
            return int(self.properties["Period"])
        (period,) = {each["MetricStat"]["Period"] for each in self.properties["Metrics"] if "MetricStat" in each}
        return int(period)

    @property
    def periods(self) -> int:
        """How many it looks at."""
        return int(self.properties["EvaluationPeriods"])

    @property
    def expression(self) -> str:
        """What is compared."""
        if "Metrics" not in self.properties:
            return "m"
        (returned,) = [each for each in self.properties["Metrics"] if each.get("ReturnData", True)]
        return str(returned.get("Expression", returned["Id"]))

    def breaches(self, value: float) -> bool:
        """Whether a value is beyond the threshold."""
        return _COMPARE[self.properties["ComparisonOperator"]](value, float(self.properties["Threshold"]))

    @property
    def _extended(self) -> str:
        return str(self.properties["ExtendedStatistic"])


class Run:
    """An alarm, minute by minute, over a recording.

    Attributes:
        state: The one it is in.
    """

    def __init__(self, alarm: Alarm, recording: Recording, *, absent_is_zero: bool = True) -> None:
        self._alarm = alarm
        self._recording = recording
        self._expression = Expression(alarm.expression, absent_is_zero)
        self._inputs = alarm.inputs
        self._points: dict[int, Point] = {}
        self.state: State = "OK"

    def at(self, minute: int) -> State:
        """The state it comes into when `minute` begins."""
        length = self._alarm.period_seconds // MINUTE
        # Periods begin at multiples of their length.
        last = minute - minute % length
        ends = range(last - length * (self._alarm.periods + EXTRA_PERIODS - 1), last + 1, length)
        self.state = state(
            [self._point(end) for end in ends],
            bad=int(self._alarm.properties["DatapointsToAlarm"]),
            periods=self._alarm.periods,
            missing=self._alarm.properties["TreatMissingData"],
            now=self.state,
        )
        return self.state

    def _point(self, end: int) -> Point:
        if end not in self._points:
            self._points[end] = self._computed(end)
        return self._points[end]

    def _computed(self, end: int) -> Point:
        values = {
            name: self._recording.statistic(series, statistic, self._alarm.period_seconds, end)
            for name, (series, statistic) in self._inputs.items()
        }
        # There is a result only where a series has something.
        value = None if all(each is None for each in values.values()) else self._expression.at(values)
        return None if value is None else self._alarm.breaches(value)


@dataclass(frozen=True)
class Composite:
    """A composite alarm."""

    properties: dict[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.properties["AlarmName"])

    @property
    def rule(self) -> str:
        """Its rule, with the alarms' names for their ARNs."""
        return str(self.properties["AlarmRule"])

    @property
    def children(self) -> set[str]:
        """The alarms it is made of."""
        return {_name(each) for each in alarms_in(self.rule)}

    def state(self, states: dict[str, State]) -> State:
        """The state it comes into when its children are in these."""
        return "ALARM" if holds(self.rule, lambda alarm: states[_name(alarm)]) else "OK"


def alarms_of(templates: Templates) -> dict[str, Alarm]:
    """All metric alarms, by name."""
    return {each.name: each for each in map(Alarm, _properties(templates, "AWS::CloudWatch::Alarm"))}


def composites_of(templates: Templates) -> dict[str, Composite]:
    """All composite alarms, by name."""
    return {each.name: each for each in map(Composite, _properties(templates, "AWS::CloudWatch::CompositeAlarm"))}


def _properties(templates: Templates, kind: str) -> Iterable[dict[str, Any]]:
    return [each.properties for each in templates.resources(kind)]


def _name(alarm: str) -> str:
    return alarm.rsplit(":", 1)[-1]
