"""The schedule of repetitions: full jitter, within the attempts, and within the budget of time whatever happens."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.integrations.declaration import RetryPolicy
from flotilla.integrations.retrying import wait_ms

POLICIES = st.builds(
    RetryPolicy, attempts=st.integers(1, 10), base_ms=st.integers(1, 10_000), cap_ms=st.integers(1, 60_000)
)
FRACTIONS = st.floats(0, 1, exclude_max=True)


@given(
    POLICIES,
    st.lists(st.tuples(FRACTIONS, st.integers(0, 5000), st.none() | st.integers(0, 100_000)), max_size=15),
    st.integers(1, 120_000),
)
def test_a_call_makes_no_more_attempts_than_allowed_and_ends_within_its_budget(
    policy: RetryPolicy, rounds: list[tuple[float, int, int | None]], budget_ms: int
) -> None:
    now_ms, tries = 0, 0
    for fraction, took_ms, retry_after_ms in rounds:
        now_ms, tries = min(now_ms + took_ms, budget_ms), tries + 1
        wait = wait_ms(policy, tries, left_ms=budget_ms - now_ms, fraction=fraction, retry_after_ms=retry_after_ms)
        if wait is None:
            break
        assert tries < policy.attempts
        now_ms += wait
        assert now_ms < budget_ms, "there is time left for the try"
        if retry_after_ms is not None:
            assert wait >= retry_after_ms
        else:
            assert wait <= policy.cap_ms + 1
    assert tries <= policy.attempts or not rounds


@given(POLICIES, st.integers(1, 9), FRACTIONS)
def test_waits_are_spread_over_all_of_a_window_that_doubles_up_to_the_cap(
    policy: RetryPolicy, tries: int, fraction: float
) -> None:
    wait = wait_ms(policy, tries, left_ms=10**9, fraction=fraction)
    if tries >= policy.attempts:
        assert wait is None
        return
    window_ms = min(policy.cap_ms, policy.base_ms * 2 ** (tries - 1))
    assert wait is not None
    assert abs(wait - fraction * window_ms) <= 1


def test_nothing_is_repeated_without_time_for_it() -> None:
    policy = RetryPolicy(attempts=3, base_ms=100, cap_ms=1000)
    assert wait_ms(policy, 1, left_ms=51, fraction=0.5) == 50
    assert wait_ms(policy, 1, left_ms=50, fraction=0.5) is None
    assert wait_ms(policy, 1, left_ms=2000, fraction=0.5, retry_after_ms=2000) is None
    assert wait_ms(policy, 3, left_ms=2000, fraction=0.5) is None
