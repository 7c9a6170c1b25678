"""A saga that fails at any of its steps undoes those that were done and no other, the last one first."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tests.e2e.engine import Engine
from tests.e2e.fleet_client import FleetClient
from tests.e2e.runs import Runs

STEPS = ("reserve", "charge", "pack", "ship")
DONE = {"attempt": 1, "sends": 1, "effects": 1}


@pytest.fixture
def runs(engine: Engine, tenant: FleetClient) -> Runs:
    return Runs(engine, tenant)


def step(name: str, *, fails: bool = False, undo_crashes: int = 0) -> dict[str, Any]:
    """A step that counts outside of the log how often it was done, and is undone by one that does as well."""
    agent: str = "diagnostics.crash"
    value: dict[str, Any] = {"crash_attempts": 0}
    if fails:
        agent, value = "diagnostics.flaky", {"fail_attempts": 100, "error": "permanent"}
    undo = {"crash_attempts": undo_crashes, "when": "after_effect"}
    return {
        "name": name,
        "agent": agent,
        "input": value,
        "compensate": {"agent": "diagnostics.crash", "input": undo},
    }


def in_order(runs: Runs, run_id: str, name: str) -> list[dict[str, Any]]:
    """The tasks of a state in the order of their acceptance, each of which began after the one before had ended."""
    tasks = [runs.task(task_id) for task_id in runs.logged(run_id, name)]
    for before, after in itertools.pairwise(tasks):
        assert before["finished_at"] <= after["created_at"]
    return tasks


def test_all_steps_that_succeed_are_done_once_and_none_is_undone(runs: Runs) -> None:
    run = runs.done("saga", {"steps": [step(name) for name in STEPS]})
    assert run["status"] == "succeeded", run
    assert run["output"]["outputs"] == dict.fromkeys(STEPS, DONE)
    assert [task["id"] for task in in_order(runs, run["id"], "Do")] == [run["output"]["tasks"][name] for name in STEPS]
    assert runs.logged(run["id"], "Compensate") == []


@pytest.mark.parametrize("failing", range(len(STEPS)))
def test_what_was_done_before_a_failure_is_undone_in_reverse(runs: Runs, failing: int) -> None:
    steps = [step(name, fails=number == failing) for number, name in enumerate(STEPS)]
    run = runs.done("saga", {"steps": steps})
    assert (run["status"], run["error"]["code"]) == ("failed", "SagaCompensated"), run
    done = in_order(runs, run["id"], "Do")
    assert [task["status"] for task in done] == ["succeeded"] * failing + ["dead_lettered"]
    undone = in_order(runs, run["id"], "Compensate")
    assert [task["output"] for task in undone] == [DONE] * failing
    assert [each["step"] for each in runs.cause(run)["compensated"]] == list(reversed(STEPS[:failing]))
    assert [each["task_id"] for each in runs.cause(run)["compensated"]] == [task["id"] for task in undone]
    assert all(task["created_at"] >= done[-1]["finished_at"] for task in undone)


def test_a_worker_that_dies_while_it_undoes_a_step_is_taken_over_and_it_is_undone_once(runs: Runs) -> None:
    steps = [step("reserve"), step("charge", undo_crashes=1), step("ship", fails=True)]
    run = runs.done("saga", {"steps": steps})
    assert (run["status"], run["error"]["code"]) == ("failed", "SagaCompensated"), run
    charge, reserve = in_order(runs, run["id"], "Compensate")
    assert charge["output"] == {"attempt": 2, "sends": 2, "effects": 1}
    assert reserve["output"] == DONE
