"""The triage against crashes, lost answers, duplicates, workers and cancels."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.events import Kind, fold, verify_chain
from flotilla.models import Delivery
from flotilla.services.cancel import CancelService
from flotilla.services.dispatch import message_for
from flotilla.services.triage import RECEIVE_LIMIT, DeadMessage
from tests.unit.services.crashes import Calls, Died, every_failure
from tests.unit.services.fleet import Fleet, run
from tests.unit.services.open_logs import open_logs
from tests.unit.services.triage_desk import Desk, dead, dead_of, follow, ids


@pytest.fixture
def desk(fleet: Fleet) -> Desk:
    return Desk(fleet)


@pytest.mark.parametrize("what", ["a living task", "an unreadable message", "a dead task"])
def test_whatever_becomes_of_a_call_the_message_is_dealt_with_once(what: str) -> None:
    def scene() -> tuple[Desk, str, DeadMessage]:
        desk = Desk()
        task = desk.submitted()
        if what == "a dead task":
            desk.triage(dead_of(desk.newest(task), "m0"))
        return desk, task, dead("{" * 9000) if what == "an unreadable message" else dead_of(desk.newest(task))

    desk, _, message = scene()
    calls = Calls()
    desk.triage(message, calls=calls)
    expected = {"a living task": 3, "an unreadable message": 2, "a dead task": 2}[what]
    assert len(calls.made) == expected, calls.made
    for failing in every_failure(expected):
        desk, task, message = scene()
        again = True
        with contextlib.suppress(Died):
            again = bool(desk.triage(message, calls=failing).again)
        if again:
            assert ids(desk.triage(message).done) == ["m1"]
        kinds = desk.kinds(task)
        match what:
            case "a living task":
                assert kinds == ["accepted", "parked"]
                assert desk.newest(task).seq == 1
            case "a dead task":
                assert kinds == ["accepted", "parked", "dead_lettered"]
            case _:
                assert len(desk.unreadable()) == 1
                assert len(desk.fleet.payloads.objects) == 1


def test_the_same_message_twice_is_one_new_start(desk: Desk) -> None:
    """It was not deleted, or two copies of a task's message ended up here."""
    task = desk.submitted()
    message = desk.newest(task)
    for number in range(4):
        desk.triage(dead_of(message, f"m{number}"))
    assert desk.kinds(task) == ["accepted", "parked"]
    assert len(desk.fleet.delays.tiers) == 1


def test_a_message_answered_long_ago_starts_nothing_again(desk: Desk) -> None:
    task = desk.submitted("sample.failing")
    old = desk.newest(task)
    desk.triage(dead_of(old))
    desk.fleet.clock.advance(60)
    newer = desk.newest(task)
    head = run(desk.fleet.log.read(task))[-1]
    run(desk.fleet.log.append(follow(head, Kind.STARTED, {"lease_until_ms": 0})))
    assert ids(desk.triage(dead_of(old, "m2")).done) == ["m2"]
    assert desk.kinds(task) == ["accepted", "parked", "started"]
    assert desk.newest(task) == newer


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(["triage", "triage newest", "worker", "cancel"]), min_size=2, max_size=7), st.randoms())
def test_however_triage_workers_and_cancels_meet_the_task_ends_once_or_has_a_message(
    movers: list[str], chance: Any
) -> None:
    desk = Desk()
    task = desk.submitted()
    first = desk.newest(task)

    async def move(name: str, number: int) -> None:
        for _ in range(chance.randrange(15)):
            await asyncio.sleep(0)
        newest = desk.newest(task)
        match name:
            case "triage":
                await desk.service().run([dead_of(first, f"m{number}")], desk.receipts)
            case "triage newest":
                await desk.service().run([dead_of(newest, f"m{number}")], desk.receipts)
            case "worker":
                desk.fleet.clock.advance(100)
                await desk.fleet.deliver(Delivery(f"w{number}", "r", newest.group, 1, newest.to_body()))
            case _:
                service = CancelService(
                    logs=open_logs(desk.fleet, views=desk.views), schedules=desk.fleet.schedules, clock=desk.fleet.clock
                )
                await service.cancel("acme", task, actor="key:k", request_id=f"r{number}")

    async def all_of_them() -> None:
        await asyncio.gather(*(move(name, number) for number, name in enumerate(movers)))

    run(all_of_them())
    events = run(desk.fleet.log.read(task))
    verify_chain(events)
    state = fold(events)
    if not state.status.terminal:
        assert desk.newest(task).seq <= message_for(state).seq
        assert desk.newest(task).seq >= max(
            (event.seq for event in events if event.body.get("reason") == RECEIVE_LIMIT), default=0
        )
    assert not desk.unreadable()
