"""The diagnostic agents for workflows."""

from __future__ import annotations

from typing import Any

import pytest

from functions.worker import diagnostics
from tests.unit.agents.steps_of_a_run import StepsOfARun


@pytest.fixture
def steps() -> StepsOfARun:
    return StepsOfARun(diagnostics.plan, diagnostics.undo)


def turn(steps: StepsOfARun, number: int, turns: list[Any], observations: list[Any]) -> Any:
    value = {
        "goal": None,
        "tools": ["a"],
        "turn": number,
        "turns_left": 9,
        "observations": observations,
        "input": {"turns": turns},
    }
    return steps.step("diagnostics.plan", value, session="loop-{run}")


def test_turns_are_planned_as_the_script_says_and_answered_with_what_was_seen(steps: StepsOfARun) -> None:
    turns = [{"calls": [{"tool": "a", "input": 1}]}, {"calls": [{"id": "x", "tool": "b"}]}]
    first = turn(steps, 0, turns, [])
    assert first == {"done": False, "answer": None, "calls": [{"id": None, "tool": "a", "input": 1}], "remembered": 0}
    assert turn(steps, 1, turns, [{"n": 1}])["calls"][0]["id"] == "x"
    assert turn(steps, 2, turns, [{"n": 2}]) == {
        "done": True,
        "answer": [{"n": 1}, {"n": 2}],
        "calls": [],
        "remembered": 2,
    }


def test_a_script_may_have_an_answer(steps: StepsOfARun) -> None:
    assert turn(steps, 0, [{"done": True, "answer": 42}], [])["answer"] == 42


def test_a_compensation_answers_what_it_was_to_undo_or_fails_if_that_says_so(steps: StepsOfARun) -> None:
    value = {"input": {"n": 1}, "output": 2, "reason": {"step": "x", "error": "y"}}
    assert steps.step("diagnostics.undo", value) == value
    assert steps.step("diagnostics.undo", value | {"input": {"undo": "fail"}})["error"] == "told_to_fail"
