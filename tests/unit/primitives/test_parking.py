"""Parked work comes back no sooner than it may, spread out, and looks less often the longer it has waited."""

from __future__ import annotations

import itertools
import random

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.parking import LONGEST_JITTER_SECONDS, look_again_seconds, release_seconds

FRACTIONS = st.floats(0, 1, exclude_max=True)
QUARTER_OF_AN_HOUR = 900


@given(wait=st.floats(0, 43_200), fraction=FRACTIONS)
def test_a_release_is_never_early_and_late_by_at_most_half_a_minute(wait: float, fraction: float) -> None:
    released = release_seconds(wait, fraction)
    assert wait <= released <= wait + LONGEST_JITTER_SECONDS
    assert released <= wait * 1.5


def test_a_release_of_many_is_spread_over_the_whole_jitter() -> None:
    chance = random.Random(1)
    released = sorted(release_seconds(60, chance.random()) for _ in range(1000))
    assert released[0] < 61 and released[-1] > 89
    assert max(later - sooner for sooner, later in itertools.pairwise(released)) < 1


@given(fraction=FRACTIONS)
def test_the_first_looks_are_between_a_quarter_and_three_quarters_of_a_minute_apart(fraction: float) -> None:
    assert 15 <= look_again_seconds(0, fraction) <= 45


@given(waited=st.floats(0, 1e6), fraction=FRACTIONS)
def test_a_look_is_never_further_away_than_a_quarter_of_an_hour(waited: float, fraction: float) -> None:
    assert 15 <= look_again_seconds(waited, fraction) <= QUARTER_OF_AN_HOUR


def test_two_days_of_waiting_use_up_fewer_receives_than_a_message_has() -> None:
    from stacks.settings_model import Lane

    chance = random.Random(1)
    waited, receives = 0.0, 1
    while waited < 2 * 86_400:
        waited += look_again_seconds(waited, chance.random())
        receives += 1
    assert receives < Lane.model_fields["max_receive_count"].default
