"""Metrics, as alarms and dashboards read them: by name alone, so that no stack depends on another for being watched."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

Statistic = Literal["Sum", "Maximum", "Average", "SampleCount", "p50", "p90", "p95", "p99"]

NAMESPACE = "Flotilla"
"""Where the functions' embedded metrics are kept; `flotilla.runtime.metrics` writes them."""


@dataclass(frozen=True)
class Reading:
    """One metric and what is taken of its values in each period.

    Attributes:
        id: What an expression calls it.
        dimensions: Names and values.
        label: What a graph calls it.
    """

    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    statistic: Statistic
    id: str = "m"
    label: str = ""

    def called(self, name: str) -> Reading:
        """The same under another name, for an expression."""
        return replace(self, id=name)

    def labelled(self, label: str) -> Reading:
        """The same with a label, for a graph."""
        return replace(self, label=label)


def ours(fleet: str, metric: str, statistic: Statistic = "Sum", **dimension: str) -> Reading:
    """A metric of the functions' own, of the whole fleet or of one value of a dimension."""
    of = tuple((name.capitalize(), value) for name, value in dimension.items())
    return Reading(NAMESPACE, metric, (("Fleet", fleet), *of), statistic, label=metric)


def of_queue(queue: str, metric: str, statistic: Statistic) -> Reading:
    """A metric of an SQS queue."""
    return Reading("AWS/SQS", metric, (("QueueName", queue),), statistic, label=queue)


def of_function(function: str, metric: str, statistic: Statistic) -> Reading:
    """A metric of a Lambda function."""
    return Reading("AWS/Lambda", metric, (("FunctionName", function),), statistic, label=function)


def of_table(table: str, metric: str, statistic: Statistic = "Sum") -> Reading:
    """A metric of a DynamoDB table, its indexes aside."""
    return Reading("AWS/DynamoDB", metric, (("TableName", table),), statistic, label=table)


def of_api(api_id: str, metric: str, statistic: Statistic) -> Reading:
    """A metric of the HTTP API."""
    return Reading("AWS/ApiGateway", metric, (("ApiId", api_id),), statistic, label=metric)


def of_machine(arn: str, metric: str, label: str) -> Reading:
    """How many executions of a state machine."""
    return Reading("AWS/States", metric, (("StateMachineArn", arn),), "Sum", label=label)
