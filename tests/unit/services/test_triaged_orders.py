"""Workflows' orders, and messages of their tasks, in a dead letter queue: no state waits for what nobody will do."""

from __future__ import annotations

import json

import pytest

from flotilla.events import Event
from flotilla.models import Delivery, Status
from flotilla.workflows.order import body_without_token
from tests.unit.services.crashes import Calls, Died, Fate
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.ordering import TOKEN, asked, body_of, delivery_of, order_of, told, worked
from tests.unit.services.triage_desk import Desk, dead, dead_of, ids


@pytest.fixture
def desk(fleet: Fleet) -> Desk:
    return Desk(fleet)


def test_an_order_that_was_never_accepted_becomes_its_task_on_its_lane(desk: Desk) -> None:
    body = asked(desk.fleet, value=1)
    assert ids(desk.triage(dead(body)).done) == ["m1"]
    task = order_of(body).task_id
    assert desk.kinds(task) == ["accepted"]
    assert not desk.unreadable()
    assert run(desk.fleet.deliver(desk.fleet.delivery(task))).done
    assert told(desk.fleet)["output"] == {"value": 1}


def test_one_that_was_accepted_goes_on_as_a_task_does(desk: Desk) -> None:
    body = asked(desk.fleet, value=1)
    assert desk.fleet.tools.bridge is not None
    run(desk.fleet.tools.bridge.task_of(order_of(body), desk.fleet.catalog.get("sample.echo"), "g"))
    desk.triage(dead(body))
    task = order_of(body).task_id
    assert desk.kinds(task) == ["accepted", "parked"]
    desk.fleet.clock.advance(100)
    run(desk.fleet.deliver(delivery_of(desk.newest(task).to_body())))
    assert told(desk.fleet)["output"] == {"value": 1}


def test_an_order_for_an_agent_that_is_not_there_is_kept_and_its_state_told(desk: Desk) -> None:
    desk.triage(dead(asked(desk.fleet, "sample.later")))
    assert told(desk.fleet)["error"] == "unknown_agent"
    (kept,) = desk.unreadable()
    assert kept.reason == "no agent of that name is deployed"


def test_an_order_that_is_none_fails_its_state(desk: Desk) -> None:
    desk.triage(dead(asked(desk.fleet, lane="none")))
    assert told(desk.fleet)["error"] == "invalid_order"
    assert not desk.fleet.log.logs


def unanswered(fleet: Fleet, body: str) -> None:
    """The worker dies between the end of the task and the answer."""
    healthy, other = Calls(), Fleet(fleet.agents)
    worked(other, body, process=other.process(healthy))
    with pytest.raises(Died):
        worked(fleet, body, process=fleet.process(Calls(healthy.made.index("succeed"), Fate.DIED_BEFORE)))


def test_a_task_that_ended_unanswered_goes_back_to_be_answered(desk: Desk) -> None:
    body = asked(desk.fleet, value=1)
    unanswered(desk.fleet, body)
    task = order_of(body).task_id
    assert desk.kinds(task) == ["accepted", "started", "succeeded"]
    assert not desk.fleet.tokens.answers
    desk.triage(dead(body))
    message = desk.newest(task)
    assert run(desk.fleet.deliver(Delivery("m2", "r", message.group, 1, message.to_body()))).done
    assert told(desk.fleet)["output"] == {"value": 1}
    assert desk.kinds(task) == ["accepted", "started", "succeeded"]


def test_what_the_triage_ends_is_left_to_the_broadcaster(desk: Desk) -> None:
    body = asked(desk.fleet)
    desk.triage(dead(body))
    task = order_of(body).task_id
    for number in range(2):
        desk.triage(dead_of(desk.newest(task), f"m{number}"))
    assert run(desk.fleet.state(task)).status is Status.DEAD_LETTERED
    head: Event = run(desk.fleet.log.read(task))[-1]
    assert head.actor == "triage:fleet-triage/1"
    desk.triage(dead(body))
    assert not desk.fleet.tokens.answers


def test_a_token_is_in_nothing_that_is_kept_to_be_looked_at(desk: Desk) -> None:
    desk.triage(dead(asked(desk.fleet, "sample.later")))
    desk.triage(dead(json.dumps({"token": TOKEN}), message_id="m2"))
    worked(desk.fleet, body_of(lane="critical", step="Else"))
    (sent,) = desk.fleet.lanes.sent.values()
    desk.fleet.log.logs.clear()
    desk.triage(dead_of(sent, "m3"))
    desk.triage(dead(asked(desk.fleet, "sample.later", "x" * 9000), message_id="m4"))
    assert len(desk.unreadable()) == 4
    assert TOKEN not in str(desk.unreadable())
    assert TOKEN.encode() not in b"".join(desk.fleet.payloads.objects.values())


@pytest.mark.parametrize("body", ["", "no json", "[]", "7", '{"a":1}', '{"workflow":7}', '{"workflow":{"run":"r"}}'])
def test_a_body_without_a_token_is_kept_as_it_is(body: str) -> None:
    assert body_without_token(body) == body


def test_a_token_is_shown_by_its_digest() -> None:
    shown = json.loads(body_without_token(body_of()))
    assert shown["token"].startswith("sha256:")
    assert shown["input"] == {"value": None, "times": 0}
