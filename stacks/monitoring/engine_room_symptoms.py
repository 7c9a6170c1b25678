"""What serves the work and can fail behind its back: functions, streams, tables, and queues where failures end.

Each function has what tells soonest that it fails, and no second one that tells the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType

from stacks.monitoring.readings import of_function, of_queue, of_table, ours
from stacks.monitoring.symptoms import HOUR, MINUTE, Symptom, Told
from stacks.settings_model import Fleet

TOLD_OTHERWISE = MappingProxyType(
    {
        "api": "api-failing",
        "authorizer": "api-failing",
        "projector": "projector-lag",
        "broadcaster": "broadcaster-lag",
        "recorder": "failures-kept-recorder-failures",
        "reconciler": "reconciler-not-running",
        "scaler": "scaler-not-running",
        "canary": "canary-missing",
    }
)
"""Functions whose errors have no alarm of their own: function → the alarm that is raised by them."""

ONCE_IN_A_WHILE = ("keeper", "rollup")
"""Run by schedule, hourly at the most: a single failure is worth telling."""

_LAG_MS = 300_000
"""Five minutes: lists, webhooks and workflows are mostly a second or two behind."""

_THROTTLED_IN_A_MINUTE = 10
"""Of a table: fewer are the clients' own business, who ask again."""


def functions(fleet: Fleet) -> Iterator[Symptom]:
    """Functions that fail, and functions that may not start."""
    workers = tuple(f"worker-{lane}" for lane in fleet.lanes)
    for name in (*workers, "relay", "triage", "webhook"):
        yield _errors(fleet, name, period_seconds=5 * MINUTE, bad=2, periods=3, threshold=3)
    for name in ONCE_IN_A_WHILE:
        yield _errors(fleet, name, period_seconds=HOUR, bad=1, periods=1, threshold=1)
    # What runs by schedule is throttled on purpose while it still runs, and a throttled read of a stream costs nothing.
    for name in ("api", "authorizer", *workers, "relay", "triage", "webhook", "recorder"):
        yield Symptom(
            name="throttled",
            of=name,
            means=f"Lambda does not let {fleet.name}-{name} start as often as it is asked for.",
            runbook="functions.md#throttled",
            readings=(of_function(f"{fleet.name}-{name}", "Throttles", "Sum"),),
            period_seconds=MINUTE,
            bad=3,
            periods=5,
        )


def schedules(fleet: Fleet) -> Iterator[Symptom]:
    """What has to run again and again, and says so each time."""
    yield _not_running(fleet, "reconciler", "ReconcilerRuns", fleet.reconciler.every_minutes)
    if fleet.scaler.enabled:
        yield _not_running(fleet, "scaler", "ScalerRuns", fleet.scaler.every_minutes)


def streams(fleet: Fleet) -> Iterator[Symptom]:
    """The two that follow the event log."""
    yield _lag(
        fleet, "projector", "Lists, the archive and the reconciler's watchlist are five minutes behind.", "informs"
    )
    # States of workflows wait for what it tells them.
    yield _lag(fleet, "broadcaster", "Webhooks and workflows are told five minutes late.", "pages")


def failure_queues(fleet: Fleet) -> Iterator[Symptom]:
    """Where what was given up is kept, and nothing works it off."""
    for queue in ("projector-failures", "broadcaster-failures", "recorder-failures", "webhooks-dlq"):
        yield Symptom(
            name="failures-kept",
            of=queue,
            means=f"Something was given up: {fleet.name}-{queue} is not empty.",
            runbook="functions.md#failures-kept",
            readings=(of_queue(f"{fleet.name}-{queue}", "ApproximateNumberOfMessagesVisible", "Maximum"),),
            period_seconds=5 * MINUTE,
            bad=1,
            periods=1,
        )


def tables(fleet: Fleet) -> Iterator[Symptom]:
    """Tables that refuse for want of throughput. Two alarms each: either metric is absent as long as it is nought."""
    for table in ("events", "control", "views"):
        for kind, metric in (("reads", "ReadThrottleEvents"), ("writes", "WriteThrottleEvents")):
            yield Symptom(
                name="table-throttled",
                of=f"{table}-{kind}",
                means=f"DynamoDB refuses {kind} of {fleet.name}-{table}.",
                runbook="functions.md#table-throttled",
                readings=(of_table(f"{fleet.name}-{table}", metric),),
                period_seconds=MINUTE,
                bad=3,
                periods=5,
                threshold=_THROTTLED_IN_A_MINUTE,
            )


def _errors(fleet: Fleet, name: str, *, period_seconds: int, bad: int, periods: int, threshold: int) -> Symptom:
    return Symptom(
        name="errors",
        of=name,
        means=f"Invocations of {fleet.name}-{name} crash or run out of time.",
        runbook="functions.md#errors",
        readings=(of_function(f"{fleet.name}-{name}", "Errors", "Sum"),),
        period_seconds=period_seconds,
        bad=bad,
        periods=periods,
        threshold=threshold,
    )


def _not_running(fleet: Fleet, function: str, metric: str, every_minutes: int) -> Symptom:
    return Symptom(
        name=f"{function}-not-running",
        means=f"The {function} has not come to the end of a run ten times in a row.",
        runbook=f"functions.md#{function}-not-running",
        readings=(ours(fleet.name, metric),),
        period_seconds=5 * every_minutes * MINUTE,
        bad=2,
        periods=2,
        breaches="<",
        # It counts its runs, and when it does not run it does not say so.
        no_data="breaching",
    )


def _lag(fleet: Fleet, function: str, means: str, told: Told) -> Symptom:
    return Symptom(
        name=f"{function}-lag",
        means=means,
        runbook=f"functions.md#{function}-lag",
        readings=(of_function(f"{fleet.name}-{function}", "IteratorAge", "Maximum"),),
        period_seconds=MINUTE,
        bad=5,
        periods=5,
        threshold=_LAG_MS,
        told=told,
    )
