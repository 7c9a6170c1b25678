"""Accepting tasks: once for a key, and never without its message."""

from __future__ import annotations

import asyncio

import pytest

from flotilla.errors import IdempotencyKeyReusedError, RetryableError
from flotilla.models import TaskMessage
from tests.fakes import MemoryLanes
from tests.unit.services.fleet import Fleet, run


class LanesThatLoseTheFirstSend(MemoryLanes):
    """The process dies before its message is sent, once."""

    async def send(self, message: TaskMessage) -> None:
        if self.sends == 0:
            self.sends += 1
            raise RetryableError("gone")
        await super().send(message)


def test_a_submit_is_one_event_and_one_message(fleet: Fleet) -> None:
    accepted = run(fleet.submit("sample.echo", {"value": 1}))
    assert fleet.kinds(accepted.state.task_id) == ["accepted"]
    assert (fleet.log.appends, fleet.log.reads, fleet.lanes.sends) == (1, 0, 1)
    message = fleet.message(accepted.state.task_id)
    assert (message.seq, message.hash) == (0, accepted.state.head_hash)
    assert TaskMessage.from_body(message.to_body()) == message


def test_without_a_key_every_call_is_a_new_task(fleet: Fleet) -> None:
    first = run(fleet.submit("sample.echo", {}))
    second = run(fleet.submit("sample.echo", {}))
    assert first.state.task_id != second.state.task_id


def test_the_same_key_and_body_is_the_same_task(fleet: Fleet) -> None:
    first = run(fleet.submit("sample.echo", {"value": 1}, idempotency_key="k"))
    second = run(fleet.submit("sample.echo", {"value": 1}, idempotency_key="k"))
    assert second.replayed and not first.replayed
    assert second.state.task_id == first.state.task_id
    assert len(fleet.lanes.sent) == 1


def test_the_same_key_of_another_tenant_is_another_task(fleet: Fleet) -> None:
    first = run(fleet.submit("sample.echo", {}, idempotency_key="k", tenant="a"))
    second = run(fleet.submit("sample.echo", {}, idempotency_key="k", tenant="b"))
    assert first.state.task_id != second.state.task_id


def test_the_same_key_with_another_body_is_refused(fleet: Fleet) -> None:
    run(fleet.submit("sample.echo", {"value": 1}, idempotency_key="k"))
    with pytest.raises(IdempotencyKeyReusedError):
        run(fleet.submit("sample.echo", {"value": 2}, idempotency_key="k"))


def test_fifty_concurrent_submits_with_one_key_are_one_task(fleet: Fleet) -> None:
    async def storm() -> list[bool]:
        calls = [fleet.submit("sample.echo", {"value": 1}, idempotency_key="k") for _ in range(50)]
        return [accepted.replayed for accepted in await asyncio.gather(*calls)]

    assert run(storm()).count(False) == 1
    assert len(fleet.log.logs) == 1
    assert len(fleet.lanes.sent) == 1


def test_a_call_that_died_before_its_message_is_mended_by_its_repeat(fleet: Fleet) -> None:
    fleet.lanes = LanesThatLoseTheFirstSend()
    fleet.__post_init__()
    with pytest.raises(RetryableError):
        run(fleet.submit("sample.echo", {}, idempotency_key="k"))
    assert not fleet.lanes.sent
    accepted = run(fleet.submit("sample.echo", {}, idempotency_key="k"))
    assert accepted.replayed
    assert fleet.message(accepted.state.task_id).seq == 0


def test_a_replay_of_a_finished_task_sends_nothing(fleet: Fleet) -> None:
    first = run(fleet.submit("sample.echo", {"value": 1}, idempotency_key="k"))
    run(fleet.deliver(fleet.delivery(first.state.task_id)))
    sends = fleet.lanes.sends
    again = run(fleet.submit("sample.echo", {"value": 1}, idempotency_key="k"))
    assert again.state.status == "succeeded"
    assert fleet.lanes.sends == sends


def test_a_large_input_is_checked_in_before_the_event(fleet: Fleet) -> None:
    accepted = run(fleet.submit("sample.echo", {"value": "x" * 5000}))
    assert accepted.state.input.ref in fleet.payloads.objects
    assert len(fleet.message(accepted.state.task_id).to_body()) < 1000
    run(fleet.deliver(fleet.delivery(accepted.state.task_id)))
    state = run(fleet.state(accepted.state.task_id))
    assert run(fleet.claim_check.check_out(state.output)) == {"value": "x" * 5000}


def test_tenants_with_the_same_session_name_do_not_share_a_group(fleet: Fleet) -> None:
    groups = {
        fleet.message(run(fleet.submit("sample.echo", {}, session="s", tenant=tenant)).state.task_id).group
        for tenant in ("a", "b", "a")
    }
    assert len(groups) == 2
