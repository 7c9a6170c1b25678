"""Tells a history to people: what was asked, what went wrong, what happened, and what of it must not have."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, TextIO

from tests.simulation.faults import FaultPlan
from tests.simulation.run import Outcome
from tests.simulation.workload import Operation, Submit, SubmitMany, Workload


def tell(outcome: Outcome, out: TextIO) -> None:
    """Write it all."""
    for line in (
        *_workload(outcome.workload),
        *_plan(outcome.plan),
        "What happened, in seconds of simulated time:",
        *outcome.trace,
        "",
        "What occurred: " + ", ".join(f"{what} {count}" for what, count in sorted(outcome.tally.items())),
        f"{outcome.seconds:,.0f} simulated seconds, {outcome.steps:,} steps.",
        *(f"BROKEN [{violation.rule}] {violation.what}" for violation in outcome.violations),
    ):
        print(line, file=out)
    if not outcome.violations:
        print("No rule was broken.", file=out)


def _workload(workload: Workload) -> list[str]:
    workers = f"{workload.concurrency} at once for a lane, {workload.worker_timeout_seconds:.0f} s each"
    lines = [f"Workers: {workers}; a message is dead after {workload.max_receive_count} receives."]
    for number, operations in enumerate(workload.clients):
        lines.append(f"Client {number}:")
        for operation in operations:
            lines += _operation(operation)
    return [*lines, ""]


def _operation(operation: Operation) -> list[str]:
    if isinstance(operation, SubmitMany):
        return ["  SubmitMany", *(f"    {_submit(task)}" for task in operation.tasks)]
    if isinstance(operation, Submit):
        return [f"  {_submit(operation)}"]
    return [f"  {_changed(operation)}"]


def _submit(task: Submit) -> str:
    return f"{_changed(task)}  {task.task_id[:8]}"


def _plan(plan: FaultPlan) -> list[str]:
    if plan.until == 0:
        return ["No faults.", ""]
    rates = ", ".join(f"{fault.value} {rate:g}" for fault, rate in plan.rates.items() if rate) or "none"
    others = ", ".join(
        f"{each.name} {getattr(plan, each.name)}"
        for each in fields(plan)
        if each.name not in ("rates", "budget", "until") and getattr(plan, each.name)
    )
    return [
        f"Faults until {plan.until:.0f} s, {plan.budget} of calls at the most: {rates}.",
        f"Also: {others or 'none'}.",
        "",
    ]


def _changed(value: Any) -> str:
    """A value without what is as usual."""
    said = []
    for each in fields(value):
        found = getattr(value, each.name)
        if each.init and (each.name == "number" or found != each.default):
            said.append(f"{each.name}={found!r}")
    return f"{type(value).__name__}({', '.join(said)})"
