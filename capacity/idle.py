"""What a fleet costs a month in which nothing is done, item by item.

Storage is not in it: it follows from what was done before. All is at list price; what AWS gives every account for
nothing, for ever, is said beside it, for an account that has nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from capacity import prices, task_units
from capacity.fleet_shape import MILLION, MINUTES_IN_MONTH, SECONDS_IN_MONTH, FleetShape

POLLERS = 5
"""Long polls of a queue at once, by which Lambda looks whether there is something."""

POLL_SECONDS = 20

RUN_READ_UNITS = 10
"""Of the tables, of one run of a function on a schedule; roughly."""


@dataclass(frozen=True, slots=True)
class IdleItem:
    """One item: what it is, how it comes about, its dollars a month, and how many of them no account is billed."""

    what: str
    how: str
    dollars: float
    allowance: float = 0.0


def idle_items(fleet: FleetShape) -> list[IdleItem]:
    """All of them that cost anything, the dearest first."""
    return sorted((item for item in _items(fleet) if item.dollars > 0), key=lambda item: -item.dollars)


def _items(fleet: FleetShape) -> Iterator[IdleItem]:
    idle, price = fleet.idle, prices.LAMBDA_GB_SECONDS[fleet.architecture]
    polls = POLLERS * SECONDS_IN_MONTH / POLL_SECONDS
    for kind, queues, each, free in (
        ("FIFO", idle.polled_fifo_queues, prices.SQS_FIFO_REQUESTS, prices.FREE_SQS_REQUESTS),
        ("standard", idle.polled_standard_queues, prices.SQS_STANDARD_REQUESTS, 0),
    ):
        how = f"{queues} x {POLLERS} long polls of {POLL_SECONDS} s, by Lambda's event sources"
        requests = queues * polls
        yield IdleItem(
            f"SQS: polls of {kind} queues", how, requests * each / MILLION, min(requests, free) * each / MILLION
        )
    for name, runs in idle.schedules.items():
        month = runs * MINUTES_IN_MONTH
        one = (
            prices.LAMBDA_REQUESTS
            + idle.gigabyte_seconds.get(name, 0.0) * price
            + RUN_READ_UNITS * prices.READ_UNITS
            + idle.queue_calls.get(name, 0) * prices.SQS_FIFO_REQUESTS
        )
        yield IdleItem(f"Lambda: {name}", f"{month:,.0f} runs", month * one / MILLION)
    for name, metrics in idle.metrics_got.items():
        month = idle.schedules.get(name, 0.0) * MINUTES_IN_MONTH * metrics
        how = f"{month:,.0f} metrics that {name} asks for"
        yield IdleItem("CloudWatch: GetMetricData", how, month * prices.METRICS_GOT / MILLION)
    tasks = idle.canary_tasks_per_minute * MINUTES_IN_MONTH
    way = task_units.Way(
        batch=1, seconds=0.0, stream_lanes=1, records_per_second=max(tasks * 3 / SECONDS_IN_MONTH, 1e-6)
    )
    yield IdleItem("canary tasks", f"{tasks:,.0f} tasks", tasks * task_units.dollars_per_million(way) / MILLION)
    yield IdleItem(
        "CloudWatch: alarms",
        f"{idle.alarms} alarms on {idle.alarm_metrics} metrics",
        idle.alarm_metrics * prices.ALARM_METRIC_MONTHS,
        min(idle.alarm_metrics, prices.FREE_ALARM_METRICS) * prices.ALARM_METRIC_MONTHS,
    )
    composite = idle.composite_alarms * prices.COMPOSITE_ALARM_MONTHS
    yield IdleItem("CloudWatch: composite alarms", f"{idle.composite_alarms}", composite)
    yield IdleItem(
        "CloudWatch: dashboards",
        f"{idle.dashboards}",
        idle.dashboards * prices.DASHBOARD_MONTHS,
        min(idle.dashboards, prices.FREE_DASHBOARDS) * prices.DASHBOARD_MONTHS,
    )
    yield IdleItem(
        "CloudWatch: custom metrics",
        f"{idle.custom_metrics} that have data in every hour",
        idle.custom_metrics * prices.METRIC_MONTHS,
        min(idle.custom_metrics, prices.FREE_METRICS) * prices.METRIC_MONTHS,
    )
    yield IdleItem("Secrets Manager: secrets", f"{idle.secrets}", idle.secrets * prices.SECRET_MONTHS)
    provisioned = prices.LAMBDA_PROVISIONED_GB_SECONDS[fleet.architecture]
    yield IdleItem(
        "Lambda: provisioned concurrency",
        f"{idle.provisioned_gb:g} GB kept warm",
        idle.provisioned_gb * SECONDS_IN_MONTH * provisioned / MILLION,
    )
