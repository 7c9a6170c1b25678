"""An agent's loop goes on where it was, whatever dies in it, and stops at each of its bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.runs import Runs

TOOL = "diagnostics.crash"
TURNS = 2
CALLS = 2


@pytest.fixture
def runs(engine: Engine, tenant: FleetClient) -> Runs:
    return Runs(engine, tenant)


@dataclass(frozen=True)
class Death:
    """Where in the loop a worker dies, once.

    Attributes:
        turn: From 0.
        call: Which call of the turn; None is its plan.
        when: Of a call: before its effect, or between it and the result.
    """

    turn: int
    call: int | None = None
    when: str = "before"


DEATHS = [
    *(Death(turn) for turn in range(TURNS + 1)),
    *(Death(turn, call, when) for turn in range(TURNS) for call in range(CALLS) for when in ("before", "after_effect")),
]


def script(death: Death | None = None) -> dict[str, Any]:
    """Turns of calls that count outside of the log how often they are made, and then it is done."""
    turns: list[dict[str, Any]] = []
    for turn in range(TURNS):
        calls = []
        for call in range(CALLS):
            dies = death is not None and (death.turn, death.call) == (turn, call)
            value = {"crash_attempts": int(dies), "when": death.when if death and dies else "before"}
            calls.append({"id": f"{turn}.{call}", "tool": TOOL, "input": value})
        turns.append({"calls": calls})
    turns.append({"done": True})
    if death is not None and death.call is None:
        turns[death.turn]["crash"] = True
    return {"turns": turns}


def loop(planner_input: dict[str, Any], *tools: str, **bounds: Any) -> dict[str, Any]:
    return {
        "goal": "make all calls",
        "planner": "diagnostics.plan",
        "planner_input": planner_input,
        "tools": list(tools or (TOOL,)),
        **bounds,
    }


@pytest.mark.parametrize("death", DEATHS, ids=str)
def test_a_loop_whose_worker_dies_goes_on_and_repeats_no_call_that_was_finished(runs: Runs, death: Death) -> None:
    run = runs.done("agent-loop", loop(script(death)))
    assert run["status"] == "succeeded", run
    assert run["output"]["turns"] == TURNS + 1
    seen = run["output"]["answer"]
    assert [each["id"] for each in seen] == [f"{turn}.{call}" for turn in range(TURNS) for call in range(CALLS)]
    assert {each["status"] for each in seen} == {"done"}
    assert [each["output"]["effects"] for each in seen] == [1] * (TURNS * CALLS)
    calls = runs.logged(run["id"], "Call")
    assert sorted(calls) == sorted(each["task_id"] for each in seen), "each call is one task"
    assert all(runs.tenant.kinds(task_id).count("succeeded") == 1 for task_id in calls)
    for each in seen:
        if int(each["id"][0]) != death.turn:
            assert each["output"] == {"attempt": 1, "sends": 1, "effects": 1}
    plans = [runs.task(task_id) for task_id in runs.logged(run["id"], "Plan")]
    assert [plan["output"]["remembered"] for plan in plans] == [0, 1, 2]
    assert {plan["session"] for plan in plans} == {f"loop-{run['id']}"}
    dead = plans[death.turn]["id"] if death.call is None else seen[CALLS * death.turn + death.call]["task_id"]
    assert runs.task(dead)["attempt"] == 2


def test_a_loop_that_is_not_done_stops_after_its_turns(runs: Runs) -> None:
    endless = {"turns": [{"calls": [{"tool": "diagnostics.echo", "input": {"value": 1}}]}] * 5}
    run = runs.done("agent-loop", loop(endless, "diagnostics.echo", max_turns=2))
    assert (run["status"], run["error"]["code"]) == ("failed", "TurnsExhausted"), run
    assert [len(runs.logged(run["id"], step)) for step in ("Plan", "Call")] == [2, 2]


def test_a_loop_that_is_not_done_stops_when_its_time_is_up(runs: Runs) -> None:
    slow = {"turns": [{"calls": [{"tool": "diagnostics.sleep", "input": {"seconds": 3}}]}] * 20}
    run = runs.done("agent-loop", loop(slow, "diagnostics.sleep", max_turns=20, max_seconds=4))
    assert (run["status"], run["error"]["code"]) == ("failed", "TimeExhausted"), run
    assert 1 <= len(runs.logged(run["id"], "Plan")) < 20


def test_a_loop_stops_when_a_call_would_cost_more_than_there_is(runs: Runs) -> None:
    costly = {"turns": [{"calls": [{"tool": "diagnostics.generate", "input": {"prompt": "Say something."}}]}] * 5}
    run = runs.done("agent-loop", loop(costly, "diagnostics.generate"), budget_usd=0.000001)
    assert (run["status"], run["error"]["code"]) == ("failed", "BudgetExhausted"), run
    (call,) = runs.logged(run["id"], "Call")
    assert call in run["error"]["message"]
    assert runs.task(call)["error"]["code"] == "budget_too_small"
    assert len(runs.logged(run["id"], "Plan")) == 1
    assert run["usage"]["cost_usd"] <= 0.000001
