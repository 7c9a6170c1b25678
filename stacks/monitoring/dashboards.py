"""The dashboards: what is wrong in one look; lanes and agents; dependencies and cost.

Three, because an account has three for nothing and each further one costs. Lines of agents, models, integrations and
circuits are searched for, so that what comes later is drawn without a deployment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from cdk_monitoring_constructs import DefaultDashboardFactory, MonitoringFacade
from constructs import Construct

from stacks.monitoring.graphs import Graph, calculated, draw, drawn, found
from stacks.monitoring.readings import Reading, of_api, of_function, of_queue, of_table, ours
from stacks.settings_model import Fleet, Lane

_DAY = 86_400


def dashboard(scope: Construct, construct_id: str, name: str, *, shown: cdk.Duration) -> MonitoringFacade:
    """An empty dashboard; what is monitored by the facade is drawn on it.

    Args:
        scope: The stack.
        construct_id: In it.
        name: Of the dashboard.
        shown: How long a time it shows at first.
    """
    factory = DefaultDashboardFactory(
        scope, f"{construct_id}Dashboard", dashboard_name_prefix=name, detail_dashboard_range=shown
    )
    return MonitoringFacade(scope, construct_id, dashboard_factory=factory)


def undrawn(scope: Construct, construct_id: str) -> MonitoringFacade:
    """A facade without a dashboard, which makes alarms only."""
    factory = DefaultDashboardFactory(
        scope, f"{construct_id}Dashboard", dashboard_name_prefix="none", create_dashboard=False
    )
    return MonitoringFacade(scope, construct_id, dashboard_factory=factory)


def draw_overview(
    facade: MonitoringFacade, fleet: Fleet, *, api_id: str, alarms: Mapping[str, cloudwatch.AlarmBase]
) -> None:
    """What is wrong, and whether work gets done."""
    facade.add_large_header(f"{fleet.name}: what is wrong")
    facade.add_widget(
        cloudwatch.AlarmStatusWidget(
            title="Alarms, raised ones first",
            alarms=list(alarms.values()),
            sort_by=cloudwatch.AlarmStatusWidgetSortBy.STATE_UPDATED_TIMESTAMP,
            width=24,
            height=6,
        )
    )
    name = fleet.name
    lanes = tuple(fleet.lanes)
    draw(
        facade,
        "Work",
        Graph(
            "Oldest message of each lane, s",
            [drawn(_of_lane(name, lane, "ApproximateAgeOfOldestMessage").labelled(lane), 60) for lane in lanes],
            {f"objective of {lane}": settings.objective_seconds for lane, settings in fleet.lanes.items()},
        ),
        Graph(
            "Tasks that ended",
            [drawn(ours(name, each)) for each in ("TasksSucceeded", "TasksDeadLettered", "TasksExpired")],
        ),
        Graph("Share that succeeded, %", [_success_rate(name)]),
    )
    draw(
        facade,
        "Front door",
        Graph("Requests", [drawn(of_api(api_id, each, "Sum")) for each in ("Count", "4xx", "5xx")]),
        Graph("Latency, ms", [drawn(of_api(api_id, "Latency", each).labelled(each)) for each in ("p50", "p99")]),
        Graph("Canaries", [drawn(ours(name, each)) for each in ("CanarySucceeded", "CanaryFailed")]),
        Graph("Canaries from end to end, ms", [found(name, "CanaryLatency", "lane", "Maximum")]),
    )
    draw(
        facade,
        "Held back",
        Graph("Circuits that are not closed, s", [found(name, "CircuitOpenSeconds", "circuit", "Maximum")]),
        Graph(
            "Calls refused by circuits, limits, budgets",
            [drawn(ours(name, each)) for each in ("CallsRefused", "LimitRefusals", "BudgetRefusals")],
        ),
        Graph("Without protection", [drawn(ours(name, "ProtectionUnavailable"))]),
    )
    functions = ("api", "authorizer", *(f"worker-{lane}" for lane in lanes))
    draw(
        facade,
        "Engine room",
        Graph("Throttled", [drawn(of_function(f"{name}-{each}", "Throttles", "Sum")) for each in functions]),
        Graph(
            "Behind the event log, ms",
            [drawn(of_function(f"{name}-{each}", "IteratorAge", "Maximum")) for each in ("projector", "broadcaster")],
        ),
        Graph("Looked after", [drawn(ours(name, each)) for each in ("ReconcilerRuns", "ScalerRuns")]),
    )


def draw_lanes_and_agents(facade: MonitoringFacade, fleet: Fleet) -> None:
    """A section for each lane, and one for all agents."""
    facade.add_large_header(f"{fleet.name}: lanes and agents")
    for lane, settings in fleet.lanes.items():
        draw(facade, f"Lane {lane}", *_lane(fleet.name, lane, settings))
    name = fleet.name
    draw(
        facade,
        "Agents",
        Graph("Attempts, p50 ms", [found(name, "AttemptDuration", "agent", "p50")]),
        Graph("Attempts, p95 ms", [found(name, "AttemptDuration", "agent", "p95")]),
        Graph("From due to done, p95 ms", [found(name, "EndToEnd", "agent", "p95")]),
        Graph("Succeeded", [found(name, "TasksSucceeded", "agent")]),
        Graph("Dead-lettered", [found(name, "TasksDeadLettered", "agent")]),
        Graph("Attempts that failed", [found(name, "AttemptsFailed", "agent")]),
    )


def draw_dependencies_and_cost(facade: MonitoringFacade, fleet: Fleet) -> None:
    """What the fleet calls, what it stores in, and what that costs."""
    facade.add_large_header(f"{fleet.name}: dependencies and cost")
    name = fleet.name
    draw(
        facade,
        "Integrations",
        Graph("Calls", [found(name, "IntegrationCalls", "integration")]),
        Graph("Errors", [found(name, "IntegrationErrors", "integration")]),
        Graph("p95, ms", [found(name, "IntegrationLatency", "integration", "p95")]),
    )
    draw(
        facade,
        "Models",
        Graph("Calls", [found(name, "ModelCalls", "model")]),
        Graph("Errors", [found(name, "ModelErrors", "model")]),
        Graph("p95, ms", [found(name, "ModelLatency", "model", "p95")]),
        Graph("Served by another than the first of the route", [found(name, "ModelFailovers", "route")]),
        Graph("Tokens", [found(name, each, "model") for each in ("InputTokens", "OutputTokens")]),
    )
    draw(
        facade,
        "Circuits and limits",
        Graph("Calls refused by circuits", [found(name, "CallsRefused", "circuit")]),
        Graph("Opened", [found(name, "CircuitOpened", "circuit")]),
        Graph("Refused by limits", [found(name, "LimitRefusals", "limit")]),
    )
    draw(
        facade,
        "Tables",
        Graph("Writes refused", [drawn(of_table(table, "WriteThrottleEvents")) for table in _tables(name)]),
        Graph("Reads refused", [drawn(of_table(table, "ReadThrottleEvents")) for table in _tables(name)]),
    )
    draw(facade, "Cost, by the day", *_cost(fleet))


def _of_lane(fleet: str, lane: str, metric: str) -> Reading:
    return of_queue(f"{fleet}-{lane}.fifo", metric, "Maximum")


def _tables(fleet: str) -> Sequence[str]:
    return [f"{fleet}-{table}" for table in ("events", "control", "views")]


def _success_rate(fleet: str) -> cloudwatch.MathExpression:
    ended = [
        ours(fleet, "TasksSucceeded").called("succeeded"),
        ours(fleet, "TasksDeadLettered").called("died"),
        ours(fleet, "TasksExpired").called("expired"),
    ]
    return calculated(
        "100 * FILL(succeeded, 0) / (FILL(succeeded, 0) + FILL(died, 0) + FILL(expired, 0))", ended, label="succeeded"
    )


def _lane(fleet: str, lane: str, settings: Lane) -> Sequence[Graph]:
    worker = f"{fleet}-worker-{lane}"
    delays = [
        drawn(ours(fleet, "QueueDelay", each, lane=lane).labelled(f"{each} until started"), 60)
        for each in ("p50", "p95", "p99")
    ]
    held = [drawn(ours(fleet, each, "Maximum", lane=lane), 60) for each in ("LaneConcurrency", "LaneReserved")]
    return (
        Graph(
            "Oldest message, s",
            [drawn(_of_lane(fleet, lane, "ApproximateAgeOfOldestMessage").labelled("oldest"), 60)],
            {"objective": settings.objective_seconds},
        ),
        Graph(
            "Messages",
            [
                drawn(_of_lane(fleet, lane, "ApproximateNumberOfMessagesVisible").labelled("waiting"), 60),
                drawn(_of_lane(fleet, lane, "ApproximateNumberOfMessagesNotVisible").labelled("in flight"), 60),
            ],
        ),
        Graph("From due to started, ms", delays, {"objective": settings.objective_seconds * 1000}),
        Graph(
            "Tasks",
            [
                drawn(ours(fleet, each, lane=lane))
                for each in ("TasksSucceeded", "TasksDeadLettered", "AttemptsFailed", "TasksParked")
            ],
        ),
        Graph(
            "Invocations at once",
            [drawn(of_function(worker, "ConcurrentExecutions", "Maximum").labelled("running"), 60), *held],
            {"maximum": settings.maximum_concurrency},
        ),
        Graph("Tasks of an invocation", [drawn(ours(fleet, "BatchTasks", "Average", lane=lane))]),
        Graph(
            "Peak memory, MB",
            [drawn(ours(fleet, "PeakMemory", "Maximum", lane=lane))],
            {"has": settings.memory_mb},
        ),
    )


def _cost(fleet: Fleet) -> Sequence[Graph]:
    name = fleet.name
    compute = [
        calculated(
            f"FILL(ms_{key}, 0) / 1000 * {lane.memory_mb / 1024:g}",
            [of_function(f"{name}-worker-{key}", "Duration", "Sum").called(f"ms_{key}")],
            label=f"worker-{key}",
            period_seconds=_DAY,
        )
        for key, lane in fleet.lanes.items()
    ]
    invocations = [
        drawn(of_function(f"{name}-{each}", "Invocations", "Sum"), _DAY)
        for each in ("api", *(f"worker-{lane}" for lane in fleet.lanes), "projector", "broadcaster")
    ]
    writes = [
        drawn(of_table(table, metric).labelled(f"{table} {kind}"), _DAY)
        for table in _tables(name)
        for kind, metric in (("writes", "ConsumedWriteCapacityUnits"), ("reads", "ConsumedReadCapacityUnits"))
    ]
    return (
        Graph("Dollars, by agent", [found(name, "CostUsd", "agent", period_seconds=_DAY)]),
        Graph("Dollars, by class of tenant", [found(name, "CostUsd", "class", period_seconds=_DAY)]),
        Graph("Dollars of models", [found(name, "ModelCostUsd", "model", period_seconds=_DAY)]),
        Graph("GB-seconds of workers", compute),
        Graph("Invocations", invocations),
        Graph("Units of tables", writes),
        Graph(
            "Metrics of our own that have data, each $0.30 a month",
            [
                cloudwatch.MathExpression(
                    expression=f"SUM(SEARCH('Namespace=\"Flotilla\" Fleet=\"{name}\"', 'SampleCount', {_DAY}) > 0)",
                    using_metrics={},
                    label="series",
                )
            ],
        ),
    )
