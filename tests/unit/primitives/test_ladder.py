"""The delay ladder: nothing before its time, few hops, and every path ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from flotilla.primitives.ladder import (
    HOLD_SECONDS,
    MAX_HOPS,
    REACH_SECONDS,
    SCHEDULE_LEAD_SECONDS,
    SLACK_SECONDS,
    Beyond,
    Hold,
    Ladder,
    Tier,
    ToLane,
)

SHIPPED = (1, 15, 120, 480, 900)
TIERS = st.sets(st.integers(1, REACH_SECONDS), min_size=1, max_size=10)
WITHIN_REACH = st.floats(0, REACH_SECONDS)
SKEW = st.floats(-1, 1)


@dataclass
class Journey:
    """How a message came through the ladder.

    Attributes:
        late_seconds: How long after its time it was put on its lane.
        hops: How often it was passed on to a tier, the first included.
        holds: How often it was held in place.
    """

    late_seconds: float
    hops: int
    holds: int


def travel(ladder: Ladder, delay_seconds: float, *, skew: Callable[[], float] = lambda: 0.0) -> Journey:
    """Bring a message through the ladder, each step judged by a clock that is wrong by `skew()`."""
    now, hops, holds = 0.0, 0, 0
    step: ToLane | Tier | Hold | Beyond = ladder.place(delay_seconds + skew())
    while not isinstance(step, ToLane):
        assert not isinstance(step, Beyond), "it is within reach"
        if isinstance(step, Tier):
            assert step.seconds in ladder.tiers_seconds
            hops += 1
        else:
            holds += 1
        now += step.seconds
        step = ladder.on_arrival(delay_seconds - now + skew(), max(0, hops - 1))
    return Journey(now - delay_seconds, hops, holds)


@given(TIERS, WITHIN_REACH)
def test_nothing_is_let_through_before_its_time_nor_more_than_a_second_late(tiers: set[int], delay: float) -> None:
    ladder = Ladder(tiers)
    late = travel(ladder, delay).late_seconds
    if ladder.place(delay) == ToLane():
        assert delay < min(tiers), "the lane holds what is shorter than every tier"
    else:
        assert 0 <= late <= 1


@given(TIERS, st.floats(0, REACH_SECONDS - 1), st.data())
def test_clocks_a_second_apart_cost_at_most_that_second_either_way(
    tiers: set[int], delay: float, data: st.DataObject
) -> None:
    ladder = Ladder(tiers)
    journey = travel(ladder, delay, skew=lambda: data.draw(SKEW))
    if journey.hops:
        # A clock that is fast lets it through early by what it is fast: the worker's own clock is asked again.
        assert -1 <= journey.late_seconds <= 2 + SLACK_SECONDS


@pytest.mark.parametrize("skew", [0.0, -1.0, 1.0])
def test_the_shipped_tiers_need_two_hops_and_a_hold_at_most(skew: float) -> None:
    ladder = Ladder(SHIPPED)
    journeys = [travel(ladder, tenths / 10, skew=lambda: skew) for tenths in range((REACH_SECONDS - 1) * 10)]
    assert max(journey.hops for journey in journeys) == 2
    assert max(journey.holds for journey in journeys) == 1


def test_the_longest_delay_within_reach_is_one_hop() -> None:
    assert travel(Ladder(SHIPPED), REACH_SECONDS) == Journey(late_seconds=0, hops=1, holds=0)


@given(TIERS, WITHIN_REACH)
def test_whatever_the_tiers_no_message_within_reach_is_handled_often(tiers: set[int], delay: float) -> None:
    journey = travel(Ladder(tiers), delay)
    assert journey.hops <= 1 + REACH_SECONDS // 60
    assert journey.hops + journey.holds <= 2 + REACH_SECONDS // 60


@given(TIERS, st.floats(0, 43_200))
def test_a_wait_of_hours_ends_within_the_bound_of_hops(tiers: set[int], delay: float) -> None:
    ladder = Ladder(tiers)
    now, hops = float(ladder.tiers_seconds[-1]), 0
    while not isinstance(step := ladder.on_arrival(delay - now, hops), ToLane):
        hops += isinstance(step, Tier)
        now += step.seconds
        assert hops <= MAX_HOPS
    assert now >= delay or hops == MAX_HOPS


def test_the_longest_wait_of_a_worker_is_within_the_bound_of_hops_with_the_shipped_tiers() -> None:
    ladder = Ladder(SHIPPED)
    now, hops = 900.0, 0
    while not isinstance(step := ladder.on_arrival(43_200 - now, hops), ToLane):
        hops += isinstance(step, Tier)
        now += step.seconds
    assert now == 43_200
    assert hops < 50 <= MAX_HOPS


@given(TIERS, st.floats())
@example({1}, math.nan)
@example({900}, math.inf)
@example({900}, -math.inf)
def test_there_is_an_answer_to_every_number(tiers: set[int], remaining: float) -> None:
    ladder = Ladder(tiers)
    placed, arrived = ladder.place(remaining), ladder.on_arrival(remaining)
    assert isinstance(placed, Beyond) == (remaining > REACH_SECONDS + SLACK_SECONDS)
    assert isinstance(arrived, ToLane) or remaining > 0
    if isinstance(arrived, Hold):
        assert 0 < arrived.seconds <= HOLD_SECONDS


@given(TIERS, st.floats(max_value=0))
def test_what_is_due_goes_to_its_lane(tiers: set[int], remaining: float) -> None:
    assert Ladder(tiers).place(remaining) == ToLane()
    assert Ladder(tiers).on_arrival(remaining) == ToLane()


@pytest.mark.parametrize("tier", SHIPPED)
def test_a_delay_of_just_a_tiers_length_needs_that_tier_alone(tier: int) -> None:
    """Some milliseconds of it have passed when it is placed."""
    ladder = Ladder(SHIPPED)
    assert ladder.place(tier - 0.02) == Tier(tier)
    assert ladder.on_arrival(-0.02) == ToLane()


@pytest.mark.parametrize(("remaining", "placed"), [(0.2, Tier(1)), (1, Tier(1)), (14, Tier(1)), (899, Tier(480))])
def test_a_message_goes_into_the_largest_tier_that_is_not_too_long(remaining: float, placed: Tier) -> None:
    assert Ladder(SHIPPED).place(remaining) == placed


def test_what_no_tier_is_short_enough_for_is_held_on_its_lane() -> None:
    assert Ladder([15, 120]).place(5) == ToLane()
    assert Ladder([15, 120]).place(14.2) == Tier(15), "less than a second late is as exact as a hold"


def test_a_schedule_fires_into_the_ladders_reach() -> None:
    """The scheduler is up to a minute late; what remains then is a single hold."""
    ladder = Ladder(SHIPPED)
    for late in (0, 30, 60):
        remaining = SCHEDULE_LEAD_SECONDS - late - ladder.tiers_seconds[0]
        assert ladder.on_arrival(remaining) == Hold(remaining)


@pytest.mark.parametrize("tiers", [[], [0], [-1, 15], [1, 901]])
def test_tiers_that_cannot_be_are_refused(tiers: list[int]) -> None:
    with pytest.raises(ValueError, match="tiers are of 1 to 900 seconds"):
        Ladder(tiers)
