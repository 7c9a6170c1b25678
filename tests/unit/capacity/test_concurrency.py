"""Little's law, batches and ramps: every number here was reckoned by hand."""

from __future__ import annotations

import pytest

from capacity.concurrency import of_lane
from capacity.fleet_shape import LaneLoad, LaneShape

LANE = LaneShape(batch_size=10, maximum_concurrency=200)


@pytest.mark.parametrize(
    ("rate", "seconds", "at_once", "full", "recommended"),
    [
        # 10,000 / 60 x 2 = 333.3; a tenth of it; and 33.3 / 0.8 = 41.7
        (10_000, 2, 333.333, 33.333, 42),
        (10_000, 6, 1_000, 100, 125),
        (10_000, 30, 5_000, 500, 625),
        (1_000_000, 30, 500_000, 50_000, 62_500),
        # One task in ten minutes: nothing is ever at once, and a mapping has two.
        (0.1, 6, 0.01, 0.001, 2),
    ],
)
def test_what_is_at_once_is_the_rate_times_how_long_each_takes(
    rate: float, seconds: float, at_once: float, full: float, recommended: int
) -> None:
    found = of_lane(LaneLoad("standard", rate, seconds), LANE)
    assert found.in_progress == pytest.approx(at_once, rel=1e-4)
    assert found.one_at_a_time == pytest.approx(at_once, rel=1e-4)
    assert found.full_batches == pytest.approx(full, rel=1e-4)
    assert found.recommended == recommended


def test_invocations_have_one_task_each_while_there_are_enough_of_them() -> None:
    found = of_lane(LaneLoad("standard", 1_200, 6), LANE)  # 20 a second x 6 s = 120 of 200
    assert (found.batch, found.expected) == (1, pytest.approx(120))


def test_the_fewer_invocations_there_may_be_the_fuller_are_they() -> None:
    found = of_lane(LaneLoad("standard", 10_000, 6), LANE)  # 1,000 tasks at once in 200 invocations
    assert (found.batch, found.expected) == (pytest.approx(5), pytest.approx(200))
    assert found.used == pytest.approx(0.5)


def test_more_than_full_batches_can_do_is_said() -> None:
    found = of_lane(LaneLoad("standard", 10_000, 30), LANE)  # 500 full invocations, of which there may be 200
    assert found.batch == 10
    assert found.used == pytest.approx(2.5)


def test_an_invocation_lasts_as_long_as_its_slowest_task() -> None:
    found = of_lane(LaneLoad("standard", 6_000, 4, slowest_seconds=12), LANE)
    assert found.one_at_a_time == pytest.approx(400)  # 100 a second x 4 s
    assert found.full_batches == pytest.approx(120)  # 100 / 10 x 12 s, and not the 40 of equal tasks


def test_a_mapping_ramps_by_300_a_minute() -> None:
    ramp = of_lane(LaneLoad("standard", 10_000, 30), LANE).ramp
    assert ramp.seconds == pytest.approx(99)  # (500 - 5) / 300 minutes
    assert ramp.bound_by == "mapping"
    # 166.67 a second arrive for 99 s: 16,500; (5 + 500) / 2 invocations on average do 10 tasks each 30 s: 8,332.5
    assert ramp.backlog == pytest.approx(16_500 - 8_332.5)


def test_pollers_of_its_own_ramp_by_1000_a_minute() -> None:
    ramp = of_lane(LaneLoad("standard", 10_000, 30), LANE).own_pollers
    assert ramp.seconds == pytest.approx(28.8)  # (500 - 20) / 1,000 minutes


def test_fifty_thousand_take_fifty_minutes_on_one_mapping_with_pollers_of_its_own() -> None:
    ramp = of_lane(LaneLoad("standard", 1_000_000, 30), LANE).own_pollers
    assert ramp.seconds / 60 == pytest.approx(50, rel=0.01)
