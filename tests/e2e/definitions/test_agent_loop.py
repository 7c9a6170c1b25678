from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.definitions.stage import Answer, Done, Ended, Failed, Order, Script, Stage, definition, hurried
from tests.e2e.definitions.table import (
    ANOTHER,
    ANY_OTHER,
    CANCELLED,
    TIMEOUT,
    UNREACHABLE,
    Goes,
    Way,
    failing,
    met,
    ways,
)

LOOP = definition("agent-loop")

INPUT: dict[str, Any] = {"goal": "find it", "tools": ["find", "read"], "max_turns": 3, "max_seconds": 600}

TABLE: dict[Way, Goes] = {
    ("Bounds", "to TimeExhausted"): Goes("TimeExhausted", "TimeExhausted"),
    ("Bounds", "to TurnsExhausted"): Goes("TurnsExhausted", "TurnsExhausted"),
    ("Bounds", "to Plan"): Goes("Plan"),
    **{("Plan", error): Goes("PlanFailed", "PlanFailed") for error in (TIMEOUT, ANY_OTHER, CANCELLED)},
    ("Plan", UNREACHABLE): Goes("PlanFailed", "PlanFailed", asked=7),
    ("Plan", "SQS.SdkClientException"): Goes("PlanFailed", "PlanFailed", asked=7),
    ("Plan", "budget_exceeded"): Goes("BudgetExhausted", "BudgetExhausted"),
    ("Plan", "budget_too_small"): Goes("BudgetExhausted", "BudgetExhausted"),
    ("Plan", "deadline"): Goes("TimeExhausted", "TimeExhausted"),
    ("Done", "to Answered"): Goes("Answered"),
    ("Done", "to Act"): Goes("Act"),
    ("Allowed", "to Call"): Goes("Call"),
    ("Allowed", "to NotAllowed"): Goes("NotAllowed"),
    ("Allowed", "to OneTooMany"): Goes("OneTooMany"),
    # What a tool fails with is for the planner to see; the run goes on.
    **{("Call", error): Goes("CallFailed") for error in (TIMEOUT, ANY_OTHER, CANCELLED, UNREACHABLE)},
    ("Act", ANOTHER): Goes("ActFailed", "ActFailed"),
    ("Affordable", "to BudgetExhausted"): Goes("BudgetExhausted", "BudgetExhausted"),
    ("Affordable", "to Bounds"): Goes("Bounds"),
}


def calls(*tools: str) -> dict[str, Any]:
    return {
        "done": False,
        "calls": [{"id": f"c{number}", "tool": tool, "input": {"n": number}} for number, tool in enumerate(tools)],
    }


ANSWER = {"done": True, "answer": 42}


def world(*plans: Any) -> Script:
    """A planner that says these one after the other, the last one for ever; and tools that answer with their names."""

    def answer(order: Order) -> Answer:
        if order.state != "Plan":
            return Done({"by": order.agent})
        return Done(plans[min(order.input["turn"], len(plans) - 1)])

    return answer


def observations(ended: Ended, turn: int) -> list[dict[str, Any]]:
    """What the planner is told in a turn."""
    found: list[dict[str, Any]] = ended.asked("Plan")[turn].input["observations"]
    return found


def test_every_error_of_every_state_has_a_row() -> None:
    assert set(TABLE) == ways(LOOP)


def test_errors_of_a_planner_lead_where_the_table_says(stage: Stage) -> None:
    expected = {way: goes for way, goes in TABLE.items() if way[0] == "Plan"}
    found = met(stage, LOOP, INPUT, world(), expected)
    assert {
        way: Goes(str(ended.after("Plan")), ended.error, len(ended.asked("Plan"))) for way, ended in found.items()
    } == expected


def test_errors_of_tools_are_what_the_planner_sees_next(stage: Stage) -> None:
    expected = {way: goes for way, goes in TABLE.items() if way[0] == "Call"}
    found = met(stage, LOOP, INPUT, world(calls("find"), ANSWER), expected)
    for (_, error), ended in found.items():
        assert (ended.error, ended.output["answer"], len(ended.asked("Call"))) == (None, 42, 1)
        (seen,) = observations(ended, 1)
        assert (seen["id"], seen["tool"], seen["status"], seen["error"]) == ("c0", "find", "failed", error)
        assert error == TIMEOUT or seen["task_id"] == ended.asked("Call")[0].task_id


@pytest.mark.parametrize(("state", "target"), [way for way in TABLE if way[1].startswith("to ")])
def test_choices_lead_where_the_table_says(stage: Stage, state: str, target: str) -> None:
    value, script = INPUT, world(calls("find"), ANSWER)
    if target == "to TimeExhausted":
        value = INPUT | {"max_seconds": 0}
    elif target == "to TurnsExhausted":
        script = world(calls("find"))
    elif target == "to NotAllowed":
        script = world(calls("delete"), ANSWER)
    elif target == "to OneTooMany":
        script = world(calls(*["find"] * 21), ANSWER)
    elif target == "to BudgetExhausted":
        script = failing(script, "Call", "budget_exceeded")
    ended = stage.run(LOOP, value, script)
    expected = TABLE[state, target]
    assert ended.error == expected.end
    if state != "Allowed":
        assert (state, expected.to) in zip(ended.path, ended.path[1:], strict=False)
        return
    seen = observations(ended, 1)[-1]
    told = {"Call": None, "NotAllowed": "tool_not_allowed", "OneTooMany": "too_many_calls"}
    assert seen.get("error") == told[expected.to]


def test_a_map_that_fails_as_a_whole_ends_the_run(stage: Stage) -> None:
    def answer(order: Order) -> Answer:
        return Failed("odd", cause="{no JSON") if order.state == "Call" else world(calls("find"))(order)

    ended = stage.run(LOOP, INPUT, answer)
    assert Goes(str(ended.after("Act")), ended.error) == TABLE["Act", ANOTHER]
    assert ended.told["step"] == "Act"


def test_a_planner_plans_its_tools_act_and_it_sees_what_came_of_it(stage: Stage) -> None:
    ended = stage.run(
        LOOP, INPUT | {"planner_input": {"route": "fast"}}, world(calls("find", "read"), calls("read"), ANSWER)
    )
    first, second, third = ended.asked("Plan")
    assert (first.agent, first.body["session"]) == ("loop.plan", "loop-{run}")
    assert first.input == {
        "goal": "find it",
        "tools": ["find", "read"],
        "turn": 0,
        "turns_left": 3,
        "observations": [],
        "input": {"route": "fast"},
    }
    acted = {order.input["n"]: order for order in ended.asked("Call") if order.input["n"] in (0, 1)}
    assert [(seen["id"], seen["tool"], seen["status"], seen["output"]) for seen in second.input["observations"]] == [
        ("c0", "find", "done", {"by": "find"}),
        ("c1", "read", "done", {"by": "read"}),
    ]
    assert acted[1].agent == "read"
    assert (second.input["turn"], second.input["turns_left"]) == (1, 2)
    assert [seen["tool"] for seen in third.input["observations"]] == ["read"]
    assert ended.output == {"answer": 42, "turns": 3, "task_id": third.task_id}


def test_what_a_planner_may_not_ask_for_is_refused_and_the_rest_is_done(stage: Stage) -> None:
    ended = stage.run(LOOP, INPUT | {"tools": ["find"]}, world(calls("delete", "find"), ANSWER))
    assert [order.agent for order in ended.asked("Call")] == ["find"]
    refused, found = observations(ended, 1)
    assert refused == {"id": "c0", "tool": "delete", "status": "refused", "error": "tool_not_allowed"}
    assert found["status"] == "done"


def test_calls_beyond_the_twentieth_of_a_turn_are_not_made(stage: Stage) -> None:
    ended = stage.run(LOOP, INPUT, world(calls(*["find"] * 22), ANSWER))
    assert len(ended.asked("Call")) == 20
    assert [seen["status"] for seen in observations(ended, 1)] == ["done"] * 20 + ["refused"] * 2


def test_a_plan_without_calls_is_a_turn_without_observations(stage: Stage) -> None:
    ended = stage.run(LOOP, INPUT, world({"done": False}, ANSWER))
    assert (observations(ended, 1), ended.output["turns"]) == ([], 2)


@pytest.mark.parametrize("plan", [{"$task_output": "tsk_1"}, "go on", None, {"done": "yes"}, []])
def test_a_plan_that_is_none_ends_the_run(stage: Stage, plan: Any) -> None:
    ended = stage.run(LOOP, INPUT, world(plan))
    assert (ended.error, ended.told["error"]) == ("PlanFailed", "States.QueryEvaluationError")


@pytest.mark.parametrize("odd", [{"tool": 7}, {"tool": None, "input": 1}, "find", {}])
def test_a_call_that_is_none_is_refused(stage: Stage, odd: Any) -> None:
    ended = stage.run(LOOP, INPUT, world({"done": False, "calls": [odd]}, ANSWER))
    assert [seen["status"] for seen in observations(ended, 1)] == ["refused"]


def test_large_results_are_handed_on_by_reference(stage: Stage) -> None:
    def answer(order: Order) -> Answer:
        return Done("x" * 5000) if order.state == "Call" else world(calls("find"), ANSWER)(order)

    ended = stage.run(LOOP, INPUT, answer)
    assert observations(ended, 1)[0]["output"] == {"$task_output": ended.asked("Call")[0].task_id}


def test_the_turns_are_counted_and_their_end_says_so(stage: Stage) -> None:
    ended = stage.run(LOOP, INPUT, world(calls("find")))
    assert (ended.error, ended.told["turns"]) == ("TurnsExhausted", 3)
    assert len(ended.asked("Plan")) == 3


def test_tasks_have_no_more_time_than_the_loop(stage: Stage) -> None:
    ended = stage.run(LOOP, INPUT, world(calls("find"), ANSWER))
    assert all(590 < order.body["timeout_seconds"] <= 600 for order in ended.orders)


def test_a_spent_budget_ends_the_run_and_says_where(stage: Stage) -> None:
    ended = stage.run(hurried(LOOP), INPUT, failing(world(calls("find", "read")), "Call", "budget_too_small"))
    assert ended.error == "BudgetExhausted"
    assert (ended.told["step"], ended.told["turn"], ended.told["error"]) == ("Call", 0, "budget_too_small")


def test_defaults_hold_for_what_is_not_said(stage: Stage) -> None:
    ended = stage.run(LOOP, {"goal": "x", "tools": ["find"]}, world(ANSWER))
    (asked,) = ended.orders
    assert (asked.agent, asked.input["turns_left"], asked.input["input"]) == ("loop.plan", 10, {})
    assert 3590 < asked.body["timeout_seconds"] <= 3600


def test_another_planner_may_be_named(stage: Stage) -> None:
    ended = stage.run(LOOP, INPUT | {"planner": "mine.plan"}, world(ANSWER))
    assert ended.orders[0].agent == "mine.plan"
