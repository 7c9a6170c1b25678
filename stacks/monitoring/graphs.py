"""Readings as the CDK has metrics, and groups of them as graphs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from cdk_monitoring_constructs import CustomMetricGroup, MonitoringFacade

from stacks.monitoring.readings import NAMESPACE, Reading, Statistic

PERIOD_SECONDS = 300
"""Of a point in a graph, where nothing else is said; CloudWatch takes longer ones for longer times."""

Drawn = cloudwatch.Metric | cloudwatch.MathExpression


@dataclass(frozen=True)
class Graph:
    """One graph.

    Attributes:
        lines: What it shows.
        marks: Values that mean something, by what they mean.
    """

    title: str
    lines: Sequence[Drawn]
    marks: dict[str, float] = field(default_factory=dict)


def drawn(reading: Reading, period_seconds: int = PERIOD_SECONDS) -> cloudwatch.Metric:
    """A reading as a line of a graph."""
    return cloudwatch.Metric(
        namespace=reading.namespace,
        metric_name=reading.metric,
        dimensions_map=dict(reading.dimensions),
        statistic=reading.statistic,
        period=cdk.Duration.seconds(period_seconds),
        label=reading.label or None,
    )


def metric_of(readings: Sequence[Reading], expression: str, period_seconds: int) -> Drawn:
    """What an alarm compares: a metric, or an expression of several."""
    if not expression:
        (only,) = readings
        # With a label it would be metric math, which the engine does not take.
        return drawn(only.labelled(""), period_seconds)
    return calculated(expression, readings, period_seconds=period_seconds)


def calculated(
    expression: str, readings: Sequence[Reading], *, label: str = "", period_seconds: int = PERIOD_SECONDS
) -> cloudwatch.MathExpression:
    """An expression in CloudWatch's metric math, of the readings' ids."""
    return cloudwatch.MathExpression(
        expression=expression,
        using_metrics={reading.id: drawn(reading, period_seconds) for reading in readings},
        period=cdk.Duration.seconds(period_seconds),
        label=label or expression,
    )


def found(
    fleet: str, metric: str, by: str, statistic: Statistic = "Sum", period_seconds: int = PERIOD_SECONDS
) -> cloudwatch.MathExpression:
    """A line for each value of a dimension of our own metrics that there is, known today or not."""
    query = f'{{{NAMESPACE},Fleet,{by.capitalize()}}} MetricName="{metric}" Fleet="{fleet}"'
    return cloudwatch.MathExpression(
        expression=f"SEARCH('{query}', '{statistic}', {period_seconds})",
        using_metrics={},
        period=cdk.Duration.seconds(period_seconds),
        label="",
    )


def draw(facade: MonitoringFacade, section: str, *graphs: Graph) -> None:
    """Puts graphs onto a dashboard, beside each other under a heading."""
    facade.monitor_custom(
        human_readable_name=section,
        alarm_friendly_name=section.replace(" ", "-"),
        metric_groups=[
            CustomMetricGroup(
                title=graph.title,
                metrics=list(graph.lines),
                horizontal_annotations=[
                    cloudwatch.HorizontalAnnotation(value=value, label=label) for label, value in graph.marks.items()
                ],
            )
            for graph in graphs
        ],
    )
