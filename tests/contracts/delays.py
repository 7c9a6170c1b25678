"""The contract of `Delays`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from flotilla.models import TaskMessage
from flotilla.ports import Delays
from tests.contracts.lanes import MESSAGE

TIERS = (1, 15, 120)
"""The tiers there are."""

DELAYED = replace(MESSAGE, not_before_ms=1_700_000_100_000)

MessagesIn = Callable[[int], list[TaskMessage]]


def delay(delays: Delays, tier_seconds: int, *messages: TaskMessage) -> None:
    async def send_all() -> None:
        for message in messages:
            await delays.send(message, tier_seconds)

    asyncio.run(send_all())


class DelaysContract:
    """Provide fixtures `delays` and `messages_in`, which takes what a tier was sent out of it, due or not."""

    def test_a_message_lies_as_it_was_sent_in_its_own_tier(self, delays: Delays, messages_in: MessagesIn) -> None:
        delay(delays, 15, DELAYED)
        delay(delays, 120, replace(DELAYED, task_id="tsk_2"))
        assert messages_in(15) == [DELAYED]
        assert [message.task_id for message in messages_in(120)] == ["tsk_2"]
        assert messages_in(1) == []

    def test_two_sends_of_one_state_of_a_task_are_one_message(self, delays: Delays, messages_in: MessagesIn) -> None:
        delay(delays, 1, DELAYED, DELAYED)
        assert messages_in(1) == [DELAYED]

    def test_another_state_of_the_task_is_another_message(self, delays: Delays, messages_in: MessagesIn) -> None:
        delay(delays, 1, DELAYED, replace(DELAYED, seq=4))
        assert [message.seq for message in messages_in(1)] == [0, 4]

    def test_another_round_through_the_same_tier_is_another_message(
        self, delays: Delays, messages_in: MessagesIn
    ) -> None:
        delay(delays, 120, DELAYED, replace(DELAYED, hops=1))
        assert [message.hops for message in messages_in(120)] == [0, 1]
