"""`loop.plan`: turns of a run, planned by a model that says what a test says."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flotilla.llm_ports import Role
from functions.worker.agents.loop import plan
from tests.unit.agents.modelled_runs import ROUTE, ModelledRun

SESSION = "loop-{run}"


@pytest.fixture
def steps() -> ModelledRun:
    return ModelledRun(plan)


def said(*calls: tuple[str, Any], done: bool = False, answer: str = "") -> str:
    asked = [{"tool": tool, "input": json.dumps(value)} for tool, value in calls]
    return json.dumps({"thought": "because", "done": done, "answer": answer, "calls": asked})


def turn(steps: ModelledRun, number: int = 0, *observations: Any, **options: Any) -> Any:
    value = {
        "goal": "find it",
        "tools": ["find", "read"],
        "turn": number,
        "turns_left": 10 - number,
        "observations": list(observations),
        "input": {"route": ROUTE, **options},
    }
    return steps.step("loop.plan", value, session=SESSION)


def test_a_model_says_which_tools_to_call(steps: ModelledRun) -> None:
    steps.says(said(("find", {"text": "it"}), ("read", {"n": 1})))
    assert turn(steps) == {
        "done": False,
        "answer": None,
        "calls": [
            {"id": "0.0", "tool": "find", "input": {"text": "it"}},
            {"id": "0.1", "tool": "read", "input": {"n": 1}},
        ],
        "thought": "because",
    }
    (request,) = steps.asked
    assert request.system is not None
    assert "- find\n- read" in request.system
    assert "10 turns left" in request.system
    assert [message.text for message in request.messages] == ["The goal: find it"]


def test_when_it_is_done_it_answers_and_calls_nothing(steps: ModelledRun) -> None:
    steps.says(said(("find", {}), done=True, answer="42"))
    found = turn(steps)
    assert (found["done"], found["answer"], found["calls"]) == (True, "42", [])


def test_each_turn_takes_up_the_conversation_where_the_last_one_left_it(steps: ModelledRun) -> None:
    first, second = said(("find", {})), said(("read", {}))
    steps.says(first, second, said(done=True, answer="here"))
    turn(steps)
    turn(steps, 1, {"id": "0.0", "tool": "find", "status": "done", "output": "page 7"})
    assert turn(steps, 2, {"id": "1.0", "tool": "read", "status": "failed", "error": "gone"})["answer"] == "here"
    last = steps.asked[-1].messages
    assert [message.role for message in last] == [Role.USER, Role.ASSISTANT, Role.USER, Role.ASSISTANT, Role.USER]
    assert json.loads(last[1].text) == json.loads(first)
    assert "page 7" in last[2].text
    assert '"error":"gone"' in last[4].text


def test_runs_remember_nothing_of_each_other(steps: ModelledRun) -> None:
    steps.says(said(("find", {})))
    turn(steps)
    steps.header = type(steps.header)("wfl_" + "9" * 32, "acme", "agent-loop")
    turn(steps)
    assert len(steps.asked[-1].messages) == 1


def test_an_input_that_is_no_json_object_is_asked_for_again(steps: ModelledRun) -> None:
    wrong = json.dumps({"thought": "", "done": False, "answer": "", "calls": [{"tool": "find", "input": "it"}]})
    steps.says(wrong, said(("find", {"text": "it"})))
    assert turn(steps)["calls"][0]["input"] == {"text": "it"}
    assert len(steps.asked) == 2


def test_a_model_that_never_plans_fails_the_turn_and_is_forgotten(steps: ModelledRun) -> None:
    steps.says("I would rather not.")
    assert turn(steps)["error"] == "model_output_invalid"
    steps.says(said(("find", {})))
    turn(steps)
    assert len(steps.asked[-1].messages) == 1


def test_more_calls_than_a_turn_has_are_no_plan(steps: ModelledRun) -> None:
    steps.says(said(*[("find", {})] * 21))
    assert turn(steps)["error"] == "model_output_invalid"


def test_long_results_are_cut_off_in_the_conversation(steps: ModelledRun) -> None:
    steps.says(said(("find", {})))
    turn(steps, 1, {"output": "x" * 100_000})
    assert len(steps.asked[-1].messages[-1].text) < 5000


def test_a_turn_without_calls_is_told_so(steps: ModelledRun) -> None:
    steps.says(said())
    turn(steps)
    turn(steps, 1)
    assert "You called no tool" in steps.asked[-1].messages[-1].text


def test_instructions_are_told_besides(steps: ModelledRun) -> None:
    steps.says(said())
    turn(steps, instructions="Prefer the second one.")
    assert str(steps.asked[0].system).endswith("Prefer the second one.")


def test_what_it_says_fits_what_a_workflow_hands_on(steps: ModelledRun) -> None:
    steps.says(json.dumps({"thought": "t" * 9000, "done": True, "answer": "a" * 9000, "calls": []}))
    found = turn(steps)
    assert (len(found["thought"]), len(found["answer"])) == (1000, 8000)


def test_without_a_route_there_is_no_planner(steps: ModelledRun) -> None:
    value = {"goal": "x", "tools": [], "turn": 0, "turns_left": 1, "observations": [], "input": {}}
    assert steps.step("loop.plan", value, session=SESSION)["error"] == "invalid_input"
