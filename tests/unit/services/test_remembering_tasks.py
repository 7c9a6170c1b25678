"""A session's memory: committed with the task's result or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from flotilla.coordination import Turn
from flotilla.errors import RetryableError
from flotilla.events import Kind, verify_chain
from flotilla.models import Delivery, Payload, Status
from tests.fakes.session_turns import MemorySessionTurns
from tests.unit.services.fleet import Fleet, run


def submitted(fleet: Fleet, value: object, agent: str = "sample.remembering", times: int = 0, **options: object) -> str:
    options = {"session": "s", **options}
    return str(run(fleet.submit(agent, {"value": value, "times": times}, **options)).state.task_id)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.message_id for delivery in deliveries]


def answer(fleet: Fleet, task: str) -> Any:
    return run(fleet.state(task)).output.inline["value"]


def remembered(fleet: Fleet, tenant: str = "acme") -> list[Any]:
    return [turn.content.inline["said"] for turn in run(fleet.turns.read(tenant, "s"))]


def test_a_task_sees_what_those_before_it_in_its_session_added(fleet: Fleet) -> None:
    tasks = [submitted(fleet, word) for word in ("one", "two", "three")]
    assert len(run(fleet.deliver(*(fleet.delivery(task) for task in tasks))).done) == 3
    assert answer(fleet, tasks[2]) == [{"said": "one"}, {"said": "two"}]
    assert remembered(fleet) == ["one", "two", "three"]
    assert [turn.position for turn in run(fleet.turns.read("acme", "s"))] == [0, 1, 2]


def test_a_plain_agent_remembers_too(fleet: Fleet) -> None:
    tasks = [submitted(fleet, word, "sample.remembering-plain") for word in ("one", "two")]
    run(fleet.deliver(*(fleet.delivery(task) for task in tasks)))
    assert answer(fleet, tasks[1]) == ["s", [{"said": "one"}]]


def test_the_result_and_the_turns_are_one_event(fleet: Fleet) -> None:
    task = submitted(fleet, "one")
    run(fleet.deliver(fleet.delivery(task)))
    (succeeded,) = [event for event in run(fleet.log.read(task)) if event.kind is Kind.SUCCEEDED]
    assert succeeded.body["turns"] == [Turn(0, task, Payload({"said": "one"})).to_json()]
    verify_chain(run(fleet.log.read(task)))


def test_what_a_failed_attempt_added_is_forgotten(fleet: Fleet) -> None:
    task = submitted(fleet, "once", times=1)
    run(fleet.deliver(fleet.delivery(task)))
    assert remembered(fleet) == []
    fleet.clock.advance(10)
    run(fleet.deliver(fleet.delivery(task, 2)))
    assert (remembered(fleet), answer(fleet, task)) == (["once"], [])


def test_a_task_that_dies_leaves_nothing_in_its_session(fleet: Fleet) -> None:
    task = submitted(fleet, "never", times=9)
    for receive in (1, 2, 3):
        run(fleet.deliver(fleet.delivery(task, receive)))
        fleet.clock.advance(100)
    assert run(fleet.state(task)).status is Status.DEAD_LETTERED
    assert remembered(fleet) == []


def test_a_task_without_a_session_has_no_memory(fleet: Fleet) -> None:
    task = submitted(fleet, "one", session=None)
    run(fleet.deliver(fleet.delivery(task)))
    assert run(fleet.state(task)).error.code == "no_session"


def test_sessions_of_two_tenants_are_two(fleet: Fleet) -> None:
    for tenant in ("acme", "umbrella"):
        task = submitted(fleet, tenant, tenant=tenant)
        run(fleet.deliver(fleet.delivery(task)))
        assert answer(fleet, task) == []
    assert remembered(fleet, "umbrella") == ["umbrella"]


def test_an_agent_that_does_not_ask_for_its_session_costs_no_call(fleet: Fleet) -> None:
    task = submitted(fleet, "one", "sample.echo")
    run(fleet.deliver(fleet.delivery(task)))
    assert (fleet.turns.reads, fleet.turns.puts, fleet.log.reads) == (0, 0, 0)


class TurnsThatAreLost(MemorySessionTurns):
    """Stores nothing."""

    async def put(self, tenant: str, session: str, turns: Any) -> None:
        raise RetryableError("down")


class TurnsWhoseAnswerIsLost(MemorySessionTurns):
    """Stores, and does not say so."""

    async def put(self, tenant: str, session: str, turns: Any) -> None:
        await super().put(tenant, session, turns)
        raise RetryableError("no answer")


@pytest.mark.parametrize("failing", [TurnsThatAreLost, TurnsWhoseAnswerIsLost])
def test_turns_that_are_not_surely_kept_hold_up_their_session_until_they_are(
    fleet: Fleet, failing: type[MemorySessionTurns]
) -> None:
    first, second = submitted(fleet, "one"), submitted(fleet, "two")
    fleet.turns.__class__ = failing
    result = run(fleet.deliver(fleet.delivery(first), fleet.delivery(second)))
    assert ids(result.again) == [first, second]
    assert fleet.kinds(first) == ["accepted", "started", "succeeded"]
    fleet.turns.__class__ = MemorySessionTurns
    fleet.clock.advance(10)
    assert ids(run(fleet.deliver(fleet.delivery(first, 2), fleet.delivery(second, 2))).done) == [first, second]
    assert fleet.kinds(first) == ["accepted", "started", "succeeded"], "it is not run again"
    assert answer(fleet, second) == [{"said": "one"}]
    assert remembered(fleet) == ["one", "two"]


def test_a_finished_task_handed_out_again_changes_nothing_in_its_session(fleet: Fleet) -> None:
    task = submitted(fleet, "one")
    for receive in (1, 2, 3):
        assert ids(run(fleet.deliver(fleet.delivery(task, receive))).done) == [task]
    assert remembered(fleet) == ["one"]


def test_a_large_turn_leaves_the_log(fleet: Fleet) -> None:
    first, second = submitted(fleet, "x" * 5000), submitted(fleet, "two")
    run(fleet.deliver(fleet.delivery(first)))
    run(fleet.deliver(fleet.delivery(second)))
    (turn, _) = run(fleet.turns.read("acme", "s"))
    assert turn.content.ref in fleet.payloads.objects
    output = run(fleet.claim_check.check_out(run(fleet.state(second)).output))
    assert output["value"] == [{"said": "x" * 5000}]
