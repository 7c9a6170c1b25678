"""What stops a task of a deployed fleet from costing more than it may.

A call of the route's first model may cost 0.001070 dollars at the most, one of its second 0.000268.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.command import Command
from tests.e2e.lab import GENERATE, PROMPT, SILENT, WELL, Lab
from tests.e2e.tenants import new_tenant
from tests.e2e.waiting import eventually


@pytest.fixture(autouse=True)
def models(lab: Lab) -> Iterator[None]:
    """Both models are well, before and after."""
    lab.recover_models()
    yield
    lab.primary.follow(WELL)
    lab.second.follow(WELL)


def calls(lab: Lab) -> tuple[int, int]:
    """How many the two models were asked."""
    return len(lab.primary.received), len(lab.second.received)


def test_a_task_that_may_not_pay_for_a_single_call_makes_none_and_says_why(lab: Lab) -> None:
    before = calls(lab)
    command = Command(lab.engine.info)
    arguments = (GENERATE, "route=best", f"prompt={PROMPT}", "--budget-usd", "0.000012", "--wait")
    task = command.json("submit", *arguments, status=1)
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "budget_too_small"), task
    assert task["budget_usd"] == 0.000012
    assert calls(lab) == before
    shown = command.run("get", task["id"])
    assert "0.000012" in shown
    assert "budget_too_small" in shown


def test_calls_that_nobody_answered_are_paid_for_and_stop_the_task_when_its_budget_is_spent(lab: Lab) -> None:
    first, second = calls(lab)
    lab.primary.follow(SILENT)
    lab.second.follow(SILENT)
    task = lab.tenant.finished(lab.generate(budget_usd=0.0015))
    assert (task["status"], task["error"]["code"]) == ("dead_lettered", "budget_exceeded"), task
    assert calls(lab) == (first + 1, second + 1), "a second one of either would have been too much"


def test_from_four_fifths_of_its_budget_on_a_task_is_served_by_the_cheaper_model(lab: Lab) -> None:
    first, second = calls(lab)
    task = lab.tenant.finished(lab.generate(budget_usd=0.0012))
    assert (task["status"], task["output"]["served"]) == ("succeeded", "second"), task
    failover = {"route": "best", "requested": "primary", "served": "second", "why": "frugal"}
    assert task["usage"]["failovers"] == [failover]
    assert 0 < task["usage"]["cost_usd"] < task["budget_usd"] == 0.0012
    assert calls(lab) == (first, second + 1)


def test_a_tenant_whose_day_is_spent_has_its_tasks_wait_for_the_next(lab: Lab) -> None:
    lab.second.follow(SILENT)
    with new_tenant(lab.engine, "thrifty") as tenant:
        task_id = tenant.accepted(GENERATE, {"route": "alone", "prompt": PROMPT})
        eventually(lambda: "parked" in tenant.kinds(task_id), "the task waits", every=0.5)
        parked = tenant.events(task_id)[-1]
        assert (parked["kind"], parked["reason"]) == ("parked", "budget_spent")
        count = len(lab.second.received)
        lab.second.follow(WELL)
        other = tenant.accepted(GENERATE, {"route": "alone", "prompt": PROMPT})
        eventually(lambda: "parked" in tenant.kinds(other), "another waits too", every=0.5)
        assert len(lab.second.received) == count
        for each in (task_id, other):
            assert tenant.http.post(f"/v1/tasks/{each}/cancel").json()["status"] == "cancelled"
