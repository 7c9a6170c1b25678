"""`approval.ask`: a person decides, or nobody does in time."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.models import Status
from functions.worker.agents.approvals import ask
from tests.unit.agents.steps_of_a_run import StepsOfARun
from tests.unit.services.fleet import run
from tests.unit.services.waiting import delivery_of, give, on_lane

QUESTION = {
    "question": "Pay it back?",
    "proposal": {"pay": 5},
    "proposed_by": {"agent": "refund.propose", "task_id": "tsk_1"},
    "timeout_seconds": 600,
}


@pytest.fixture
def steps() -> StepsOfARun:
    return StepsOfARun(ask)


def decided(steps: StepsOfARun, payload: Any, value: Any = None) -> dict[str, Any]:
    """Ask, signal, and see what the state is told."""
    order = steps.ordered("approval.ask", QUESTION if value is None else value)
    run(give(steps.fleet, order.task_id, payload=payload))
    run(steps.fleet.deliver(delivery_of(on_lane(steps.fleet, order.task_id))))
    return steps.told(order)


def test_it_waits_and_says_what_for(steps: StepsOfARun) -> None:
    order = steps.ordered("approval.ask", QUESTION)
    state = run(steps.fleet.state(order.task_id))
    assert (state.status, state.waiting_for) == (Status.WAITING, "decision")
    waiting = run(steps.fleet.log.read(order.task_id))[-1]
    assert waiting.body["detail"] == {name: value for name, value in QUESTION.items() if name != "timeout_seconds"}
    assert state.wait_ends_ms == steps.fleet.clock.now_ms() + 600_000
    assert not steps.fleet.tokens.answers, "the state is told nothing until it is decided"


@pytest.mark.parametrize(
    ("payload", "output"),
    [
        ({"decision": "approve"}, {"decision": "approve", "note": None, "by": None, "via": None}),
        (
            {"decision": "deny", "note": "too much", "by": "Ann", "ticket": 7},
            {"decision": "deny", "note": "too much", "by": "Ann", "via": None},
        ),
        ({"decision": "approve", "via": "link"}, {"decision": "approve", "note": None, "by": None, "via": "link"}),
        ("deny", {"decision": "deny", "note": None, "by": None, "via": None}),
    ],
)
def test_what_was_decided_is_told(steps: StepsOfARun, payload: Any, output: Any) -> None:
    assert decided(steps, payload)["output"] == output


@pytest.mark.parametrize(
    "payload",
    [
        None,
        True,
        "yes",
        "APPROVE",
        {},
        [],
        {"decision": True},
        {"decision": "approved"},
        {"approve": True},
        ["approve"],
    ],
)
def test_whatever_is_no_plain_yes_or_no_decides_nothing(steps: StepsOfARun, payload: Any) -> None:
    assert decided(steps, payload)["error"] == "decision_unclear"


def test_what_nobody_decides_in_time_is_told_as_that(steps: StepsOfARun) -> None:
    order = steps.ordered("approval.ask", QUESTION)
    steps.fleet.clock.advance(601)
    (sent,) = [message for tier in steps.fleet.delays.tiers.values() for message in tier.values()]
    run(steps.fleet.deliver(delivery_of(sent)))
    assert steps.told(order)["output"]["decision"] == "timed_out"


def test_who_decided_is_in_the_log(steps: StepsOfARun) -> None:
    order = steps.ordered("approval.ask", QUESTION)
    run(give(steps.fleet, order.task_id, payload="approve"))
    (signalled,) = [each for each in run(steps.fleet.log.read(order.task_id)) if each.kind.value == "signalled"]
    assert signalled.actor == "key:k2"


def test_of_a_long_proposal_the_beginning_is_shown(steps: StepsOfARun) -> None:
    order = steps.ordered("approval.ask", {"proposal": ["ü" * 9000], "question": "?" * 2000})
    detail = run(steps.fleet.log.read(order.task_id))[-1].body["detail"]
    assert detail.keys() == {"question", "proposal_begins"}
    assert detail["proposal_begins"].startswith('["üü')


def test_a_question_is_asked_also_where_none_was_put(steps: StepsOfARun) -> None:
    told = decided(steps, "approve", {"proposal": None})
    assert told["output"]["decision"] == "approve"
