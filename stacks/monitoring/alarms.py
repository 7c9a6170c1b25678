"""Makes alarms of symptoms, and tells whom it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from cdk_monitoring_constructs import (
    AlarmFactory,
    MonitoringFacade,
    NoopAlarmActionStrategy,
    SnsAlarmActionStrategy,
)
from constructs import Construct

from stacks.monitoring.graphs import metric_of
from stacks.monitoring.symptoms import Symptom, Together

RUNBOOKS = "docs/operations"
"""Where the page of each alarm is, in the repository."""

_COMPARISONS = {
    ">": cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    ">=": cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
    "<": cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
}

_NO_DATA = {
    "notBreaching": cloudwatch.TreatMissingData.NOT_BREACHING,
    "breaching": cloudwatch.TreatMissingData.BREACHING,
}


@dataclass(frozen=True)
class Topics:
    """Who listens.

    Attributes:
        informs: Is told of every alarm, when it is raised and when it is over.
        pages: Is told when somebody has to look at once, and when that is over.
    """

    informs: sns.ITopic
    pages: sns.ITopic


class Alarms(Construct):
    """An alarm for each symptom.

    Attributes:
        raised: By symptom; without those that the place cannot have.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        fleet: str,
        watchlist: Iterable[Symptom | Together],
        topics: Topics,
        facade: MonitoringFacade,
        whole: bool,
    ) -> None:
        """Makes them.

        Args:
            scope: The stack.
            construct_id: In it.
            fleet: Begins every name.
            watchlist: What to make alarms of; parts before what they are part of.
            topics: Who is told.
            facade: Makes alarms of single symptoms.
            whole: Alarms on metric math and composite ones can be had.
        """
        super().__init__(scope, construct_id)
        self._fleet = fleet
        self._factory = facade.create_alarm_factory(fleet)
        self._topics = topics
        self.raised: dict[str, cloudwatch.AlarmBase] = {}
        for each in watchlist:
            if isinstance(each, Together):
                if whole:
                    self.raised[each.key] = self._together(each)
            elif whole or not each.expression:
                self.raised[each.key] = _single(self._factory, fleet, each, topics)

    def _together(self, symptom: Together) -> cloudwatch.CompositeAlarm:
        alarm = cloudwatch.CompositeAlarm(
            self,
            symptom.key,
            composite_alarm_name=f"{self._fleet}-{symptom.key}",
            alarm_description=description(symptom),
            alarm_rule=_any_of(symptom.any_of, self.raised),
        )
        topic = self._topics.pages if symptom.told == "pages" else self._topics.informs
        tell = actions.SnsAction(topic)
        alarm.add_alarm_action(tell)
        alarm.add_ok_action(tell)
        return alarm


def description(symptom: Symptom | Together) -> str:
    """One sentence, and where to read on."""
    return f"{symptom.means} What to do: {RUNBOOKS}/{symptom.runbook}"


def _single(factory: AlarmFactory, fleet: str, symptom: Symptom, topics: Topics) -> cloudwatch.AlarmBase:
    told = SnsAlarmActionStrategy(on_alarm_topic=topics.informs, on_ok_topic=topics.informs)
    made = factory.add_alarm(
        metric_of(symptom.readings, symptom.expression, symptom.period_seconds),
        alarm_name_suffix=symptom.key,
        alarm_name_override=f"{fleet}-{symptom.key}",
        dedupe_string_override=symptom.key,
        alarm_description=symptom.means,
        alarm_description_override=description(symptom),
        comparison_operator=_COMPARISONS[symptom.breaches],
        threshold=symptom.threshold,
        datapoints_to_alarm=symptom.bad,
        evaluation_periods=symptom.periods,
        treat_missing_data=_NO_DATA[symptom.no_data],
        period=cdk.Duration.seconds(symptom.period_seconds),
        action_override=NoopAlarmActionStrategy() if symptom.told == "nobody" else told,
    )
    return made.alarm


def _any_of(any_of: Iterable[Iterable[str]], raised: Mapping[str, cloudwatch.AlarmBase]) -> cloudwatch.IAlarmRule:
    rules = [_all_of([raised[key] for key in keys]) for keys in any_of]
    return rules[0] if len(rules) == 1 else cloudwatch.AlarmRule.any_of(*rules)


def _all_of(alarms: list[cloudwatch.AlarmBase]) -> cloudwatch.IAlarmRule:
    rules = [cloudwatch.AlarmRule.from_alarm(alarm, cloudwatch.AlarmState.ALARM) for alarm in alarms]
    return rules[0] if len(rules) == 1 else cloudwatch.AlarmRule.all_of(*rules)
