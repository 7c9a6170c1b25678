"""The contract of `Schedules`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from flotilla.models import Payload, TaskMessage
from flotilla.ports import Schedules
from tests.contracts.lanes import MESSAGE

AT_MS = 1_800_000_000_000
LATER = replace(MESSAGE, not_before_ms=AT_MS + 90_000)

Scheduled = Callable[[], list[tuple[TaskMessage, int]]]


def put(schedules: Schedules, *messages: TaskMessage, at_ms: int = AT_MS) -> None:
    async def put_all() -> None:
        for message in messages:
            await schedules.put(message, at_ms)

    asyncio.run(put_all())


class SchedulesContract:
    """Provide fixtures `schedules` and `scheduled`: what is yet to fire, and when (ms), in any order."""

    def test_what_is_put_will_fire_at_its_time_as_it_was_given(
        self, schedules: Schedules, scheduled: Scheduled
    ) -> None:
        put(schedules, LATER)
        assert scheduled() == [(LATER, AT_MS)]

    def test_a_schedule_is_never_later_than_asked_for(self, schedules: Schedules, scheduled: Scheduled) -> None:
        put(schedules, LATER, at_ms=AT_MS + 999)
        ((_, at_ms),) = scheduled()
        assert AT_MS <= at_ms <= AT_MS + 999

    def test_the_same_state_of_a_task_is_scheduled_once(self, schedules: Schedules, scheduled: Scheduled) -> None:
        put(schedules, LATER, LATER)
        assert scheduled() == [(LATER, AT_MS)]

    def test_another_state_of_the_task_has_a_schedule_of_its_own(
        self, schedules: Schedules, scheduled: Scheduled
    ) -> None:
        put(schedules, LATER, replace(LATER, seq=4), replace(LATER, task_id="tsk_2"))
        assert sorted((message.task_id, message.seq) for message, _ in scheduled()) == [
            ("tsk_1", 0),
            ("tsk_1", 4),
            ("tsk_2", 0),
        ]

    def test_what_is_removed_does_not_fire(self, schedules: Schedules, scheduled: Scheduled) -> None:
        put(schedules, LATER, replace(LATER, seq=4))
        asyncio.run(schedules.remove("tsk_1", 0))
        assert [message.seq for message, _ in scheduled()] == [4]

    def test_removing_what_is_not_there_is_nothing(self, schedules: Schedules, scheduled: Scheduled) -> None:
        put(schedules, LATER)
        asyncio.run(schedules.remove("tsk_1", 7))
        asyncio.run(schedules.remove("tsk_9", 0))
        assert scheduled() == [(LATER, AT_MS)]

    def test_no_word_of_a_client_is_taken_for_the_schedulers_own(
        self, schedules: Schedules, scheduled: Scheduled
    ) -> None:
        words = {"<aws.scheduler.scheduled-time>": ["<aws.scheduler.execution-id>", '\\<b> "größe" \U0001f680 \\u003c']}
        message = replace(LATER, input=Payload(inline=words))
        put(schedules, message)
        assert scheduled() == [(message, AT_MS)]

    def test_a_name_longer_than_any_of_ours_is_scheduled_too(self, schedules: Schedules, scheduled: Scheduled) -> None:
        long = replace(LATER, task_id="tsk_" + "x" * 80)
        put(schedules, long, long)
        assert scheduled() == [(long, AT_MS)]
        asyncio.run(schedules.remove(long.task_id, long.seq))
        assert scheduled() == []
