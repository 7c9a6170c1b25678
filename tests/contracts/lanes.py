"""The contracts of `Lanes` and `LaneReceipts`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from flotilla.models import Delivery, Payload, TaskMessage
from flotilla.ports import LaneReceipts, Lanes

MESSAGE = TaskMessage(
    task_id="tsk_1",
    tenant="acme",
    agent="sample.echo",
    agent_version="1",
    lane="standard",
    session=None,
    seq=0,
    hash="ab" * 32,
    attempt=0,
    max_attempts=4,
    accepted_at_ms=1_700_000_000_000,
    deadline_ms=None,
    input=Payload(inline={"text": "größe \U0001f680"}),
)

MessagesOn = Callable[[str], list[TaskMessage]]


def sessions(*names: str | None, lane: str = "standard") -> list[TaskMessage]:
    """Messages of different tasks, each of the session named or of none."""
    return [
        replace(MESSAGE, task_id=f"tsk_{lane}_{number}", session=name, lane=lane) for number, name in enumerate(names)
    ]


def send_batch(lanes: Lanes, messages: list[TaskMessage]) -> list[bool]:
    return asyncio.run(lanes.send_batch(messages))


def send(lanes: Lanes, *messages: TaskMessage) -> None:
    async def send_all() -> None:
        for message in messages:
            await lanes.send(message)

    asyncio.run(send_all())


class LanesContract:
    """Provide fixtures `lanes` and `messages_on`, which takes what lies on a lane off it, in order."""

    def test_a_message_arrives_as_it_was_sent_on_its_own_lane(self, lanes: Lanes, messages_on: MessagesOn) -> None:
        send(lanes, MESSAGE, replace(MESSAGE, task_id="tsk_2", lane="batch"))
        assert messages_on("standard") == [MESSAGE]
        assert [message.task_id for message in messages_on("batch")] == ["tsk_2"]
        assert messages_on("critical") == []

    def test_two_sends_of_one_state_of_a_task_are_one_message(self, lanes: Lanes, messages_on: MessagesOn) -> None:
        send(lanes, MESSAGE, MESSAGE, replace(MESSAGE, trace="another request"))
        assert messages_on("standard") == [MESSAGE]

    def test_another_state_of_the_task_is_another_message(self, lanes: Lanes, messages_on: MessagesOn) -> None:
        send(lanes, replace(MESSAGE, session="s"), replace(MESSAGE, session="s", seq=4))
        assert [message.seq for message in messages_on("standard")] == [0, 4]

    def test_a_session_is_handed_out_in_the_order_it_was_sent(self, lanes: Lanes, messages_on: MessagesOn) -> None:
        sent = [replace(MESSAGE, task_id=f"tsk_{number}", session="s") for number in range(8)]
        send(lanes, *sent)
        assert messages_on("standard") == sent

    def test_a_batch_arrives_whole_on_every_lane(self, lanes: Lanes, messages_on: MessagesOn) -> None:
        standard, batch = sessions(*[None] * 23), sessions(*[None] * 4, lane="batch")
        assert send_batch(lanes, [*standard, *batch]) == [True] * 27
        assert {message.task_id for message in messages_on("standard")} == {message.task_id for message in standard}
        assert {message.task_id for message in messages_on("batch")} == {message.task_id for message in batch}

    def test_sessions_of_a_batch_are_handed_out_in_its_order(self, lanes: Lanes, messages_on: MessagesOn) -> None:
        sent = sessions(*["a", "b", None, "a"] * 6)
        assert send_batch(lanes, sent) == [True] * 24
        found = messages_on("standard")
        for session in "ab":
            assert [message for message in found if message.session == session] == [
                message for message in sent if message.session == session
            ]

    def test_a_batch_sent_again_is_still_one_message_for_each_state_of_a_task(
        self, lanes: Lanes, messages_on: MessagesOn
    ) -> None:
        sent = sessions(None, "a", "a")
        assert send_batch(lanes, [*sent, *sent]) == [True] * 6
        assert send_batch(lanes, sent) == [True] * 3
        assert len(messages_on("standard")) == 3

    def test_an_empty_batch_is_nothing_done(self, lanes: Lanes) -> None:
        assert send_batch(lanes, []) == []


def delivery(number: int) -> Delivery:
    """A receipt of a message that no queue has."""
    return Delivery(f"m{number}", f"receipt-{number}", "group", 1, "body")


class LaneReceiptsContract:
    """Provide a fixture `receipts` for a lane on which nothing lies."""

    def test_nothing_to_do_is_nothing_done(self, receipts: LaneReceipts) -> None:
        asyncio.run(receipts.set_visibility([]))
        asyncio.run(receipts.delete([]))

    def test_a_message_that_is_somebody_elses_by_now_is_passed_over(self, receipts: LaneReceipts) -> None:
        asyncio.run(receipts.set_visibility([(delivery(number), number) for number in range(25)]))
        asyncio.run(receipts.delete([delivery(number) for number in range(25)]))

    def test_a_message_is_put_aside_whatever_is_wrong_with_it(self, receipts: LaneReceipts) -> None:
        for number, reason in enumerate(["", "x" * 5000, "größe \U0001f680"]):
            asyncio.run(receipts.put_aside(delivery(number), reason))
