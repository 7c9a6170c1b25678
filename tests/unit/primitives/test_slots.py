"""Slots: no two holders at once, whatever clocks within the declared skew say."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flotilla.primitives.slots import Claim, Full, Slot, choose, claimable

NOW_MS = 1_700_000_000_000
SKEW_MS = 5000


def test_free_slots_are_claimed_at_random_and_a_full_cap_says_when_one_ends() -> None:
    taken = [Slot(0, "a", NOW_MS + 500)]
    claims = {choose(taken, 3, "me", NOW_MS, 100, fraction, skew_ms=50) for fraction in (0.0, 0.999)}
    assert claims == {Claim(Slot(index, "me", NOW_MS + 100), NOW_MS - 100) for index in (1, 2)}
    assert choose(taken, 1, "me", NOW_MS, 100, 0.0, skew_ms=50) == Full(600)


def test_who_holds_a_slot_already_claims_that_one() -> None:
    claim = choose([Slot(4, "me", NOW_MS)], 9, "me", NOW_MS, 100, 0.0)
    assert isinstance(claim, Claim)
    assert claim.slot == Slot(4, "me", NOW_MS + 100)


def test_slots_beyond_a_cap_that_was_lowered_count_until_they_end() -> None:
    taken = [Slot(index, f"h{index}", NOW_MS + 500) for index in (5, 6)]
    assert isinstance(choose(taken, 2, "me", NOW_MS, 100, 0.0), Full)
    assert isinstance(choose(taken[:1], 2, "me", NOW_MS, 100, 0.0), Claim)


@given(
    cap=st.integers(1, 4),
    steps=st.lists(
        st.tuples(
            st.integers(0, 4000),  # true time that passes
            st.integers(-SKEW_MS, SKEW_MS),  # what the asker's clock is off by
            st.integers(1, 20_000),  # how long it may work
            st.floats(0, 1, exclude_max=True),
        ),
        max_size=60,
    ),
)
def test_never_more_at_work_than_the_cap(cap: int, steps: list[tuple[int, int, int, float]]) -> None:
    stored: dict[int, Slot] = {}
    working_until: list[int] = []  # by true time
    true_ms = NOW_MS
    for number, (passes, off, lease_ms, fraction) in enumerate(steps):
        true_ms += passes
        now_ms = true_ms + off
        claim = choose(stored.values(), cap, f"h{number}", now_ms, lease_ms, fraction, skew_ms=SKEW_MS)
        if isinstance(claim, Claim) and claimable(stored.get(claim.slot.index), claim):
            stored[claim.slot.index] = claim.slot
            working_until.append(claim.slot.until_ms - off)
        assert sum(until_ms > true_ms for until_ms in working_until) <= cap
