"""Leases: nobody takes over before the holder has certainly stopped."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.lease import (
    GRACE_SECONDS,
    SKEW_SECONDS,
    agent_budget_seconds,
    lease_until_ms,
    seconds_until_takeover,
)

NOW_MS = st.integers(1_600_000_000_000, 2_000_000_000_000)
TIMEOUT = st.floats(0.1, 900)


@given(NOW_MS, TIMEOUT, st.floats(0, 900))
def test_a_lease_outlasts_the_agent_by_the_grace_and_ends_with_the_function_at_the_latest(
    now_ms: int, timeout: float, remaining: float
) -> None:
    budget = agent_budget_seconds(timeout, remaining)
    until = lease_until_ms(now_ms, budget)
    assert budget <= timeout
    assert until <= now_ms + remaining * 1000
    assert abs(until - (now_ms + (budget + GRACE_SECONDS) * 1000)) <= 1


@given(TIMEOUT)
def test_an_agent_gets_all_of_its_timeout_where_the_function_has_it(timeout: float) -> None:
    assert agent_budget_seconds(timeout, timeout + GRACE_SECONDS + 0.001) == timeout


@given(NOW_MS, st.integers(-(10**6), 10**6))
def test_a_takeover_waits_for_the_lease_and_the_skew_of_two_clocks(until: int, offset_ms: int) -> None:
    now_ms = until + offset_ms
    wait = seconds_until_takeover(until, now_ms)
    assert (wait <= 0) == (now_ms >= until + SKEW_SECONDS * 1000)
    # Waiting as long as told is enough.
    assert seconds_until_takeover(until, now_ms + int(max(0.0, wait) * 1000) + 1) <= 0


@given(NOW_MS, TIMEOUT, st.floats(3.1, 900), st.floats(-0.999, 0.999))
def test_while_the_function_lives_no_one_whose_clock_is_within_the_skew_takes_over(
    now_ms: int, timeout: float, remaining: float, skew: float
) -> None:
    """The holder's lease ends at the latest when its function is killed, seen by any trusted clock."""
    until = lease_until_ms(now_ms, agent_budget_seconds(timeout, remaining))
    seen_by_another_ms = until - 1 + int(skew * 1000)
    assert seconds_until_takeover(until, seen_by_another_ms) > 0
