"""What can become of each state of a definition, so that a test can ask whether all of it is tested.

A state that asks for a task meets every error that its `Retry` and `Catch` name, and these besides: nobody answers in
time, its agent fails with something that nothing names, somebody cancels the task, and the lane cannot be reached. A
choice leads where its rules say. A map fails as its `Catch` says.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.e2e.definitions.stage import (
    Answer,
    Done,
    Ended,
    Failed,
    Order,
    Script,
    Silence,
    Stage,
    hurried,
    states_of,
)

TIMEOUT = "States.Timeout"
ANY_OTHER = "agent_error"
CANCELLED = "cancelled"
UNREACHABLE = "SQS.AmazonSQSException"
ANOTHER = "another"
"""What no catcher of a map names."""

Way = tuple[str, str]
"""A state, and the error that it meets; or `to` and the state that it leads to."""


@dataclass(frozen=True)
class Goes:
    """Where a state's error leads.

    Attributes:
        to: The state that is entered next.
        end: The error that the run ends with; None where it succeeds.
        asked: How often the state asks for its task.
    """

    to: str
    end: str | None = None
    asked: int = 1


def ways(machine: Mapping[str, Any]) -> set[Way]:
    """All that a table of the definition must have."""
    return set(_ways(machine))


def _ways(machine: Mapping[str, Any]) -> Iterator[Way]:
    for name, state, _ in states_of(machine):
        match state["Type"]:
            case "Task":
                named = {
                    error
                    for rule in (*state.get("Retry", []), *state.get("Catch", []))
                    for error in rule["ErrorEquals"]
                }
                for error in {*named, TIMEOUT, ANY_OTHER, CANCELLED, UNREACHABLE} - {"States.ALL"}:
                    yield name, error
            case "Choice":
                for target in [*(rule["Next"] for rule in state["Choices"]), state["Default"]]:
                    yield name, f"to {target}"
            case "Map" | "Parallel":
                for error in [error for rule in state.get("Catch", []) for error in rule["ErrorEquals"]]:
                    yield name, ANOTHER if error == "States.ALL" else error


def failing(script: Script, state: str, error: str) -> Script:
    """The script, but for a state that meets an error whenever it asks."""

    def answer(order: Order) -> Answer:
        if order.state != state:
            return script(order)
        return Silence() if error == TIMEOUT else Failed(error)

    return answer


def met(
    stage: Stage, machine: Mapping[str, Any], value: Any, script: Script, expected: Mapping[Way, Goes]
) -> dict[Way, Ended]:
    """Have each state that asks for tasks meet each of its errors, all at once; how each execution ended."""
    tasks = {name for name, state, _ in states_of(machine) if state["Type"] == "Task"}
    started = {
        (state, error): stage.start(
            hurried(machine, impatient=state if error == TIMEOUT else None), value, failing(script, state, error)
        )
        for state, error in expected
        if state in tasks
    }
    return {way: stage.finish(running) for way, running in started.items()}


def by_state(answers: Mapping[str, Any]) -> Script:
    """Answers each state always the same: an `Answer`, or the output of a success."""

    def answer(order: Order) -> Answer:
        found = answers[order.state]
        return found if isinstance(found, Done | Failed | Silence) else Done(found)

    return answer
