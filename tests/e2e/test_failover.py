"""A route whose first model is dead: tasks do not notice, whoever reads their logs does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.chaos.tally import read_logs
from flotilla.events import Kind
from tests.e2e.lab import DEAD, WELL, Lab
from tests.e2e.waiting import eventually

CIRCUIT = "model#primary"
TASKS = 40
MORE_TASKS = 20
DELAY_SECONDS = 8


@pytest.fixture(autouse=True)
def models(lab: Lab) -> Iterator[None]:
    """Both models are well, before and after."""
    lab.recover_models()
    yield
    lab.primary.follow(WELL)


def on_the_second(lab: Lab, task_ids: list[str]) -> list[dict[str, str]]:
    """What the tasks say of how they came to another model; each succeeded at once."""
    said = []
    for task_id in task_ids:
        task = lab.tenant.finished(task_id)
        assert (task["status"], task["attempt"]) == ("succeeded", 1), task
        assert (task["output"]["requested"], task["output"]["served"]) == ("primary", "second")
        (failover,) = task["usage"]["failovers"]
        events = lab.tenant.events(task_id)
        assert [event["kind"] for event in events] == ["accepted", "started", "succeeded"]
        assert events[-1]["usage"]["failovers"] == [failover]
        assert (failover["route"], failover["requested"], failover["served"]) == ("best", "primary", "second")
        assert task["usage"]["model_calls"] == 1
        said.append(failover)
    return said


def test_with_the_first_model_dead_every_task_succeeds_on_the_second_until_the_first_is_back(lab: Lab) -> None:
    lab.primary.follow(DEAD)
    whys = {failover["why"] for failover in on_the_second(lab, [lab.generate() for _ in range(TASKS)])}
    assert "circuit_open" in whys
    assert whys <= {"circuit_open", "model_unavailable", "model_no_answer"}
    # Its cooldown may be over by now. Whatever looks whether the model is back finds it dead, and opens it anew.
    eventually(lambda: lab.served() == "second" and lab.circuit(CIRCUIT) == "open", "the circuit is seen to be open")

    calls = len(lab.primary.received)
    on_the_second(lab, [lab.generate() for _ in range(MORE_TASKS)])
    calls = len(lab.primary.received) - calls
    assert calls <= MORE_TASKS / 2, f"{calls} calls to a model that is known to be dead"

    lab.primary.follow(WELL)
    eventually(lambda: lab.served() == "primary", "the first model serves again", every=0.5)
    assert lab.circuit(CIRCUIT) != "open"


def test_an_operator_holds_a_model_back_and_lets_it_serve_again(lab: Lab) -> None:
    path = f"/v1/circuits/{CIRCUIT.replace('#', '%23')}"
    answer = lab.operator.http.put(path, json={"state": "open", "reason": "it makes things up"})
    assert (answer.status_code, answer.json()["mode"]) == (200, "open"), answer.text
    eventually(lambda: lab.served() == "second", "the second model serves", every=0.5)
    calls = len(lab.primary.received)
    assert {failover["why"] for failover in on_the_second(lab, [lab.generate() for _ in range(5)])} == {"circuit_open"}
    assert len(lab.primary.received) == calls
    assert lab.operator.http.put(path, json={"state": "auto"}).status_code == 200
    eventually(lambda: lab.served() == "primary", "the first model serves again", every=0.5)


def test_models_are_called_without_what_protects_them_and_the_log_says_so(lab: Lab) -> None:
    tasks = [lab.generate(delay_seconds=DELAY_SECONDS, budget_usd=1) for _ in range(5)]
    seen = len(lab.worker_log())

    def ended() -> bool:
        logs: dict[str, Any] = read_logs(lab.engine.info)
        return all(logs[task_id][-1].kind is Kind.SUCCEEDED for task_id in tasks)

    def said() -> bool:
        lines = [line for line in lab.worker_log()[seen:].splitlines() if "protection unavailable" in line]
        # A worker that has drawn ahead from the limits does not ask for them, and misses nothing.
        return all(any(f'"{what}"' in line for line in lines) for what in (CIRCUIT, "budget"))

    with lab.without_control_table():
        eventually(ended, "the tasks' success", every=0.5)
        eventually(said, "the lines about it", every=0.5)
