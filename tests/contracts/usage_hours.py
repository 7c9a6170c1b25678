"""The contract of `UsageHours`."""

from __future__ import annotations

import asyncio

from flotilla.primitives.cost_histogram import CostHistogram
from flotilla.primitives.usage_hour import HOUR_MS, UsageHour, hour_of
from flotilla.primitives.usage_sums import MemoryUse, Sums
from flotilla.usage_ports import UsageHours

FIRST_MS = hour_of(1_700_000_000_000)


def an_hour(begins_ms: int = FIRST_MS, tasks: int = 2) -> UsageHour:
    hour = UsageHour(begins_ms, objects=3, digest="d" * 32)
    sums = Sums(tasks=tasks, succeeded=1, model_nanos=7_000, compute_nanos=11, input_tokens=5)
    hour.total.add(sums)
    for group, name in (("agent", "sample.echo"), ("tenant", "größe/1"), ("lane", "standard"), ("model", "nova")):
        hour.add(group, name, sums)
    hour.used("standard", 1024, MemoryUse(1, 10, 20, 3_000, 11, 99))
    hour.costs = CostHistogram({-1: (1, 0), 102: (1, 7_011)})
    return hour


class UsageHoursContract:
    """Provide a fixture `hours`: with nothing in it."""

    def test_an_hour_comes_back_as_it_was(self, hours: UsageHours) -> None:
        asyncio.run(hours.put(an_hour()))
        assert asyncio.run(hours.get(FIRST_MS)) == an_hour()

    def test_of_an_hour_nobody_spoke_of_nothing_is_said(self, hours: UsageHours) -> None:
        asyncio.run(hours.put(an_hour()))
        assert asyncio.run(hours.get(FIRST_MS + HOUR_MS)) is None

    def test_what_is_said_later_takes_the_place_of_what_was(self, hours: UsageHours) -> None:
        asyncio.run(hours.put(an_hour(tasks=2)))
        asyncio.run(hours.put(an_hour(tasks=3)))
        found = asyncio.run(hours.get(FIRST_MS))
        assert found is not None
        assert found.total.tasks == 3
        assert list(asyncio.run(hours.begun(FIRST_MS, FIRST_MS + HOUR_MS))) == [FIRST_MS]

    def test_hours_are_listed_in_order_from_the_first_and_before_the_last(self, hours: UsageHours) -> None:
        begun = [FIRST_MS + number * HOUR_MS for number in (30, 0, 7, 2, 6)]
        for begins_ms in begun:
            asyncio.run(hours.put(an_hour(begins_ms)))
        asyncio.run(hours.set_whole_until(FIRST_MS))
        found = asyncio.run(hours.begun(FIRST_MS + HOUR_MS, FIRST_MS + 30 * HOUR_MS))
        assert list(found) == [FIRST_MS + number * HOUR_MS for number in (2, 6, 7)]
        assert list(asyncio.run(hours.begun(FIRST_MS + 31 * HOUR_MS, FIRST_MS + 32 * HOUR_MS))) == []

    def test_how_far_it_is_whole_is_kept(self, hours: UsageHours) -> None:
        assert asyncio.run(hours.whole_until()) is None
        for until_ms in (FIRST_MS, FIRST_MS + HOUR_MS):
            asyncio.run(hours.set_whole_until(until_ms))
            assert asyncio.run(hours.whole_until()) == until_ms
