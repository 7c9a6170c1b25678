"""Backoff with full jitter: inside its bounds, and spread over the whole of them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.backoff import full_jitter_seconds

FAILURES = st.integers(0, 10**9)
SECONDS = st.floats(0, 1e6)
FRACTION = st.floats(0, 1, exclude_max=True)


@given(FAILURES, SECONDS, SECONDS, FRACTION)
def test_a_wait_is_never_negative_nor_above_the_cap(failures: int, base: float, cap: float, fraction: float) -> None:
    wait = full_jitter_seconds(failures, base_seconds=base, cap_seconds=cap, fraction=fraction)
    assert 0 <= wait <= cap


@given(st.integers(1, 20), st.floats(0.01, 100), FRACTION)
def test_without_a_cap_the_ceiling_doubles_with_each_failure(failures: int, base: float, fraction: float) -> None:
    def wait(count: int) -> float:
        return full_jitter_seconds(count, base_seconds=base, cap_seconds=float("inf"), fraction=fraction)

    assert wait(failures + 1) == pytest.approx(2 * wait(failures))
    assert wait(1) == pytest.approx(base * fraction)


@given(FAILURES, SECONDS, SECONDS, FRACTION, FRACTION)
def test_a_larger_draw_is_no_shorter_wait(failures: int, base: float, cap: float, one: float, other: float) -> None:
    def wait(fraction: float) -> float:
        return full_jitter_seconds(failures, base_seconds=base, cap_seconds=cap, fraction=fraction)

    assert wait(min(one, other)) <= wait(max(one, other))


@given(FAILURES, SECONDS, SECONDS, FRACTION, st.floats(0, 1e7))
def test_the_other_sides_wish_is_a_lower_bound_even_above_the_cap(
    failures: int, base: float, cap: float, fraction: float, wish: float
) -> None:
    def wait(at_least: float | None) -> float:
        return full_jitter_seconds(
            failures, base_seconds=base, cap_seconds=cap, fraction=fraction, at_least_seconds=at_least
        )

    assert wait(wish) == max(wish, wait(None))


def test_the_jitter_is_full_every_tenth_of_the_interval_gets_its_share() -> None:
    draw = random.Random(11)
    waits = [full_jitter_seconds(4, base_seconds=1, cap_seconds=300, fraction=draw.random()) for _ in range(10_000)]
    tenths = [sum(1 for wait in waits if tenth <= wait / 0.8 < tenth + 1) for tenth in range(10)]
    assert sum(tenths) == len(waits), "the fourth wait lies within [0, 8) seconds"
    # 1,000 expected in each; 150 is five standard deviations.
    assert all(850 < count < 1150 for count in tenths), tenths
