"""An outage while tasks keep coming: few calls in vain, and afterwards no stampede of what has waited."""

from __future__ import annotations

import pytest

from tests.simulation.recovery.waiting_fleet import Outage, simulate

PEAK_SECONDS = 5.0
MOST_OF_NORMAL = 1.5


@pytest.mark.parametrize(
    "outage",
    [
        Outage(per_second=3, seconds=300, environments=3),
        Outage(per_second=10, seconds=60, after=300, environments=10, seed=2),
        Outage(per_second=20, seconds=60, after=300, environments=40, seed=3),
    ],
    ids=lambda outage: f"{outage.per_second}/s, {outage.seconds} s, {outage.environments} environments",
)
def test_what_has_waited_comes_back_at_no_more_than_half_as_much_again_as_usual(outage: Outage) -> None:
    seen = simulate(outage)
    assert len(seen.waits) == outage.per_second * outage.seconds
    assert seen.peak(outage.well_at, PEAK_SECONDS) <= MOST_OF_NORMAL * outage.per_second
    wasted = sum(outage.before <= time < outage.well_at for time in seen.calls)
    assert wasted <= 5 * outage.environments + 20
    assert seen.looks <= 9 * len(seen.waits), "each task looks a few times, however long it takes"
    assert seen.done - outage.well_at <= 4.5 * outage.seconds


def test_where_few_calls_are_made_all_that_waited_is_done_soon() -> None:
    outage = Outage(per_second=0.2, seconds=600, after=600, environments=3)
    seen = simulate(outage)
    assert len(seen.waits) == 120
    assert seen.done - outage.well_at <= outage.seconds
    assert seen.peak(outage.well_at, 60.0) <= 1.5, "a call a second, and the ramp's own"


def test_a_burst_that_nothing_was_known_of_before_is_done_all_the_same() -> None:
    """Nothing was called before: nobody knows what is usual, and nothing is held back for it."""
    outage = Outage(per_second=10, seconds=120, before=0.0, after=60, environments=5)
    seen = simulate(outage)
    assert len(seen.waits) == 1200
    assert seen.done - outage.well_at <= 4.5 * outage.seconds
