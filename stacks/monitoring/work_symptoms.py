"""Work that fails, is held back, or is refused: what the functions themselves count."""

from __future__ import annotations

from collections.abc import Iterator

from stacks.monitoring.readings import of_api, of_machine, of_queue, ours
from stacks.monitoring.symptoms import MINUTE, Symptom
from stacks.settings_model import Fleet

_TRIAGE_SECONDS = 1800
"""Longer than a lease can last and a message be hidden: until then the triage waits on purpose."""

_OPEN_SECONDS = 900
"""A quarter of an hour: many times the longest cooldown after which a circuit tries again."""


def dead_letters(fleet: Fleet) -> Iterator[Symptom]:
    """Tasks that die, by their number and by their share of what ends: neither a lone one nor one in a thousand.

    The sum over both is there when one of them is; where all tasks die, none succeeds and none is counted to.
    """
    died = ours(fleet.name, "TasksDeadLettered").called("died")
    succeeded = ours(fleet.name, "TasksSucceeded").called("succeeded")
    yield Symptom(
        name="dead-letters-rising",
        means="More than one task in twenty is dead-lettered.",
        runbook="dead-letters.md#dead-letters-rising",
        readings=(died, succeeded),
        expression="IF(died >= 5 AND died * 20 > SUM([died, succeeded]), 1, 0)",
        period_seconds=5 * MINUTE,
        bad=2,
        periods=3,
    )
    yield Symptom(
        name="tasks-dying",
        means="More than one task in five is dead-lettered, twenty and more in five minutes.",
        runbook="dead-letters.md#tasks-dying",
        readings=(died, succeeded),
        expression="IF(died >= 20 AND died * 5 > SUM([died, succeeded]), 1, 0)",
        period_seconds=5 * MINUTE,
        bad=3,
        periods=3,
        told="pages",
    )
    yield Symptom(
        name="messages-unreadable",
        means="A message was found that is no task's, or whose task's log is corrupt.",
        runbook="dead-letters.md#messages-unreadable",
        readings=(ours(fleet.name, "MessagesUnreadable"),),
        period_seconds=5 * MINUTE,
        bad=1,
        periods=1,
    )
    # The ladder's own is named "delays", which no lane can be.
    for name in (*fleet.lanes, "delays"):
        yield Symptom(
            name="triage-stuck",
            of=name,
            means=f"The triage has not worked off the dead letter queue of {name} for half an hour.",
            runbook="dead-letters.md#triage-stuck",
            readings=(of_queue(f"{fleet.name}-{name}-dlq.fifo", "ApproximateAgeOfOldestMessage", "Maximum"),),
            period_seconds=5 * MINUTE,
            bad=2,
            periods=2,
            breaches=">",
            threshold=_TRIAGE_SECONDS,
        )


def protection(fleet: Fleet) -> Iterator[Symptom]:
    """Circuits, models, budgets, and the store in which they are kept."""
    yield Symptom(
        name="protection-unavailable",
        means="Circuits, limits or budgets cannot be read or written: calls go on without them.",
        runbook="protection.md#protection-unavailable",
        readings=(ours(fleet.name, "ProtectionUnavailable"),),
        period_seconds=MINUTE,
        bad=3,
        periods=5,
    )
    yield Symptom(
        name="persistent-failover",
        means="For a quarter of an hour a model other than the first of its route has served.",
        runbook="protection.md#persistent-failover",
        readings=(ours(fleet.name, "ModelFailovers"),),
        period_seconds=5 * MINUTE,
        bad=3,
        periods=3,
    )
    yield Symptom(
        name="circuit-open-long",
        means="A circuit has been open for more than a quarter of an hour.",
        runbook="protection.md#circuit-open-long",
        # The reconciler says of each circuit that is not closed for how long, whether anybody calls or not.
        readings=(ours(fleet.name, "CircuitOpenSeconds", "Maximum"),),
        period_seconds=5 * MINUTE,
        bad=2,
        periods=2,
        breaches=">",
        threshold=_OPEN_SECONDS,
    )
    yield Symptom(
        name="budget-refusals",
        means="Model calls are refused or wait, as a budget is spent.",
        runbook="protection.md#budget-refusals",
        readings=(ours(fleet.name, "BudgetRefusals"),),
        period_seconds=15 * MINUTE,
        bad=1,
        periods=1,
    )


def front_door(fleet: Fleet, api_id: str) -> Iterator[Symptom]:
    """The API, and the canaries that go all the way through it."""
    yield Symptom(
        name="api-failing",
        means="More than one request in twenty is answered 5xx.",
        runbook="api-and-canary.md#api-failing",
        readings=(of_api(api_id, "5xx", "Sum").called("errors"), of_api(api_id, "Count", "Sum").called("requests")),
        expression="IF(errors >= 5 AND errors * 20 > requests, 1, 0)",
        period_seconds=MINUTE,
        bad=3,
        periods=3,
        told="pages",
    )
    if fleet.canary.every_minutes:
        yield from _canary(fleet)


def _canary(fleet: Fleet) -> Iterator[Symptom]:
    period = max(5, fleet.canary.every_minutes) * MINUTE
    yield Symptom(
        name="canary-failing",
        means="A task that was submitted only to try a lane was not done.",
        runbook="api-and-canary.md#canary-failing",
        readings=(ours(fleet.name, "CanaryFailed"),),
        period_seconds=period,
        # Twice in a row, or twice of three where one came through: once may be a deployment.
        bad=2,
        periods=3,
        told="pages",
    )
    yield Symptom(
        name="not-ready",
        means="The API lacks something it needs: its /readyz does not answer 200.",
        runbook="api-and-canary.md#not-ready",
        readings=(ours(fleet.name, "ReadinessFailed"),),
        period_seconds=period,
        bad=2,
        periods=3,
    )
    yield Symptom(
        name="canary-missing",
        means="No lane is tried, or none of those that are: the canary function does not run.",
        runbook="api-and-canary.md#canary-missing",
        readings=(ours(fleet.name, "CanarySucceeded"),),
        period_seconds=period,
        bad=3,
        periods=3,
        breaches="<",
        no_data="breaching",
    )


def workflows(fleet: Fleet, arns: dict[str, str]) -> Iterator[Symptom]:
    """Each workflow whose executions fail, by the ARN of its state machine."""
    for name in fleet.workflows:
        yield Symptom(
            name="workflow-failing",
            of=name,
            means=f"Executions of workflow {name} fail, three and more in five minutes.",
            runbook="functions.md#workflow-failing",
            readings=(of_machine(arns[name], "ExecutionsFailed", name),),
            period_seconds=5 * MINUTE,
            bad=2,
            periods=3,
            threshold=3,
        )
