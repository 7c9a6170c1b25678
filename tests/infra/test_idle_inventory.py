"""What an idle fleet is said to have is what the templates have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from stacks.config import load
from stacks.idle_inventory import idle_of
from tests.synthesis import REPOSITORY, Templates

IDLE = idle_of(load(REPOSITORY / "fleet.toml"))


def resources(templates: Templates, kind: str) -> Iterator[dict[str, Any]]:
    for path in templates.directory.glob("*.template.json"):
        stack = templates[path.name.removesuffix(".template.json")]
        for resource in stack["Resources"].values():
            if resource["Type"] == kind:
                yield resource["Properties"]


def test_every_queue_that_lambda_polls_is_counted(templates: Templates) -> None:
    polled = [
        properties
        for properties in resources(templates, "AWS::Lambda::EventSourceMapping")
        if "StartingPosition" not in properties
    ]
    assert len(polled) == IDLE.polled_fifo_queues + IDLE.polled_standard_queues


def test_every_schedule_is_counted_with_its_period(templates: Templates) -> None:
    minutes = {"minute": 1, "hour": 60, "day": 1440}
    periods = sorted(
        1 / (int(found[1]) * minutes[found[2]])
        for rule in resources(templates, "AWS::Events::Rule")
        if "ScheduleExpression" in rule
        and (found := re.fullmatch(r"rate\((\d+) (minute|hour|day)s?\)", rule["ScheduleExpression"]))
    )
    assert periods == sorted(IDLE.schedules.values())


def test_every_alarm_and_every_metric_that_it_looks_at_is_counted(templates: Templates) -> None:
    alarms = list(resources(templates, "AWS::CloudWatch::Alarm"))
    metrics = sum(
        len([each for each in alarm["Metrics"] if "MetricStat" in each]) if "Metrics" in alarm else 1
        for alarm in alarms
    )
    assert (len(alarms), metrics) == (IDLE.alarms, IDLE.alarm_metrics)
    assert len(list(resources(templates, "AWS::CloudWatch::CompositeAlarm"))) == IDLE.composite_alarms
    assert len(list(resources(templates, "AWS::CloudWatch::Dashboard"))) == IDLE.dashboards


def test_nothing_is_paid_by_the_hour_that_is_not_counted(templates: Templates) -> None:
    for kind in ("AWS::KMS::Key", "AWS::EC2::NatGateway", "AWS::ElastiCache::CacheCluster", "AWS::RDS::DBInstance"):
        assert not list(resources(templates, kind)), kind
    assert len(list(resources(templates, "AWS::SecretsManager::Secret"))) == IDLE.secrets
