"""The bucket's bound holds whatever clocks within the declared skew say and however draws interleave."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flotilla.primitives.token_bucket import (
    TOKEN_MILLI,
    Add,
    Bucket,
    Draw,
    Limit,
    Make,
    Rebase,
    Refuse,
    Shift,
    Spill,
    Wish,
    after,
    credited_milli,
    done,
    level_milli,
    matures_after_ms,
    ms_to_credit,
    plan,
    reckoned_ms,
)

NOW_MS = 1_700_000_000_000
LIMIT = Limit(rate_per_minute=600, burst=10)
SKEW_MS = 5000


def wish(tokens: int, *, lease: int | None = None, within_ms: int = 0, ahead_ms: int = 0) -> Wish:
    return Wish(tokens * TOKEN_MILLI, (lease or tokens) * TOKEN_MILLI, within_ms, ahead_ms)


def made(tokens: int = 1, limit: Limit = LIMIT) -> Bucket:
    """A bucket whose time has begun, less what was drawn."""
    draw = plan(None, limit, wish(tokens), NOW_MS, skew_ms=0)
    assert isinstance(draw, Make)
    return draw.bucket


def test_a_new_bucket_is_full_and_credited_nothing_until_no_clock_can_gain_on_it() -> None:
    draw = plan(None, LIMIT, wish(4), NOW_MS, skew_ms=SKEW_MS)
    assert isinstance(draw, Make)
    bucket = draw.bucket
    for after_ms in (-SKEW_MS, 0, SKEW_MS):
        assert level_milli(bucket, LIMIT, NOW_MS + after_ms) == 6 * TOKEN_MILLI
    assert level_milli(bucket, LIMIT, NOW_MS + SKEW_MS + 200) == 8 * TOKEN_MILLI
    assert level_milli(bucket, LIMIT, NOW_MS + 10**6) == 10 * TOKEN_MILLI


def test_what_there_is_too_little_of_is_refused_until_it_is_there() -> None:
    bucket = made(10)
    refused = plan(bucket, LIMIT, wish(3), NOW_MS)
    assert refused == Refuse(300)
    assert isinstance(plan(bucket, LIMIT, wish(3), NOW_MS + 299), Refuse)
    assert isinstance(plan(bucket, LIMIT, wish(3), NOW_MS + 300), Add)


def test_who_waits_gets_the_place_behind_those_who_came_before() -> None:
    bucket = made(10)
    waits = []
    for _ in range(3):
        draw = plan(bucket, LIMIT, wish(2, within_ms=600), NOW_MS)
        assert isinstance(draw, Add)
        assert done(draw, bucket)
        bucket = after(draw, bucket)
        waits.append(matures_after_ms(bucket, NOW_MS))
    assert waits == [200, 400, 600]
    assert plan(bucket, LIMIT, wish(2, within_ms=600), NOW_MS) == Refuse(200)


def test_a_lease_is_drawn_where_there_is_room_for_it_and_else_the_need() -> None:
    assert plan(made(1), LIMIT, wish(1, lease=9), NOW_MS) == Add(
        600, 9000, credited_milli(600, NOW_MS) - 10_000, credited_milli(600, NOW_MS) - 9000, NOW_MS
    )
    draw = plan(made(5), LIMIT, wish(1, lease=9), NOW_MS)
    assert isinstance(draw, Add)
    assert draw.amount_milli == TOKEN_MILLI
    draw = plan(made(5), LIMIT, wish(1, lease=9, ahead_ms=400), NOW_MS)
    assert isinstance(draw, Add)
    assert draw.amount_milli == 9 * TOKEN_MILLI


def test_what_ran_over_is_lost() -> None:
    draw = plan(made(1), LIMIT, wish(1), NOW_MS + 60_000)
    assert isinstance(draw, Spill)
    assert level_milli(after(draw, made(1)), LIMIT, NOW_MS + 60_000) == 9 * TOKEN_MILLI


def test_where_others_draw_a_nearly_full_bucket_counts_as_full() -> None:
    """What they just drew does not make the draw fail, and costs at most a quarter of the burst."""
    at_ms = NOW_MS + 60_000
    draw = plan(made(1), LIMIT, wish(1), at_ms, others=50)
    assert isinstance(draw, Spill)
    other = replace(made(1), drawn_milli=credited_milli(600, at_ms) - 10_000 + 2000)
    assert done(draw, other)
    assert level_milli(after(draw, other), LIMIT, at_ms) == 6500
    assert not done(plan_alone(at_ms), other)


def plan_alone(at_ms: int) -> Draw:
    draw = plan(made(1), LIMIT, wish(1), at_ms)
    assert not isinstance(draw, Refuse)
    return draw


def test_a_rate_that_changes_leaves_what_is_in_the_bucket() -> None:
    slower = Limit(60, 5)
    draw = plan(made(2), slower, wish(1), NOW_MS)
    assert isinstance(draw, Rebase)
    assert done(draw, made(2))
    assert level_milli(draw.bucket, slower, NOW_MS) == 4 * TOKEN_MILLI, "no more than its burst, less the draw"
    assert level_milli(draw.bucket, slower, NOW_MS + 500) == 4500
    debt = after(Shift(12_000, None, NOW_MS), made(2))
    assert plan(debt, slower, wish(1), NOW_MS) == Refuse(5000)


def test_more_than_the_burst_is_never_there() -> None:
    with pytest.raises(ValueError, match="ever holds"):
        plan(None, LIMIT, wish(11), NOW_MS)
    with pytest.raises(ValueError, match="at least 1"):
        Limit(0, 1)


def test_who_saw_a_faster_clock_goes_by_it() -> None:
    assert reckoned_ms(100, None, 7) == 100
    assert reckoned_ms(100, 150, 7) == 157
    assert reckoned_ms(200, 150, 7) == 200


@given(rate=st.integers(1, 10**7), amount=st.integers(1, 10**9))
def test_what_it_takes_to_credit_an_amount_is_exact(rate: int, amount: int) -> None:
    ms = ms_to_credit(rate, amount)
    assert credited_milli(rate, ms) >= amount
    assert credited_milli(rate, ms - 1) < amount


@dataclass
class Drawer:
    """One process: what it last saw, and when by true time."""

    known: Bucket | None = None
    pace: tuple[int, int] | None = None


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3000),  # true time that passes
        st.integers(0, 3),  # who draws
        st.integers(-SKEW_MS, SKEW_MS),  # what its clock is off by at this moment
        st.integers(1, 5),  # what it needs
        st.integers(1, 12),  # what it would take
        st.integers(0, 4000),  # how long it waits
        st.sampled_from(["use", "use", "use", "give_back", "charge", "lose_the_answer"]),
        st.sampled_from([0, 300]),
    ),
    max_size=60,
)


@settings(max_examples=300)
@given(steps=STEPS, rate=st.sampled_from([60, 600, 997, 6000]), burst=st.integers(5, 30))
def test_never_more_than_burst_and_rate_allow_whatever_the_clocks_say(
    steps: list[tuple[int, int, int, int, int, int, str, int]], rate: int, burst: int
) -> None:
    """Clocks jump about within the declared skew at every look; what a process holds it uses at once when it may."""
    limit = Limit(rate, burst)
    stored: Bucket | None = None
    drawers = [Drawer() for _ in range(4)]
    true_ms = NOW_MS
    used: list[tuple[int, int]] = []  # true time of use, thousandths
    made_ms = NOW_MS
    for passes, who, off, need, lease, within_ms, then, others in steps:
        true_ms += passes
        drawer = drawers[who]
        for _ in count():
            seen_clock = drawer.pace[0] if drawer.pace else None
            since = true_ms - drawer.pace[1] if drawer.pace else 0
            now_ms = reckoned_ms(true_ms + off, seen_clock, since)
            assert now_ms <= true_ms + SKEW_MS, "nobody is led further astray than the clocks are"
            wanted = Wish(need * 1000, max(need, lease) * 1000, within_ms, within_ms)
            draw = plan(drawer.known, limit, wanted, now_ms, skew_ms=SKEW_MS, others=others)
            if isinstance(draw, Refuse):
                break
            before, was_done = stored, done(draw, stored)
            if was_done:
                made_ms = true_ms if before is None else made_ms
                stored = after(draw, before)
            if before is not None:
                drawer.pace = (max(now_ms, before.clock_ms), true_ms)
            drawer.known = after(draw, before) if was_done else before
            if not was_done:
                continue
            assert stored is not None
            if then == "lose_the_answer":
                break  # drawn, and never used
            wait_ms = matures_after_ms(stored, now_ms)
            if then == "give_back":
                give = Shift(-draw.amount_milli, stored, now_ms)
                stored = drawer.known = after(give, stored)
            else:
                used.append((true_ms + wait_ms, draw.amount_milli))
            if then == "charge":
                stored = drawer.known = after(Shift(700, None, now_ms), stored)
            break
    used.sort()
    total = 0
    for at_ms, amount in used:
        total += amount
        assert total <= limit.burst_milli + credited_milli(rate, at_ms - made_ms + SKEW_MS) + 1
    for first, (from_ms, _) in enumerate(used):
        within = 0
        for at_ms, amount in used[first:]:
            within += amount
            kept_ms = 4000  # the longest that any of a draw waits for the rest of it
            assert within <= limit.burst_milli + credited_milli(rate, at_ms - from_ms + 2 * SKEW_MS + kept_ms) + 1
