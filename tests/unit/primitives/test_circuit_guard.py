"""The guard of one environment: stops after so many failures in a row, then tries one call at a time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.circuit_guard import FAILURES, FIRST_HOLD_MS, LONGEST_HOLD_MS, TRIAL_MS, LocalGuard

NOW = 1_700_000_000_000


def failing(guard: LocalGuard, times: int = FAILURES) -> LocalGuard:
    for _ in range(times):
        guard.failed()
    return guard


def test_it_holds_after_so_many_failures_in_a_row_and_not_before() -> None:
    guard = failing(LocalGuard(), FAILURES - 1)
    assert guard.hold_ms(NOW) == 0
    guard.failed()
    assert guard.hold_ms(NOW) == FIRST_HOLD_MS


def test_who_is_to_be_more_patient_is() -> None:
    guard = failing(LocalGuard())
    assert guard.hold_ms(NOW, FAILURES + 1) == 0


def test_a_success_in_between_begins_the_count_anew() -> None:
    guard = failing(LocalGuard(), FAILURES - 1)
    guard.passed()
    assert failing(guard, FAILURES - 1).hold_ms(NOW) == 0
    assert guard.streak == FAILURES - 1


def test_after_a_hold_one_call_decides() -> None:
    guard = failing(LocalGuard())
    guard.hold_ms(NOW)
    later = NOW + FIRST_HOLD_MS
    assert guard.hold_ms(later) == 0
    assert guard.hold_ms(later + 1) > 0, "the one call is still under way"
    guard.failed()
    assert guard.hold_ms(later + 10) == 2 * FIRST_HOLD_MS
    assert guard.hold_ms(later + 10 + 2 * FIRST_HOLD_MS) == 0
    guard.passed()
    assert [guard.hold_ms(later + 10 + 2 * FIRST_HOLD_MS) for _ in range(5)] == [0] * 5


def test_a_call_of_which_nothing_is_heard_does_not_hold_for_ever() -> None:
    guard = failing(LocalGuard())
    guard.hold_ms(NOW)
    assert guard.hold_ms(NOW + FIRST_HOLD_MS) == 0
    assert guard.hold_ms(NOW + FIRST_HOLD_MS + TRIAL_MS) == 0


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60_000)), max_size=80))
def test_it_never_holds_for_longer_than_its_bound(calls: list[tuple[bool, int]]) -> None:
    guard, now_ms = LocalGuard(), NOW
    for failed, wait_ms in calls:
        now_ms += wait_ms
        assert 0 <= guard.hold_ms(now_ms) <= max(LONGEST_HOLD_MS, TRIAL_MS)
        if failed:
            guard.failed()
        else:
            guard.passed()
