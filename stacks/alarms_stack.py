"""The alarms on what protects the fleet, and the topic that tells of them.

Each alarm names the page of `docs/operations/` that says what it means and what to do. None of them says that work was
lost: that cannot be, and what fails is a dead letter.
"""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_sns as sns
from aws_cdk.aws_sns_subscriptions import EmailSubscription
from constructs import Construct

from stacks.settings_model import Fleet

NAMESPACE = "Flotilla"
"""Where the functions' embedded metrics are kept; `flotilla.runtime.metrics` writes them."""

RUNBOOK = "docs/operations/protection.md"


@dataclass(frozen=True)
class Symptom:
    """What an alarm is raised by: the metric counted anything in so many of so many periods in a row."""

    name: str
    metric: str
    period_minutes: int
    periods: int
    of: int
    means: str


SYMPTOMS = (
    Symptom(
        name="protection-unavailable",
        metric="ProtectionUnavailable",
        period_minutes=1,
        periods=3,
        of=5,
        means="Circuits, limits or budgets cannot be read or written: calls go on without them.",
    ),
    Symptom(
        name="persistent-failover",
        metric="ModelFailovers",
        period_minutes=5,
        periods=3,
        of=3,
        means="For a quarter of an hour a model other than the first of its route has served.",
    ),
)


class AlarmsStack(cdk.Stack):
    """Alarms, and a topic `<fleet>-alarms` that is told when one is raised and when it is over."""

    def __init__(self, scope: Construct, construct_id: str, *, fleet: Fleet) -> None:
        super().__init__(scope, construct_id, description=f"{fleet.name}: alarms")
        topic = sns.Topic(
            self,
            "Topic",
            topic_name=f"{fleet.name}-alarms",
            display_name=f"Alarms of {fleet.name}",
            enforce_ssl=True,
        )
        for address in fleet.alarms.emails:
            topic.add_subscription(EmailSubscription(address))
        cdk.CfnOutput(self, "AlarmsTopic", value=topic.topic_arn)
        tell = actions.SnsAction(topic)
        for symptom in SYMPTOMS:
            alarm = self._alarm(fleet, symptom)
            alarm.add_alarm_action(tell)
            alarm.add_ok_action(tell)

    def _alarm(self, fleet: Fleet, symptom: Symptom) -> cloudwatch.Alarm:
        metric = cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=symptom.metric,
            dimensions_map={"Fleet": fleet.name},
            statistic=cloudwatch.Stats.SUM,
            period=cdk.Duration.minutes(symptom.period_minutes),
        )
        return cloudwatch.Alarm(
            self,
            symptom.metric,
            alarm_name=f"{fleet.name}-{symptom.name}",
            alarm_description=f"{symptom.means} What to do: {RUNBOOK}#{symptom.name}",
            metric=metric,
            threshold=1,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=symptom.of,
            datapoints_to_alarm=symptom.periods,
            # What counts nothing writes nothing.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
