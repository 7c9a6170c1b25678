from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.definitions.stage import Done, Failed, Script, Stage, definition, hurried
from tests.e2e.definitions.table import ANY_OTHER, CANCELLED, TIMEOUT, UNREACHABLE, Goes, Way, by_state, met, ways

APPROVAL = definition("approval")

INPUT: dict[str, Any] = {
    "propose": {"agent": "refund.propose", "input": {"order": 17}},
    "act": {"agent": "refund.pay"},
    "question": "Pay it back?",
    "timeout_seconds": 60,
}

TABLE: dict[Way, Goes] = {
    **{("Propose", error): Goes("ProposalFailed", "ProposalFailed") for error in (TIMEOUT, ANY_OTHER, CANCELLED)},
    ("Propose", UNREACHABLE): Goes("ProposalFailed", "ProposalFailed", asked=7),
    ("Propose", "SQS.SdkClientException"): Goes("ProposalFailed", "ProposalFailed", asked=7),
    **{("Ask", error): Goes("AskingFailed", "AskingFailed") for error in (TIMEOUT, ANY_OTHER, CANCELLED, UNREACHABLE)},
    ("Decided", "to Act"): Goes("Act"),
    ("Decided", "to Denied"): Goes("Denied"),
    ("Decided", "to TimedOut"): Goes("TimedOut"),
    ("Decided", "to Undecided"): Goes("Undecided", "Undecided"),
    **{("Act", error): Goes("ActionFailed", "ActionFailed") for error in (TIMEOUT, ANY_OTHER, CANCELLED, UNREACHABLE)},
}

DECISIONS = {
    "to Act": {"decision": "approve"},
    "to Denied": {"decision": "deny", "note": "too much"},
    "to TimedOut": {"decision": "timed_out"},
    "to Undecided": {"decision": "perhaps"},
}


def world(decision: Any = None) -> Script:
    return by_state(
        {"Propose": {"pay": 5}, "Ask": decision or {"decision": "approve", "note": "fine"}, "Act": {"paid": 5}}
    )


def test_every_error_of_every_state_has_a_row() -> None:
    assert set(TABLE) == ways(APPROVAL)


def test_errors_of_tasks_lead_where_the_table_says(stage: Stage) -> None:
    expected = {way: goes for way, goes in TABLE.items() if not way[1].startswith("to ")}
    found = met(stage, APPROVAL, INPUT, world(), expected)
    assert {
        way: Goes(str(ended.after(way[0])), ended.error, len(ended.asked(way[0]))) for way, ended in found.items()
    } == expected
    for (state, error), ended in found.items():
        assert ended.told["step"] == state
        assert ended.told["error"] == error
        assert error == TIMEOUT or ended.told["task_id"] == ended.asked(state)[-1].task_id
        assert state == "Act" or not ended.asked("Act"), "it acted though it was not to"


@pytest.mark.parametrize("target", DECISIONS)
def test_decisions_lead_where_the_table_says(stage: Stage, target: str) -> None:
    ended = stage.run(hurried(APPROVAL), INPUT, world(DECISIONS[target]))
    assert Goes(str(ended.after("Decided")), ended.error) == TABLE["Decided", target]
    assert len(ended.asked("Act")) == (1 if target == "to Act" else 0)


def test_an_approved_action_is_told_with_who_did_what(stage: Stage) -> None:
    ended = stage.run(APPROVAL, INPUT, world())
    propose, ask, act = ended.orders
    assert (propose.agent, ask.agent, act.agent) == ("refund.propose", "approval.ask", "refund.pay")
    assert propose.input == {"order": 17}
    assert ask.input == {
        "proposal": {"pay": 5},
        "proposed_by": {"agent": "refund.propose", "task_id": propose.task_id},
        "question": "Pay it back?",
        "timeout_seconds": 60,
    }
    assert act.input == {"proposal": {"pay": 5}, "decision": {"decision": "approve", "note": "fine"}}
    assert ended.output == {
        "outcome": "approved",
        "proposal": {"pay": 5},
        "decision": {"decision": "approve", "note": "fine"},
        "result": {"paid": 5},
        "tasks": {"propose": propose.task_id, "ask": ask.task_id, "act": act.task_id},
    }


@pytest.mark.parametrize("outcome", ["denied", "timed_out"])
def test_what_was_not_approved_is_an_outcome_and_no_failure(stage: Stage, outcome: str) -> None:
    decision = {"decision": "deny" if outcome == "denied" else outcome}
    ended = stage.run(APPROVAL, INPUT, world(decision))
    propose, ask = ended.orders
    assert ended.output == {
        "outcome": outcome,
        "proposal": {"pay": 5},
        "decision": decision,
        "tasks": {"propose": propose.task_id, "ask": ask.task_id},
    }


def test_an_action_with_an_input_of_its_own_gets_that(stage: Stage) -> None:
    value = INPUT | {"act": {"agent": "refund.pay", "input": {"cents": 5}}}
    ended = stage.run(APPROVAL, value, world())
    assert ended.asked("Act")[0].input == {"cents": 5}


def test_a_question_may_be_answered_for_as_long_as_it_says_and_the_task_lives_an_hour_longer(stage: Stage) -> None:
    without = {name: INPUT[name] for name in ("propose", "act")}
    asked = [stage.run(APPROVAL, value, world()).asked("Ask")[0] for value in (INPUT, without)]
    assert [order.body["timeout_seconds"] for order in asked] == [60 + 3600, 86_400 + 3600]
    assert asked[1].input.keys() == {"proposal", "proposed_by"}


def test_a_lane_that_does_not_answer_at_once_is_asked_again_for_a_proposal(stage: Stage) -> None:
    def answer(order: Any) -> Any:
        return Failed(UNREACHABLE) if order.state == "Propose" and order.retry < 2 else world()(order)

    ended = stage.run(hurried(APPROVAL), INPUT, answer)
    assert [order.retry for order in ended.asked("Propose")] == [0, 1, 2]
    assert ended.output["outcome"] == "approved"


def test_a_proposal_may_be_null(stage: Stage) -> None:
    ended = stage.run(APPROVAL, INPUT, by_state({"Propose": Done(None), "Ask": {"decision": "deny"}}))
    assert ended.output["proposal"] is None
