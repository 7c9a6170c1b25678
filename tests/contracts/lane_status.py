"""The contracts of `LaneDepths`, `LaneQueues` and `LaneMeter`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from flotilla.models import LaneCounts, LaneReading
from flotilla.ports import LaneDepths, LaneMeter, LaneQueues

Lay = Callable[[str, LaneCounts], None]
"""Has so many messages lie on an empty lane and in its dead letter queue."""

Measure = Callable[[str, LaneReading, int], None]
"""Has a lane been measured so many minutes ago; what is None was not."""


class LaneDepthsContract:
    """Provide fixtures `depths` and `lay`, for lanes that are empty at first, `standard` and `batch` among them."""

    def test_nothing_waits_on_an_empty_lane(self, depths: LaneDepths) -> None:
        assert asyncio.run(depths.waiting("standard")) == 0

    def test_what_could_be_handed_out_now_waits(self, depths: LaneDepths, lay: Lay) -> None:
        lay("standard", LaneCounts(waiting=5, in_flight=2, undeliverable=1))
        assert asyncio.run(depths.waiting("standard")) == 5
        assert asyncio.run(depths.waiting("batch")) == 0


class LaneQueuesContract:
    """Provide fixtures `queues` and `lay`, as for `LaneDepthsContract`."""

    def test_an_empty_lane_has_no_messages(self, queues: LaneQueues) -> None:
        assert asyncio.run(queues.counts("standard")) == LaneCounts(0, 0, 0)

    def test_what_waits_what_is_in_flight_and_what_is_dead_are_told_apart(self, queues: LaneQueues, lay: Lay) -> None:
        found = LaneCounts(waiting=5, in_flight=2, undeliverable=3)
        lay("standard", found)
        assert asyncio.run(queues.counts("standard")) == found
        assert asyncio.run(queues.counts("batch")) == LaneCounts(0, 0, 0)


UNKNOWN = LaneReading(None, None)


class LaneMeterContract:
    """Provide fixtures `meter`, which has not looked yet, and `measure`, for lanes `standard` and `batch`."""

    def readings(self, meter: LaneMeter) -> list[LaneReading]:
        found = asyncio.run(meter.latest())
        return [found.get(lane, UNKNOWN) for lane in ("standard", "batch")]

    def test_nothing_is_known_of_what_was_not_measured(self, meter: LaneMeter) -> None:
        assert self.readings(meter) == [UNKNOWN, UNKNOWN]

    def test_lanes_are_told_apart_and_so_are_their_measures(self, meter: LaneMeter, measure: Measure) -> None:
        measure("standard", LaneReading(45, 3), 1)
        measure("batch", LaneReading(0, None), 1)
        assert self.readings(meter) == [LaneReading(45, 3), LaneReading(0, None)]

    def test_the_newest_measure_counts(self, meter: LaneMeter, measure: Measure) -> None:
        measure("standard", LaneReading(300, 9), 3)
        measure("standard", LaneReading(45, 1), 1)
        assert self.readings(meter) == [LaneReading(45, 1), UNKNOWN]
